# SPDX-License-Identifier: Apache-2.0
"""Bytes on the wire of a best-effort ROS 2 message on Fast DDS over UDP and IPv4.

Measured with Fast DDS 2.14.5 and rmw_fastrtps_cpp 8.4.3 between network namespaces with an MTU of 1500, for
Epitome, Results and CompressedImage messages of 40 to 140,068 serialised bytes; the model below gives every
captured packet's size. test/test_link_wire.py repeats the measurement.

| serialised bytes | IP packets | bytes on the wire |
| ---: | ---: | ---: |
| 68 | 1 | 228 |
| 1068 | 1 | 1228 |
| 1340 | 1 | 1500 |
| 1341 | 2 | 1524 |
| 10068 | 7 | 10348 |
| 65324 | 45 | 66364 |
| 65325 | 46 | 66552 |

What the captured packets consist of:

- The serialised message (CDR with its 4-byte header), padded to a multiple of 4.
- RTPS: 20 header, 16 INFO_DST, 12 INFO_TS, 24 DATA, and 60 of a submessage of Fast DDS's own (0x80, statistics).
- UDP 8, IP 20. A datagram larger than the MTU is fragmented by IP, each fragment with 20 bytes of header and
  a payload in multiples of 8. One lost fragment loses the datagram.
- Above 65,324 serialised bytes Fast DDS splits a message into datagrams of 65,324 bytes and a rest, and
  DATA_FRAG takes 12 bytes more than DATA. Best effort repeats none of them.

Headers of the link layer (Ethernet, Wi-Fi, LTE) are not counted. Discovery and liveliness come on top, at
about 380 bytes per second. Every remote computer that subscribes gets packets of its own.
"""

from __future__ import annotations

from functools import lru_cache

MTU = 1500
RTPS_BYTES = 20 + 16 + 12 + 24 + 60
FRAGMENT_EXTRA = 12
UDP_BYTES = 8
IP_BYTES = 20
MAX_PAYLOAD = 65324


def packets(serialised: int, mtu: int = MTU) -> tuple[int, ...]:
    """Sizes in bytes of the IP packets that a message of so many serialised bytes becomes, in order.

    >>> packets(1068), packets(1368)
    ((1228,), (1500, 48))
    """
    padded = _padded(serialised)
    if padded <= MAX_PAYLOAD:
        return _ip_packets(padded + RTPS_BYTES, mtu)
    whole, rest = divmod(padded, MAX_PAYLOAD)
    payloads = [MAX_PAYLOAD] * whole + ([rest] if rest else [])
    return tuple(
        size for payload in payloads for size in _ip_packets(payload + RTPS_BYTES + FRAGMENT_EXTRA, mtu)
    )


@lru_cache(maxsize=1 << 14)  # asked for some hundred sizes of every frame
def wire_bytes(serialised: int, mtu: int = MTU) -> int:
    """Bytes on the wire of a message of so many serialised bytes.

    >>> wire_bytes(1068)
    1228
    """
    return sum(packets(serialised, mtu))


def serialised_within(wire: int, mtu: int = MTU) -> int:
    """The most serialised bytes that cost no more than `wire` bytes on the wire; 0 when nothing fits.

    >>> serialised_within(1500)
    1340
    """
    low, high = 0, max(0, wire - IP_BYTES - UDP_BYTES - RTPS_BYTES)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if wire_bytes(middle, mtu) <= wire else (low, middle - 1)
    return low


def single_packet(mtu: int = MTU) -> int:
    """The most serialised bytes of a message that is one IP packet.

    >>> single_packet()
    1340
    """
    return (mtu - IP_BYTES - UDP_BYTES - RTPS_BYTES) // 4 * 4


def _ip_packets(rtps: int, mtu: int) -> tuple[int, ...]:
    """An RTPS message as one IP packet, or as fragments."""
    payload = rtps + UDP_BYTES
    if payload + IP_BYTES <= mtu:
        return (payload + IP_BYTES,)
    each = (mtu - IP_BYTES) // 8 * 8
    whole, rest = divmod(payload, each)
    return (each + IP_BYTES,) * whole + ((rest + IP_BYTES,) if rest else ())


def _padded(serialised: int) -> int:
    return -(-serialised // 4) * 4
