# SPDX-License-Identifier: Apache-2.0
"""Frames as messages: sizes on the wire, cutting to a budget, checksums."""

import cv2
import golden
import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from std_msgs.msg import Header
from tiny_bundle import PICTURES, make_tiny_bundle, tiny_frames

from nepi_ros.codec import (
    EncodedFrame,
    Encoder,
    EpitomeHeader,
    LayeredCoder,
    LayerShape,
    PictureFormat,
    Segment,
    fit_tables,
)
from nepi_ros.link.wire import packets, wire_bytes
from nepi_ros.msg import Epitome
from nepi_ros.nodes.epitomes import Cuts, OutgoingFrame, data_room, wire_size

LAYERS = [LayerShape(1, 40, 50)] * 4
CODER, LATENTS, _ = golden.load()


@pytest.fixture(scope="module")
def encoded() -> EncodedFrame:
    """Layers of some 1000 bytes each: one message each at an MTU of 1500."""
    latents = np.random.default_rng(0).integers(-8, 9, (4, 8000)).astype(np.int8)
    coder = LayeredCoder(fit_tables(latents, LAYERS), LAYERS)
    return EncodedFrame(coder.code(latents[0]), len(LAYERS))


@pytest.mark.parametrize("frame_id", ["", "camera", "robot_17/camera_optical_frame"])
@pytest.mark.parametrize("mtu", [576, 1500, 9000])
def test_messages_cost_what_was_said_and_stay_below_the_mtu(encoded, frame_id, mtu):
    segments = encoded.segments(len(LAYERS), data_room(frame_id, mtu))
    sent = OutgoingFrame(Header(frame_id=frame_id), 5, 2**63, 7, 640, 480).messages(segments, handover_ns=7)
    assert sum(wire_bytes(len(data), mtu) for data in sent) == wire_size(segments, frame_id, mtu)
    received = []
    for data in sent:
        message = deserialize_message(data, Epitome)
        assert message.layer_count == 1 or len(packets(len(data), mtu)) == 1
        fields = EpitomeHeader.from_message(message)
        assert fields.checksum(bytes(message.data)) == message.checksum
        assert (fields.sequence, fields.frame_layers, fields.handover_ns) == (5, len(LAYERS), 7)
        received.append(Segment(fields.first_layer, fields.layer_count, bytes(message.data)))
    assert received == segments


@pytest.mark.parametrize("frame", range(golden.FRAMES))
def test_segments_within_a_budget(frame):
    check_budgets(EncodedFrame(CODER.code(LATENTS[frame]), CODER.layers), 1500)


@pytest.mark.parametrize("mtu", [576, 1500, 9000])
def test_segments_of_several_messages_within_a_budget(encoded, mtu):
    check_budgets(encoded, mtu)


@pytest.mark.parametrize("mtu", [576, 1500])
def test_choices_cost_what_segments_do(encoded, mtu):
    found = Cuts(encoded, (0.5, 0.6, 0.7, 0.8, 0.9), "camera", mtu).choices()
    room = data_room("camera", mtu)
    costs = [wire_size(encoded.segments(count, room), "camera", mtu) for count in range(1, encoded.layers + 1)]
    assert found.sizes == pytest.approx(costs, abs=2 * len(LAYERS)) and list(found.worth) == [0.5, 0.6, 0.7, 0.8]


def test_a_longer_prefix_that_is_worth_less_is_not_sent(encoded):
    assert encoded.layers == 4
    for worth, sent in (((0.5, 0.6, 0.7, 0.8), 4), ((0.5, 0.6, 0.7, 0.6), 3), ((0.5, 0.4, 0.3, 0.5), 1)):
        assert Cuts(encoded, worth, "camera", 1500).within(10**6)[-1].stop == sent


def test_a_first_layer_that_is_smaller_than_the_model_has_it_is_sent():
    latents = np.zeros((8, 40), np.int8)
    latents[0] = 1  # so that a zero costs something, but less than what a stream may leave out at its end
    coder = LayeredCoder(fit_tables(latents, [LayerShape(40, 1, 1)]), [LayerShape(40, 1, 1)])
    frame = EncodedFrame(coder.code(latents[1]), 1)
    written = wire_size(frame.segments(1, 1000), "", 1500)
    assert written < Cuts(frame, (0.5,), "", 1500).choices().sizes[0]
    assert Cuts(frame, (0.5,), "", 1500).within(written)
    assert not Cuts(frame, (0.5,), "", 1500).within(written - 1)


def test_pictures_are_sent_where_the_budget_has_room_for_them(tmp_path):
    bundle = make_tiny_bundle(tmp_path / "tiny", pictures=PICTURES)
    frame = Encoder(bundle).encode(tiny_frames(1, seed=5)[0])
    worth, room = range(frame.layers), data_room("camera", 1500)
    costs = [wire_size(frame.segments(count, room), "camera", 1500) for count in range(1, frame.layers + 1)]
    about = Cuts(frame, worth, "camera", 1500).choices().sizes
    assert costs == sorted(costs) and about == pytest.approx(costs, rel=0.25)
    for layers in range(bundle.layer_count - len(PICTURES), frame.layers + 1):
        assert Cuts(frame, worth, "camera", 1500).within(costs[layers - 1] * 5 // 4)[-1].stop >= layers
        assert Cuts(frame, worth, "camera", 1500).within(costs[layers - 1] - 1)[-1].stop < layers


def test_the_best_that_fits_is_sent_though_a_picture_may_be_smaller_than_the_latent(tmp_path):
    bundle = make_tiny_bundle(tmp_path / "tiny", pictures=[PictureFormat(100, 76, 85, False)])
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.float32)
    frame = Encoder(bundle).encode(cv2.GaussianBlur(noise, (0, 0), 2).astype(np.uint8))
    room, worth = data_room("camera", 1500), range(frame.layers)
    *latents, picture = (wire_size(frame.segments(count, room), "camera", 1500) for count in range(1, frame.layers + 1))
    assert picture < latents[-1]
    assert Cuts(frame, worth, "camera", 1500).within(picture)[-1].stop == frame.layers


@pytest.mark.parametrize("mtu", [576, 1500])
def test_what_goes_ahead_of_a_picture_is_one_packet(tmp_path, mtu):
    bundle = make_tiny_bundle(tmp_path / "tiny", pictures=[PictureFormat(160, 120, 100, True)])
    frame, room = Encoder(bundle).encode(tiny_frames(1, seed=5)[0]), data_room("camera", mtu)
    ahead, _ = frame.segments(frame.layers, room)
    assert len(ahead.stream) <= room or ahead.count == 1


def test_what_says_nothing_is_not_sent(tmp_path):
    bundle = make_tiny_bundle(tmp_path / "mapped", mapped=True)
    frame = Encoder(bundle).encode(tiny_frames(1, seed=5)[0], kind=bundle.kind(["segmentation"]))
    profile = bundle.profile_of(["segmentation"])
    worth = [profile.accuracy_of(layers, ["segmentation"]) for layers in range(1, frame.layers + 1)]
    assert frame.least == 7 and not frame.segment(0, 6).stream  # six layers of numbers come before the map
    least = wire_size(frame.segments(frame.least, data_room("camera", 1500)), "camera", 1500)
    assert not Cuts(frame, worth, "camera", 1500).within(least - 1)
    assert Cuts(frame, worth, "camera", 1500).within(least)[-1].stream
    found = Cuts(frame, worth, "camera", 1500).choices()
    assert len(found.sizes) == len(found.worth) == frame.layers - 6 and abs(found.sizes[0] - least) <= 2


def check_budgets(frame: EncodedFrame, mtu: int) -> None:
    room = data_room("camera", mtu)
    costs = [wire_size(frame.segments(count, room), "camera", mtu) for count in range(1, frame.layers + 1)]
    for budget in {cost + more for cost in costs for more in (-1, 0, 5)}:
        segments = Cuts(frame, range(frame.layers), "camera", mtu).within(budget)
        assert wire_size(segments, "camera", mtu) <= budget
        got = segments[-1].stop if segments else 0
        affordable = max((count for count, cost in enumerate(costs, 1) if cost <= budget), default=0)
        got_values = frame.latent.coder.code(frame.latent.coder.decode(segments)).numbers.values
        missed = frame.latent.numbers.values[got_values == 0]
        assert got == affordable or budget - costs[affordable - 1] < 2 or not missed.any()
