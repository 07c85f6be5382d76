# SPDX-License-Identifier: Apache-2.0
"""Held frames: what robot's nodes remember of them, and all three nodes at work on a film that hardly moves."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from ros_process import Client, NodeProcess, ros_session, wait_until
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tiny_bundle import make_tiny_bundle, tiny_frames

from nepi_ros.bundle import Bundle
from nepi_ros.errors import ImageError
from nepi_ros.image import from_rgb
from nepi_ros.link.budget import FrameReport
from nepi_ros.motion import Glimpse
from nepi_ros.msg import Classification, EncoderStatus, Epitome, Held, Results
from nepi_ros.nodes.holds import HeldFrame, Holding, Holds
from nepi_ros.tasks import TASKS

ENCODER, RESULT = "/robot/encoder_node", "/robot/result_node"
STILL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
PAN_PX = 2


def pan(number: int) -> np.ndarray:
    """A frame of a slow pan: uint8 [120, 160, 3]."""
    left = PAN_PX * number % 80
    return np.ascontiguousarray(WIDE[:, left : left + 160])


COARSE = np.random.default_rng(3).integers(0, 256, (15, 30, 3), np.uint8)
WIDE = cv2.resize(COARSE, (240, 120), interpolation=cv2.INTER_CUBIC)
OTHER = tiny_frames(1, 160, 120, seed=9)[0]


def header(number: int) -> Header:
    made = Header(frame_id="camera")
    made.stamp.sec = number
    return made


# What is remembered


def holding(answered: bool | None = True) -> Holding:
    """After frame 0, which came at 0 s, was sent for tasks 7, and answered as a whole, not so, or not yet (None)."""
    made = Holding()
    made.sent(0.0, header(0), Glimpse.of(pan(0)), 7, sequence=5)
    if answered is not None:
        made.reported(5, answered)
    return made


def held(
    made: Holding, at: float = 0.1, tasks: int = 7, frame: np.ndarray | None = None, stamp: int = 1
) -> Held | None:
    glimpse = Glimpse.of(pan(1) if frame is None else frame)
    return made.held(at, header(stamp), glimpse, tasks, longest_s=1.0, patience_s=0.2)


def test_a_frame_that_only_moved_is_held_with_where_it_moved() -> None:
    found = held(holding())
    assert (found.header, found.sent, found.task_mask) == (header(1), header(0), 7)
    assert HeldFrame.of(found).motion.matrix == pytest.approx(np.array([[1, 0, -PAN_PX / 160], [0, 1, 0]]), abs=0.004)


def test_what_changed_or_is_for_other_tasks_is_sent_and_all_after_half_the_time() -> None:
    assert held(holding(), frame=OTHER) is None
    assert held(holding(), tasks=3) is None
    assert held(Holding()) is None
    assert held(holding(), at=0.49) and held(holding(), at=0.51) is None


def test_frames_that_cannot_be_told_apart_are_sent() -> None:
    assert held(holding(), stamp=0) is None


def test_nothing_is_held_to_a_frame_whose_results_are_lost() -> None:
    assert held(holding(answered=None), at=0.19)
    assert held(holding(answered=None), at=0.21) is None
    assert held(holding(answered=False)) is None
    waiting = holding(answered=None)
    waiting.reported(4, False)  # of a frame before it
    assert held(waiting)


def test_until_results_come_those_before_stand_for_what_comes() -> None:
    made = holding()
    made.sent(0.6, header(6), Glimpse.of(pan(1)), 7, sequence=6)
    assert held(made, at=0.7, stamp=7).sent == header(0)
    assert held(made, at=0.99, stamp=7).sent == header(0)
    assert held(made, at=1.01, stamp=7) is None  # overdue, and too long after the one before
    made.reported(6, True)
    assert held(made, at=1.01, stamp=7).sent == header(6)
    made.sent(1.2, header(12), Glimpse.of(pan(1)), 7, sequence=7)
    made.reported(7, False)
    assert held(made, at=1.3, stamp=13) is None


def test_what_is_not_yet_there_may_stand_where_nothing_else_can() -> None:
    made = Holding()
    made.sent(0.0, header(0), Glimpse.of(OTHER), 7, sequence=5)
    made.reported(5, True)
    made.sent(0.1, header(1), Glimpse.of(pan(0)), 7, sequence=6)
    assert held(made, at=0.2, stamp=2).sent == header(1)


@pytest.mark.parametrize(
    ("result_bytes", "return_bytes", "whole"), [(0, 0, True), (900, 0, True), (2700, 1400, True), (2700, 0, False)]
)
def test_results_of_two_messages_are_whole_when_both_came(result_bytes: int, return_bytes: int, whole: bool) -> None:
    report = FrameReport(0, 0.0, 0.0, result_bytes=result_bytes, return_bytes=return_bytes)
    assert report.results_whole is whole


def ask(number: int, sent: int, mask: int = 7) -> HeldFrame:
    return HeldFrame.of(Held(header=header(number), sent=header(sent), task_mask=mask, motion=STILL))


def test_results_are_there_for_held_frames_or_these_wait_for_them() -> None:
    holds, results = Holds(), Results(header=header(0))
    assert holds.came("depth", results) == []
    first, second = ask(1, 0), ask(2, 0, mask=5)
    assert list(holds.asked(first)) == [("depth", results)]
    assert list(holds.asked(second)) == []
    assert holds.came("segmentation", results) == [first, second]
    assert holds.came("segmentation", results) == []
    assert holds.came("classification", Results(header=header(7))) == []
    assert list(holds.asked(ask(9, 8))) == []


def test_memory_is_bounded() -> None:
    holds = Holds()
    for number in range(1000):
        assert not list(holds.asked(ask(number, sent=-number)))
        assert not list(holds.asked(ask(number, sent=2000)))
        holds.came("depth", Results(header=header(number)))
    assert len(holds.came("segmentation", Results(header=header(2000)))) == 64
    assert holds.came("segmentation", Results(header=header(-999))) and not holds.came(
        "segmentation", Results(header=header(-10))
    )
    assert list(holds.asked(ask(1001, 999, mask=2))) and not list(holds.asked(ask(1001, 10, mask=2)))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_no_picture_moves_like_this(value: float) -> None:
    with pytest.raises(ImageError, match="held frame whose picture moved by"):
        HeldFrame.of(Held(motion=[*STILL[:5], value]))


# The nodes


class Robot:
    """A camera before the real nodes, and all that comes of its frames."""

    def __init__(self, client: Client) -> None:
        self.client, self.number = client, itertools.count()
        self.images = client.advertise(Image, "/robot/image")
        self.epitomes = client.listen(Epitome, "/robot/epitome")
        self.held = client.listen(Held, "/robot/held")
        self.results = {task: client.listen(Image, f"/robot/{task}") for task in ("segmentation", "depth")}
        self.results["classification"] = client.listen(Classification, "/robot/classification")
        self.statuses = client.listen(EncoderStatus, f"{ENCODER}/status")

    def send(self, frame: np.ndarray | None = None) -> Header:
        image = from_rgb(pan(next(self.number)) if frame is None else frame)
        image.header.stamp, image.header.frame_id = self.client.node.get_clock().now().to_msg(), "camera"
        self.images.publish(image)
        return image.header

    def result(self, of: Header, task: str = "segmentation") -> Image | Classification | None:
        return next((found for found in self.results[task] if found.header == of), None)

    def answered(self, frame: np.ndarray | None = None) -> Header:
        """Send a frame and wait for all its results."""
        of = self.send(frame)
        wait_until(lambda: all(self.result(of, task) for task in TASKS), "results of all tasks")
        return of

    def was_held(self, of: Header) -> Held | None:
        return next((found for found in list(self.held) if found.header == of), None)

    def until(self, accept: Callable[[Header], bool], what: str) -> Header:
        """Send frames, each answered, until one is as it should be."""
        return wait_until(lambda: [of for of in [self.answered()] if accept(of)], what)[0]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "film", film=True, mapped=True)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with ros_session(tmp_path_factory.mktemp("holds")) as both:
        yield both


@pytest.fixture(scope="module")
def nodes(session, bundle) -> dict[str, NodeProcess]:
    both = {"bundle": str(bundle.path), "threads": 1, "deadline_ms": 10_000.0}
    extra = {
        "encoder_node": {**both, "capacity_override_kbps": 1e5, "max_rate_hz": 0.0},
        "edge_node": {**both, "robots": ["/robot"]},
        "result_node": {"deadline_ms": 10_000.0},
    }
    return {
        name: session[1](name, parameters, namespace="/edge" if name == "edge_node" else "/robot")
        for name, parameters in extra.items()
    }


@pytest.fixture(scope="module")
def robot(session, nodes) -> Robot:
    robot = Robot(session[0])
    for _ in range(200):
        of = robot.send()
        time.sleep(0.05)
        known = robot.statuses and robot.statuses[-1].link == EncoderStatus.LINK_ALIVE
        if known and all(robot.result(of, task) for task in TASKS):
            return robot
    pytest.fail(f"no results; {[process.lines for process in nodes.values()]}")


def test_without_being_asked_every_frame_is_sent(robot):
    for _ in range(3):
        of = robot.answered()
        assert robot.was_held(of) is None and [e for e in robot.epitomes if e.header == of]


def test_of_a_slow_pan_most_frames_are_held_and_all_have_results(robot, session):
    session[0].set_parameters(ENCODER, hold_ms=5000.0)
    try:
        robot.until(robot.was_held, "a held frame")
        held_before, stamps = robot.statuses[-1].frames_held, [robot.answered() for _ in range(12)]
        kept = [robot.was_held(of) for of in stamps]
        assert 6 <= sum(found is not None for found in kept) <= 11  # at most 8 frames show a tenth of the scene anew
        for of, found in zip(stamps, kept, strict=True):
            assert (found is None) == bool([e for e in robot.epitomes if e.header == of])
            if found is not None:
                moved_as_the_picture(robot, found)
        wait_until(lambda: robot.statuses[-1].frames_held >= held_before + 6, "a status that says so")
    finally:
        session[0].set_parameters(ENCODER, hold_ms=0.0)
    assert robot.was_held(robot.answered()) is None


def moved_as_the_picture(robot: Robot, found: Held) -> None:
    """Check a held frame's results: those of the frame that was sent, moved."""
    for task, type_ in (("segmentation", np.uint8), ("depth", np.float32)):
        there, here = (robot.result(of, task) for of in (found.sent, found.header))
        assert (here.width, here.height, here.encoding) == (there.width, there.height, there.encoding)
        before, after = (np.frombuffer(m.data, type_).reshape(m.height, m.width) for m in (there, here))
        assert np.array_equal(after, HeldFrame.of(found).motion.moved(before))
    there, here = (robot.result(of, "classification") for of in (found.sent, found.header))
    assert (here.names, list(here.scores)) == (there.names, list(there.scores))


def test_another_scene_is_sent_at_once(robot, session):
    session[0].set_parameters(ENCODER, hold_ms=5000.0)
    try:
        robot.until(robot.was_held, "a held frame")
        of = robot.answered(OTHER)
        assert robot.was_held(of) is None and [e for e in robot.epitomes if e.header == of]
    finally:
        session[0].set_parameters(ENCODER, hold_ms=0.0)


def test_held_frames_that_come_before_the_results_wait_for_them(robot):
    told = robot.client.advertise(Held, "/robot/held")
    results = robot.client.advertise(Results, "/robot/results")
    sent, of = Header(frame_id="camera"), Header(frame_id="camera")

    def comes() -> bool:
        """Tell of a held frame, then send the results; DDS finds partners at its own pace."""
        now = robot.client.node.get_clock().now()
        sent.stamp, of.stamp = now.to_msg(), now.to_msg()
        sent.stamp.nanosec ^= 1
        told.publish(Held(header=of, sent=sent, task_mask=4, motion=STILL))
        time.sleep(0.05)
        assert robot.result(of, "classification") is None
        results.publish(Results(header=sent, names=["hall"], scores=[1.0]))
        time.sleep(0.05)
        return bool(robot.result(of, "classification"))

    wait_until(comes, "the class of a held frame")


def test_what_no_picture_does_is_refused_and_named_once(robot, session, nodes):
    told = robot.client.advertise(Held, "/robot/held")
    for _ in range(3):
        told.publish(Held(header=header(1), sent=header(0), task_mask=7, motion=[float("nan")] * 6))
        time.sleep(0.05)
    session[0].wait_for_diagnostic(RESULT, lambda v: int(v.get("damaged", 0)) >= 3, "refused messages")
    assert len(nodes["result_node"].matching(r"/robot/held: a held frame whose picture moved by")) == 1
    assert robot.answered()
