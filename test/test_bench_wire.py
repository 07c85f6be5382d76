# SPDX-License-Identifier: Apache-2.0
"""Sizes of messages without ROS are those with ROS."""

from __future__ import annotations

import pytest

from nepi_ros.bench.wire import (
    FRAME_ID,
    epitome_envelope,
    epitome_room,
    epitome_wire,
    image_wire,
    results_room,
    results_serialised,
)
from nepi_ros.codec import Segment
from nepi_ros.link.wire import wire_bytes


@pytest.mark.parametrize("size", [0, 1, 999, 4321])
def test_messages_have_the_size_that_ros_gives_them(size: int) -> None:
    pytest.importorskip("rclpy")
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import CompressedImage
    from std_msgs.msg import Header

    for kind in ("jpeg", "webp", "jpeg_downscaled"):
        message = CompressedImage(header=Header(frame_id=FRAME_ID), format=kind, data=bytes(size))
        assert image_wire(size, kind) == wire_bytes(len(serialize_message(message)))


def test_epitomes_cost_what_the_encoder_node_counts() -> None:
    pytest.importorskip("rclpy")
    from nepi_ros.nodes.epitomes import data_room, envelope_bytes, wire_size

    assert epitome_envelope() == envelope_bytes(FRAME_ID)
    assert epitome_room() == data_room(FRAME_ID, 1500)
    segments = [Segment(layer, 1, bytes(size)) for layer, size in enumerate((700, 1500, 20, 9000))]
    for count in range(1, 5):
        assert epitome_wire(segments[:count]) == wire_size(segments[:count], FRAME_ID, 1500)


@pytest.mark.parametrize("names", [(), ("hall",), ("a", "bc", "kitchen", "corridor-17")])
@pytest.mark.parametrize("report", [False, True])
def test_results_have_the_size_that_ros_gives_them(names: tuple[str, ...], report: bool) -> None:
    pytest.importorskip("rclpy")
    from rclpy.serialization import serialize_message
    from std_msgs.msg import Header

    from nepi_ros.msg import LinkReport, Results

    for segmentation, depth in ((0, 0), (1, 0), (301, 203), (302, 1)):
        message = Results(
            header=Header(frame_id=FRAME_ID), names=names, scores=[0.5] * len(names), segmentation=bytes(segmentation),
            depth=bytes(depth), report=[LinkReport()] * report,
        )  # fmt: skip
        serialised = results_serialised(names, segmentation, depth, report)
        assert -(-serialised // 4) == -(-len(serialize_message(message)) // 4)


def test_results_share_messages_as_on_the_edge() -> None:
    pytest.importorskip("rclpy")
    from nepi_ros.nodes.results import _room

    assert results_room() == _room(FRAME_ID)
