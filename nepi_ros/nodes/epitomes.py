# SPDX-License-Identifier: Apache-2.0
"""A frame's streams as Epitome messages, and what those cost on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from nepi_ros.codec import EpitomeHeader, pack, packed_size, split
from nepi_ros.link.wire import single_packet, wire_bytes
from nepi_ros.msg import Epitome


@lru_cache(maxsize=16)
def envelope_bytes(frame_id: str) -> int:
    """Serialised size of an Epitome without data, in bytes; it depends on the length of frame_id alone."""
    return len(serialize_message(Epitome(header=Header(frame_id=frame_id))))


def data_room(frame_id: str, mtu: int) -> int:
    """Bytes of data that fit one IP packet: the path MTU less all headers, IP to Epitome; at least 1."""
    return max(single_packet(mtu) - envelope_bytes(frame_id), 1)


def wire_size(streams: Sequence[bytes], frame_id: str, mtu: int) -> int:
    """Bytes on the wire that these layers of one frame cost, headers of all its messages included."""
    groups = split(streams, 0, data_room(frame_id, mtu))
    return sum(wire_bytes(envelope_bytes(frame_id) + packed_size(group), mtu) for _, group in groups)


def layers_within(streams: Sequence[bytes], budget: int, frame_id: str, mtu: int) -> int:
    """The longest prefix that costs at most `budget` bytes on the wire; 0 when not even one layer does."""
    for count in range(len(streams), 0, -1):
        if wire_size(streams[:count], frame_id, mtu) <= budget:
            return count
    return 0


@dataclass(frozen=True)
class OutgoingFrame:
    """What all messages of one frame have in common; the fields are Epitome's."""

    header: Header
    sequence: int
    bundle_id: int
    task_mask: int
    width: int
    height: int
    result_bytes: int = 0
    yields: int = 0

    def messages(self, streams: Sequence[bytes], mtu: int, handover_ns: int) -> list[bytes]:
        """The frame as serialised Epitome messages, split at layer boundaries to stay below the MTU.

        A layer that is longer than a datagram on its own makes one message that IP has to fragment.
        """
        groups = split(streams, 0, data_room(self.header.frame_id, mtu))
        return [self._message(first, group, len(streams), handover_ns) for first, group in groups]

    def _message(self, first: int, group: Sequence[bytes], frame_layers: int, handover_ns: int) -> bytes:
        data = pack(group)
        fields = EpitomeHeader(
            sequence=self.sequence,
            bundle_id=self.bundle_id,
            task_mask=self.task_mask,
            width=self.width,
            height=self.height,
            first_layer=first,
            layer_count=len(group),
            frame_layers=frame_layers,
            handover_ns=handover_ns,
            result_bytes=self.result_bytes,
            yields=self.yields,
        )
        return serialize_message(
            Epitome(header=self.header, **vars(fields), checksum=fields.checksum(data), data=data)
        )
