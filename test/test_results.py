# SPDX-License-Identifier: Apache-2.0
"""Results lie over the source at the same relative place, and become messages of standard types."""

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from std_msgs.msg import Header
from tiny_bundle import CLASSES, PLACES, make_tiny_bundle

from nepi_ros.bundle import Bundle
from nepi_ros.image import Letterbox
from nepi_ros.link.returns import SMALLEST, UNLIMITED
from nepi_ros.link.wire import single_packet
from nepi_ros.nodes.results import ResultMessages, ResultSizes, over_source
from nepi_ros.result_code import unpack_depth, unpack_labels

SOURCES = [(640, 480), (640, 360), (480, 640), (333, 77)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


def depth_over_input(letterbox: Letterbox, size: tuple[int, int]) -> np.ndarray:
    """A depth output [1, h, w] of 1 m at the source's left edge to 2 m at its right edge."""
    x, _, width, _ = letterbox.content
    u = ((np.arange(size[0]) + 0.5) * letterbox.input_size[0] / size[0] - x) / width
    return np.broadcast_to(1 + u, (1, size[1], size[0])).astype(np.float32)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("width", [0, 80, 160])
def test_a_ramp_over_the_source_stays_one(bundle, source, width):
    letterbox = Letterbox(source, bundle.input_size)
    result = over_source("depth", depth_over_input(letterbox, (40, 30)), bundle, source, width)
    columns = result.shape[1]
    if width:
        assert result.shape == (max(1, round(width * source[1] / source[0])), width)
    expected = 1 + (np.arange(columns) + 0.5) / columns
    # The outermost half pixels of the network's output cannot be told from their neighbours.
    np.testing.assert_allclose(result[len(result) // 2], expected, atol=0.6 / (40 * letterbox.content[2] / 160))


@pytest.mark.parametrize("source", SOURCES)
def test_class_borders_stay_in_place(bundle, source):
    letterbox = Letterbox(source, bundle.input_size)
    nearer = depth_over_input(letterbox, (40, 30))
    logits = np.concatenate([1.5 - nearer, nearer - 1.5, -9 + 0 * nearer, -9 + 0 * nearer])
    labels = over_source("segmentation", logits, bundle, source, 160)
    row = labels[len(labels) // 2]
    assert row[0] == 0 and row[-1] == 1 and abs(int((row == 0).sum()) - 80) <= 2


def random_outputs() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "segmentation": random.normal(size=(len(CLASSES), 30, 40)).astype(np.float32),
        "depth": random.uniform(1, 5, (1, 30, 40)).astype(np.float32),
        "classification": np.array([0, 3, 1, 2, 0], np.float32),
    }


def test_messages_keep_header_and_content(bundle):
    header, outputs = Header(frame_id="camera"), random_outputs()
    messages = ResultMessages(bundle, ResultSizes(segmentation=0, depth=20, top_k=2))
    dense = {task: messages.dense(task, outputs[task], (320, 240)) for task in ("segmentation", "depth")}
    assert dense["segmentation"].shape == (30, 40) and dense["depth"].shape == (15, 20)
    (sent,) = messages.within(UNLIMITED, outputs, 0, (320, 240), header)
    np.testing.assert_array_equal(unpack_labels(bytes(sent.segmentation)), dense["segmentation"])
    np.testing.assert_allclose(unpack_depth(bytes(sent.depth)), dense["depth"], rtol=0.1)
    assert messages.raw("depth", dense["depth"], header).encoding == "32FC1"
    best = messages.classification(outputs["classification"], header)
    assert list(best.names) == [PLACES[1], PLACES[3]] == list(sent.names) and best.scores[0] > best.scores[1]
    assert sent.header == best.header == header and len(sent.report) == 1


@pytest.mark.parametrize("frame_id", ["", "camera", "a/very/long/name/of/a/frame" * 20])
@pytest.mark.parametrize("granted", [UNLIMITED, SMALLEST, 900, 1500, 2500])
def test_messages_are_a_packet_each_where_their_results_are(bundle, frame_id, granted):
    messages = ResultMessages(bundle, ResultSizes(segmentation=80, depth=80, top_k=5))
    made = messages.within(granted, random_outputs(), 0, (320, 240), Header(frame_id=frame_id))
    assert [len(message.report) for message in made] == [0] * (len(made) - 1) + [1]
    for message in made:
        alone = sum(map(bool, (message.segmentation, message.depth, message.names))) == 1
        assert alone or len(serialize_message(message)) <= single_packet()
    assert len(made) > 1 or granted != UNLIMITED  # noise is large


def test_without_results_there_is_still_a_report(bundle):
    messages = ResultMessages(bundle, ResultSizes(segmentation=40, depth=30, top_k=5))
    (made,) = messages.within(1, {}, 0, (320, 240), Header())
    assert made.report and not (made.names or made.segmentation or made.depth)
