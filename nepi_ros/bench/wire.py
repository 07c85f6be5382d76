# SPDX-License-Identifier: Apache-2.0
"""What a coded frame costs on the wire as ROS 2 messages, without ROS: message sizes in CDR, then nepi_ros.link.wire.

A peer's frame is one sensor_msgs/CompressedImage; an epitome is one Epitome, or several when it exceeds a packet, and
so with a frame's Results.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nepi_ros.codec import Segment
from nepi_ros.link.returns import ALIGNMENT
from nepi_ros.link.wire import single_packet, wire_bytes

FRAME_ID = "camera"
_ENCAPSULATION = 4
# The fields of Epitome after its header, in bytes: sequence, bundle_id, task_mask, back, width, height, first_layer,
# layer_count, frame_layers, yields, result_bytes, handover_ns, checksum, length of data.
_EPITOME = (4, 8, 1, 1, 2, 2, 1, 1, 1, 1, 4, 8, 4, 4)

# LinkReport: sequence, handover_ns, bytes, layers, arrival_spread_us, processing_us, missed, result_bytes,
# return_bytes, return_spread_us.
_REPORT = (4, 8, 4, 1, 4, 4, 2, 4, 4, 4)


def image_serialised(size: int, format_: str) -> int:
    """Serialised bytes of a CompressedImage with `size` bytes of data."""
    end = _string(_header(), format_)
    return _ENCAPSULATION + _fields(end, (4,)) + size


def image_wire(size: int, format_: str) -> int:
    """Bytes on the wire of a CompressedImage with `size` bytes of data."""
    return wire_bytes(image_serialised(size, format_))


def results_serialised(
    names: Sequence[str] = (), segmentation: int = 0, depth: int = 0, report: bool = False
) -> int:
    """Serialised bytes of a Results with these class names, a score for each, and maps of so many bytes."""
    end = _fields(_header(), (4,))
    for name in names:
        end = _string(end, name)
    end = _fields(end, (4,) * (1 + len(names)))
    for size in (segmentation, depth):
        end = _fields(end, (4,)) + size
    return _ENCAPSULATION + _fields(end, (4, *(_REPORT if report else ())))


def results_room() -> int:
    """Bytes of results in a Results that fits one packet."""
    return single_packet() - results_serialised(report=True) - ALIGNMENT


def epitome_envelope() -> int:
    """Serialised bytes of an Epitome without data."""
    return _ENCAPSULATION + _fields(_header(), _EPITOME)


def epitome_room() -> int:
    """Bytes of data of an Epitome that fits one packet."""
    return single_packet() - epitome_envelope()


def epitome_wire(segments: Iterable[Segment]) -> int:
    """Bytes on the wire of a frame's segments, each in a message of its own."""
    return sum(wire_bytes(epitome_envelope() + len(segment.stream)) for segment in segments)


def _header() -> int:
    return _string(8, FRAME_ID)


def _string(position: int, text: str) -> int:
    return _fields(position, (4,)) + len(text.encode()) + 1


def _fields(position: int, sizes: Sequence[int]) -> int:
    """Where fields of so many bytes each end, every one aligned to its own size."""
    for size in sizes:
        position = -(-position // size) * size + size
    return position
