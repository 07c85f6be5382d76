# SPDX-License-Identifier: Apache-2.0
"""Sizes of messages without ROS are those with ROS."""

from __future__ import annotations

import pytest

from nepi_ros.bench.wire import FRAME_ID, epitome_envelope, epitome_wire, image_wire
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
    from nepi_ros.nodes.epitomes import envelope_bytes, wire_size

    assert epitome_envelope() == envelope_bytes(FRAME_ID)
    streams = [bytes(700), bytes(500), bytes(20), bytes(900)]
    for count in range(1, 5):
        assert epitome_wire(streams[:count]) == wire_size(streams[:count], FRAME_ID, 1500)
