# SPDX-License-Identifier: Apache-2.0
"""The checksum of an epitome message."""

import struct
import zlib

from nepi_ros.errors import CodecError

_FIELDS = struct.Struct("<IQBHHBBBq")


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
    data: bytes,
) -> int:
    """The CRC-32 of an Epitome message, as its definition says. Raises CodecError for a field out of range."""
    try:
        fields = _FIELDS.pack(
            sequence, bundle_id, task_mask, width, height, first_layer, layer_count, frame_layers, handover_ns
        )
    except struct.error as error:
        raise CodecError(f"an epitome's field is out of range: {error}") from error
    return zlib.crc32(data, zlib.crc32(fields))
