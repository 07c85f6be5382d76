# SPDX-License-Identifier: Apache-2.0
"""Frames as messages: sizes on the wire, splitting, checksums."""

import pytest
from rclpy.serialization import deserialize_message
from std_msgs.msg import Header

from nepi_ros.codec import EpitomeHeader, join, unpack
from nepi_ros.link.wire import packets, wire_bytes
from nepi_ros.msg import Epitome
from nepi_ros.nodes.epitomes import OutgoingFrame, layers_within, wire_size

STREAMS = [bytes([layer]) * size for layer, size in enumerate((300, 200, 700, 500, 40, 2000))]


def frame(frame_id: str = "camera") -> OutgoingFrame:
    return OutgoingFrame(Header(frame_id=frame_id), 5, 2**63, 7, 640, 480)


@pytest.mark.parametrize("frame_id", ["", "camera", "robot_17/camera_optical_frame"])
@pytest.mark.parametrize("mtu", [576, 1500, 9000])
def test_messages_cost_what_was_said_and_stay_below_the_mtu(frame_id, mtu):
    sent = frame(frame_id).messages(STREAMS, mtu, handover_ns=7)
    assert sum(wire_bytes(len(data), mtu) for data in sent) == wire_size(STREAMS, frame_id, mtu)
    for data in sent:
        message = deserialize_message(data, Epitome)
        assert message.layer_count == 1 or len(packets(len(data), mtu)) == 1
        fields = EpitomeHeader.from_message(message)
        assert fields.checksum(bytes(message.data)) == message.checksum
        assert (fields.sequence, fields.frame_layers, fields.handover_ns) == (5, len(STREAMS), 7)
    messages = [deserialize_message(data, Epitome) for data in sent]
    assert join((m.first_layer, unpack(bytes(m.data), m.layer_count)) for m in messages) == STREAMS


def test_layers_within_a_budget():
    costs = [wire_size(STREAMS[:count], "camera", 1500) for count in range(1, len(STREAMS) + 1)]
    assert costs == sorted(costs)
    for count, cost in enumerate(costs, 1):
        assert layers_within(STREAMS, cost, "camera", 1500) == count
        assert layers_within(STREAMS, cost - 1, "camera", 1500) == count - 1
