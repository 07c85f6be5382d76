# SPDX-License-Identifier: Apache-2.0
"""Frames coded given an earlier one between processes: the encoder node and the edge node, each with the other side's
part played here, over DDS."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from ros_process import Client, NodeProcess, ros_session, wait_until
from sensor_msgs.msg import Image
from tiny_bundle import PICTURES, make_tiny_bundle, tiny_frames

from nepi_ros.bundle import Bundle
from nepi_ros.codec import CodedLatent, Decoder, Earlier, EncodedFrame, Encoder, EpitomeHeader, ReceivedFrames, Segment
from nepi_ros.image import from_rgb
from nepi_ros.msg import EncoderStatus, Epitome, LinkReport, Results
from nepi_ros.nodes.topics import newest
from nepi_ros.tasks import task_names

ENCODER, EDGE = "/robot/encoder_node", "/edge/edge_node"
FRAMES = tiny_frames(2)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    beside = replace(PICTURES[-1], beside=2.0)
    pictures = *PICTURES, beside
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "film", film=True, mapped=True, pictures=pictures)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with ros_session(tmp_path_factory.mktemp("film")) as both:
        yield both


# The robot's node


class Edge:
    """Decodes and reports what encoder_node sends, as edge_node does; `knows` may be taken from it."""

    def __init__(self, client: Client, bundle: Bundle) -> None:
        self.client, self.bundle, self.decoder, self.knows = client, bundle, Decoder(bundle), ReceivedFrames()
        self.seen: list[tuple[Epitome, np.ndarray | None]] = []
        self._reports = client.node.create_publisher(LinkReport, "/robot/link_report", newest(16))
        client.node.create_subscription(Epitome, "/robot/epitome", self._on_epitome, newest(16))
        self._images = client.advertise(Image, "/robot/image")
        self.statuses = client.listen(EncoderStatus, f"{ENCODER}/status")

    def _on_epitome(self, epitome: Epitome) -> None:
        segment, layers, latent = Segment(0, epitome.layer_count, bytes(epitome.data)), 0, None
        try:
            kind = self.bundle.kind(task_names(epitome.task_mask))
            content = self.decoder.read([segment], kind, self.knows.before(epitome.sequence, epitome.back))
            self.knows.keep(epitome.sequence, epitome.handover_ns, content.received)
            layers, latent = epitome.layer_count, content.latent
        except Exception as error:  # noqa: BLE001 - the test looks at what was seen
            latent = error if epitome.back == 0 else None
        self.seen.append((epitome, latent))
        report = {"sequence": epitome.sequence, "handover_ns": epitome.handover_ns, "processing_us": 1}
        self._reports.publish(LinkReport(**report, layers=layers))

    def exchange(self, frame: np.ndarray) -> tuple[Epitome, np.ndarray | None]:
        """Send a frame until an epitome has come of it."""
        image = from_rgb(frame)
        image.header.stamp = self.client.node.get_clock().now().to_msg()
        for _ in range(20):
            self._images.publish(image)
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                for epitome, latent in self.seen:
                    if epitome.header == image.header:
                        return epitome, latent
                time.sleep(0.002)
        pytest.fail(f"no epitome; status {self.statuses[-1:]}")

    def until(self, accept: Callable[[Epitome], bool], what: str) -> Epitome:
        return wait_until(lambda: [e for e, _ in [self.exchange(FRAMES[0])] if accept(e)], what)[0]


@pytest.fixture(scope="module")
def edge(session, bundle) -> Edge:
    parameters = {"bundle": str(bundle.path), "threads": 1, "deadline_ms": 10_000.0, "capacity_override_kbps": 1e5}
    session[1]("encoder_node", parameters, namespace="/robot")
    return Edge(session[0], bundle)


def test_what_the_edge_has_answered_is_what_frames_are_coded_given(edge, bundle):
    useful = bundle.profile.useful_layers(bundle.tasks, len(bundle.layers))
    edge.until(lambda e: e.back > 0 and e.frame_layers == useful, "a frame coded given an earlier one")
    epitome, latent = edge.exchange(FRAMES[0])
    assert epitome.back == 1
    encoder = Encoder(bundle)
    alone = encoder.encode(FRAMES[0], useful).segment()
    assert np.array_equal(latent, bundle.coder().decode([alone]))
    assert len(epitome.data) < 0.7 * len(alone.stream)
    assert wait_until(lambda: edge.statuses[-1].back == 1, "a status that says so")


def test_another_scene_is_coded_by_itself_and_then_known(edge):
    edge.until(lambda e: e.back > 0, "a frame coded given an earlier one")
    epitome, latent = edge.exchange(FRAMES[1])
    assert epitome.back == 0 and latent.any()
    edge.until(lambda e: e.back > 0, "a frame coded given an earlier one")


def test_an_edge_that_forgot_is_told_all_again(edge):
    edge.until(lambda e: e.back > 0, "a frame coded given an earlier one")
    edge.knows = ReceivedFrames()
    epitome, latent = edge.exchange(FRAMES[0])
    assert epitome.back and latent is None
    epitome, latent = edge.exchange(FRAMES[0])
    assert epitome.back == 0 and latent.any()
    edge.until(lambda e: e.back > 0, "a frame coded given an earlier one again")


def test_users_can_have_every_frame_coded_by_itself(edge, session):
    session[0].set_parameters(ENCODER, inter_frame=False)
    try:
        edge.exchange(FRAMES[0])
        assert all(edge.exchange(FRAMES[0])[0].back == 0 for _ in range(3))
    finally:
        session[0].set_parameters(ENCODER, inter_frame=True)
    edge.until(lambda e: e.back > 0, "a frame coded given an earlier one")


@pytest.mark.parametrize("tasks", [["segmentation"], ["depth"], ["depth", "segmentation"]])
def test_frames_of_other_tasks_are_known_as_far_as_they_go(edge, session, tasks):
    edge.until(lambda e: e.back > 0, "a frame coded given an earlier one")
    session[0].set_parameters(ENCODER, tasks=tasks)
    try:
        seen = [edge.exchange(FRAMES[0]) for _ in range(6)]
    finally:
        session[0].set_parameters(ENCODER, tasks=["segmentation", "depth", "classification"])
    for epitome, latent in seen:
        kind = edge.bundle.kind(task_names(epitome.task_mask))
        alone = Encoder(edge.bundle).encode(FRAMES[0], epitome.frame_layers, kind).segment()
        assert np.array_equal(latent, edge.bundle.coder().decode([alone], kind))
    assert seen[-1][0].back > 0


def test_after_a_pause_the_first_frame_is_coded_by_itself(edge, session):
    edge.until(lambda e: e.back > 0, "a frame coded given an earlier one")
    assert session[0].transition(ENCODER, "deactivate") and session[0].transition(ENCODER, "activate")
    wait_until(lambda: session[0].node.count_subscribers("/robot/image"), "a subscription")
    assert edge.exchange(FRAMES[0])[0].back == 0
    edge.until(lambda e: e.back > 0, "a frame coded given an earlier one")


# The edge's node


class Robot:
    """Sends epitomes as encoder_node does, and collects what edge_node answers."""

    def __init__(self, client: Client, bundle: Bundle, name: str) -> None:
        self.client, self.bundle, self.encoder = client, bundle, Encoder(bundle)
        self.sequences = itertools.count()
        self.publisher = client.advertise(Epitome, f"/edge/{name}/epitome")
        self.results = client.listen(Results, f"/edge/{name}/results")

    def coded(self, earlier: Earlier | None = None) -> CodedLatent:
        return self.encoder.encode(FRAMES[0], earlier=earlier).latent

    def exchange(self, coded: CodedLatent | EncodedFrame, layers: int = 0, back: int = 0) -> Results:
        """Send a frame's first layers (0: all of its latent); the message with its report."""
        handover_ns = self.send(coded, layers or len(self.bundle.layers), back)
        answer = lambda: [r for r in self.results if r.report and r.report[0].handover_ns == handover_ns]  # noqa: E731
        return wait_until(answer, "a report")[0]

    def send(self, coded: CodedLatent | EncodedFrame, layers: int, back: int = 0) -> int:
        """Send a frame's first layers; when, in nanoseconds."""
        stream = coded.segment(0, layers).stream
        header = EpitomeHeader(
            next(self.sequences), self.bundle.id, 7, 160, 120, 0, layers, layers, time.monotonic_ns(), back=back
        )
        message = Epitome(**vars(header), data=stream, checksum=header.checksum(stream))
        self.publisher.publish(message)
        return header.handover_ns

    def warm_up(self) -> Robot:
        """Send frames until the edge answers: DDS finds partners on both sides at its own pace."""
        for _ in range(100):
            self.send(self.coded(), layers=1)
            time.sleep(0.05)
            if self.results:
                return self
        pytest.fail("the edge does not answer")


@pytest.fixture(scope="module")
def edge_node(session, bundle) -> NodeProcess:
    parameters = {"bundle": str(bundle.path), "robots": ["r1", "r2"], "threads": 1}
    return session[1]("edge_node", parameters, namespace="/edge")


@pytest.fixture(scope="module")
def robots(session, edge_node, bundle) -> tuple[Robot, Robot]:
    return Robot(session[0], bundle, "r1").warm_up(), Robot(session[0], bundle, "r2").warm_up()


def test_a_frame_coded_given_an_answered_one_has_the_same_results(robots):
    robot, every = robots[0], len(robots[0].bundle.layers)
    alone = robot.exchange(robot.coded())
    for layers in (every, 2):
        earlier = robot.coded().received(every)
        coded = robot.coded(earlier)
        assert coded.after
        given_one = robot.exchange(coded, layers, back=1)
        assert given_one.report[0].layers == layers
        if layers == every:
            assert (given_one.segmentation, given_one.depth) == (alone.segmentation, alone.depth)
            assert (given_one.names, given_one.scores) == (alone.names, alone.scores)
    # The last one's two layers are what the edge has of it.
    earlier = robot.coded().received(2)
    assert robot.exchange(robot.coded(earlier), back=1).segmentation == alone.segmentation


def test_frames_are_kept_for_as_long_as_they_can_be_named(robots):
    robot = robots[0]
    robot.exchange(robot.coded())
    for _ in range(31):
        robot.exchange(robot.coded(), layers=1)
    after = robot.exchange(robot.coded(robot.coded().received(len(robot.bundle.layers))), back=32)
    assert after.report[0].layers == len(robot.bundle.layers)


def test_a_frame_that_is_not_there_is_reported_and_does_no_harm(robots, session):
    robot = robots[0]
    coded = robot.coded(robot.coded().received(len(robot.bundle.layers)))
    next(robot.sequences)  # lost
    before = session[0].count_of(EDGE, "undecodable")
    refused = robot.exchange(coded, back=1)
    assert refused.report[0].layers == 0 and not len(refused.segmentation)
    session[0].wait_for_diagnostic(EDGE, lambda v: int(v.get("undecodable", 0)) > before, "an undecodable frame")
    assert robot.exchange(robot.coded()).report[0].layers == len(robot.bundle.layers)


@pytest.mark.parametrize("back", [33, 255])
def test_a_frame_that_cannot_be_named_is_damage(robots, session, back):
    robot = robots[0]
    before = session[0].count_of(EDGE, "damaged")
    robot.send(robot.coded(), len(robot.bundle.layers), back)
    session[0].wait_for_diagnostic(EDGE, lambda v: int(v.get("damaged", 0)) > before, "a damaged epitome")
    assert robot.exchange(robot.coded()).report[0].layers == len(robot.bundle.layers)


def test_a_robot_does_not_see_another_ones_frames(robots, edge_node):
    first, second = robots
    for _ in range(70):  # so that the first one's numbers are others than the second's
        first.exchange(first.coded(), layers=1)
    first.exchange(first.coded())
    second.sequences = itertools.count(next(first.sequences))
    refused = second.exchange(second.coded(second.coded().received(3)), back=1)
    assert refused.report[0].layers == 0
    assert edge_node.alive and edge_node.matching("which this edge does not have")


def test_a_picture_needs_no_earlier_frame_and_its_latent_does(robots):
    robot, latents = robots[0], len(robots[0].bundle.layers)
    earlier = robot.coded().received(latents)
    for number in range(len(robot.bundle.pictures)):
        layers = latents + number + 1
        frame = robot.encoder.encode(FRAMES[0], layers, earlier=earlier)
        assert frame.latent.after
        needed = robot.bundle.latent_layers(layers)
        assert needed == (latents if robot.bundle.pictures[number].beside else 0)
        next(robot.sequences)  # lost
        assert robot.exchange(frame, layers, back=1).report[0].layers == (0 if needed else layers)
        robot.exchange(robot.coded())
        assert robot.exchange(frame, layers, back=1).report[0].layers == layers
        if needed:  # the picture's latent is known as well
            assert robot.exchange(robot.coded(earlier), back=1).report[0].layers == latents
