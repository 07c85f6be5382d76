# SPDX-License-Identifier: Apache-2.0
"""Layers as the bytes of messages: packing, splitting at layer boundaries, joining, and the checksum."""

import struct
import zlib
from collections.abc import Iterable, Sequence

from nepi_ros.errors import CodecError

_FIELDS = struct.Struct("<IQBHHBBBqIB")
_MAX_LENGTH = 1 << 28  # four LEB128 bytes; no layer is that long


def pack(streams: Sequence[bytes]) -> bytes:
    """Each stream as its length (unsigned LEB128) and its bytes.

    >>> pack([b"ab", b""])
    b'\\x02ab\\x00'
    """
    return b"".join(_leb128(len(stream)) + stream for stream in streams)


def packed_size(streams: Sequence[bytes]) -> int:
    """len(pack(streams)), without making it."""
    return sum(len(_leb128(len(stream))) + len(stream) for stream in streams)


def unpack(data: bytes, expected: int) -> list[bytes]:
    """The `expected` streams in `data`. Raises CodecError when there are not exactly so many, or a length lies."""
    streams, position = [], 0
    for layer in range(expected):
        length, position = _read_leb128(data, position, layer)
        if length > len(data) - position:
            raise CodecError(f"layer {layer + 1} of {expected} claims {length} bytes, {len(data) - position} are left")
        streams.append(bytes(data[position : position + length]))
        position += length
    if position != len(data):
        raise CodecError(f"{len(data) - position} bytes follow the last of {expected} layers")
    return streams


def split(streams: Sequence[bytes], first: int, max_bytes: int) -> list[tuple[int, list[bytes]]]:
    """Groups of consecutive layers, each packing to at most `max_bytes`, as (number of its first layer, streams).

    `first` is the number of streams[0]. A layer longer than `max_bytes` on its own gets a group to itself: layers
    are the smallest unit that decodes, so the network must fragment it.
    """
    groups: list[tuple[int, list[bytes]]] = []
    room = 0
    for layer, stream in enumerate(streams, first):
        size = packed_size([stream])
        if not groups or size > room:
            groups.append((layer, []))
            room = max_bytes
        groups[-1][1].append(stream)
        room -= size
    return groups


def join(groups: Iterable[tuple[int, Sequence[bytes]]]) -> list[bytes]:
    """The longest run of layers from layer 0 in groups that arrived in any order; copies of a layer do no harm."""
    layers = {first + i: stream for first, streams in groups for i, stream in enumerate(streams)}
    run: list[bytes] = []
    while len(run) in layers:
        run.append(layers[len(run)])
    return run


def checksum(
    sequence: int,
    bundle_id: int,
    task_mask: int,
    width: int,
    height: int,
    first_layer: int,
    layer_count: int,
    frame_layers: int,
    handover_ns: int,
    result_bytes: int,
    yields: int,
    data: bytes,
) -> int:
    """The CRC-32 of an Epitome message, as its definition says. Raises CodecError for a field out of range."""
    try:
        fields = _FIELDS.pack(
            sequence, bundle_id, task_mask, width, height, first_layer, layer_count, frame_layers, handover_ns,
            result_bytes, yields,
        )  # fmt: skip
    except struct.error as error:
        raise CodecError(f"an epitome's field is out of range: {error}") from error
    return zlib.crc32(data, zlib.crc32(fields))


def _leb128(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_leb128(data: bytes, position: int, layer: int) -> tuple[int, int]:
    number, shift = 0, 0
    while position < len(data) and 1 << shift < _MAX_LENGTH:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                break  # a longer spelling of a shorter number
            return number, position
        shift += 7
    raise CodecError(f"the length of layer {layer + 1} is damaged or missing")
