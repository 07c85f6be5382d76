# SPDX-License-Identifier: Apache-2.0
"""The edge node as a process of its own, fed with epitomes over DDS."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.serialization import serialize_message
from ros_process import Client, NodeProcess, ros_session, wait_until
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tiny_bundle import LAYERS, PICTURES, PLACES, make_tiny_bundle, tiny_frames

from nepi_ros.bundle import Bundle
from nepi_ros.codec import Content, Decoder, Encoder, EpitomeHeader, Segment, TargetNetworks, untouched
from nepi_ros.link.wire import single_packet, wire_bytes
from nepi_ros.msg import Classification, Epitome, LinkReport, Results
from nepi_ros.nodes.assembler import Frame, Part
from nepi_ros.nodes.edge_node import EdgeNode
from nepi_ros.nodes.frame_encoder import FrameEncoder
from nepi_ros.nodes.inference import Inference, Job
from nepi_ros.nodes.lifecycle import RETRY_S
from nepi_ros.nodes.robot_port import FrameHeader
from nepi_ros.nodes.topics import newest
from nepi_ros.result_code import unpack_depth, unpack_labels
from nepi_ros.tasks import REGISTRY, task_mask

SOURCE = (320, 240)
ALL_TASKS = 7


class Robot:
    """Makes and sends epitomes of one robot, and collects what the edge answers."""

    def __init__(self, client: Client, bundle: Bundle, name: str, answers: str | None = None) -> None:
        self.client, self.bundle, self.name = client, bundle, name
        self.encoded = Encoder(bundle).encode(tiny_frames(1)[0])
        self.sequences = itertools.count()
        self.publisher = client.advertise(Epitome, f"{name}/epitome")
        self.results = client.listen(Results, f"{name}/results")

    def holding(self, field: str) -> list[Results]:
        """The messages so far with something in a field."""
        return [message for message in self.results if len(getattr(message, field))]

    def epitome(self, first: int = 0, stop: int = len(LAYERS), data: bytes | None = None, **fields: int) -> Epitome:
        """A valid epitome of some layers, except for what is given; its checksum always fits."""
        known = {
            "sequence": fields["sequence"] if "sequence" in fields else next(self.sequences),
            "bundle_id": self.bundle.id,
            "task_mask": ALL_TASKS,
            "width": SOURCE[0],
            "height": SOURCE[1],
            "first_layer": first,
            "layer_count": stop - first,
            "frame_layers": stop,
            "handover_ns": time.monotonic_ns(),
        }
        header = EpitomeHeader(**{**known, **fields})
        data = self.encoded.segment(first, stop - first).stream if data is None else data
        message = Epitome(**vars(header), data=data, checksum=header.checksum(data))
        message.header.stamp.sec, message.header.frame_id = 1000 + header.sequence, f"{self.name}/camera"
        return message

    def report_of(self, message: Epitome) -> LinkReport:
        """Wait for the report of a frame."""
        found = lambda: [m.report[0] for m in self.answers(message) if m.report]  # noqa: E731
        return wait_until(found, f"report of frame {message.sequence} of {self.name}")[0]

    def answers(self, message: Epitome) -> list[Results]:
        """What has come back for a frame, up to its report."""
        ends = [k for k, m in enumerate(self.results) if m.report and m.report[0].handover_ns == message.handover_ns]
        if not ends:
            return []
        begin = max((k + 1 for k, m in enumerate(self.results[: ends[0]]) if m.report), default=0)
        return self.results[begin : ends[0] + 1]

    def exchange(self, message: Epitome | None = None) -> LinkReport:
        """Send a frame (a good one unless given) and wait for its report, which is sent after the results."""
        message = message or self.epitome()
        self.publisher.publish(message)
        return self.report_of(message)

    def warm_up(self) -> Robot:
        """Send frames until the edge answers: DDS finds partners on both sides at its own pace."""
        for _ in range(100):
            self.publisher.publish(self.epitome())
            time.sleep(0.05)
            if self.results:
                return self
        pytest.fail(f"the edge does not answer {self.name}")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny", pictures=PICTURES)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with ros_session(tmp_path_factory.mktemp("edge")) as both:
        yield both


@pytest.fixture(scope="module")
def client(session) -> Client:
    return session[0]


@pytest.fixture(scope="module")
def edge(session, bundle) -> NodeProcess:
    parameters = {"bundle": str(bundle.path), "robots": ["r1", "r2"], "threads": 1, "assembly_ms": 50.0}
    return session[1]("edge_node", parameters, namespace="/fleet")


@pytest.fixture(scope="module")
def robot(client, edge, bundle) -> Robot:
    return Robot(client, bundle, "/fleet/r1").warm_up()


@pytest.fixture(scope="module")
def other_robot(client, edge, bundle) -> Robot:
    return Robot(client, bundle, "/fleet/r2").warm_up()


def arriving(message: Epitome) -> int:
    """Serialised bytes as they arrive: RTPS pads to whole words."""
    return -(-len(serialize_message(message)) // 4) * 4


def counted(client: Client, kind: str, at_least: int) -> int:
    """Wait until the edge's diagnostics count a kind of problem so often."""
    client.wait_for_diagnostic("/fleet/edge_node", lambda v: int(v.get(kind, 0)) >= at_least, f"{at_least} {kind}")
    return client.count_of("/fleet/edge_node", kind)


def last_labels(robot: Robot) -> np.ndarray:
    return unpack_labels(bytes(robot.holding("segmentation")[-1].segmentation))


def last_depth(robot: Robot) -> np.ndarray:
    return unpack_depth(bytes(robot.holding("depth")[-1].depth))


def test_results_keep_the_header_and_lie_over_the_source(robot):
    message = robot.epitome()
    report = robot.exchange(message)
    assert report.layers == len(LAYERS) and report.missed == 0 and report.arrival_spread_us == 0
    assert report.bytes == arriving(message) and 0 < report.processing_us < 5e6
    assert all(answer.header == message.header for answer in robot.answers(message))
    assert last_labels(robot).shape == (120, 160)
    metres = last_depth(robot)
    assert metres.shape == (60, 80) and np.isfinite(metres).all()
    classes = robot.holding("names")[-1]
    assert set(classes.names) == set(PLACES) and list(classes.scores) == sorted(classes.scores, reverse=True)


@pytest.mark.parametrize("layers", range(1, len(LAYERS) + 1))
def test_cut_at_every_layer_boundary(robot, layers):
    report = robot.exchange(robot.epitome(stop=layers))
    assert report.layers == layers


def test_only_the_wanted_tasks(robot):
    before = len(robot.holding("depth")), len(robot.holding("names"))
    message = robot.epitome(task_mask=Epitome.TASK_SEGMENTATION)
    robot.exchange(message)
    assert robot.holding("segmentation")[-1].header == message.header
    robot.exchange()
    assert (len(robot.holding("depth")), len(robot.holding("names"))) == (before[0] + 1, before[1] + 1)


def result_sizes(robot: Robot) -> tuple[int, int, int]:
    """Widths of the last segmentation and depth, and how many classes were named last."""
    return last_labels(robot).shape[1], last_depth(robot).shape[1], len(robot.holding("names")[-1].names)


FULL, LEAST = (160, 80, len(PLACES)), (40, 20, 1)


def cost(robot: Robot, message: Epitome) -> int:
    """Bytes on the wire of what came back for a frame."""
    return sum(wire_bytes(len(serialize_message(answer))) for answer in robot.answers(message))


def test_the_report_says_what_the_results_cost(robot):
    message, less = robot.epitome(), robot.epitome(task_mask=Epitome.TASK_SEGMENTATION)
    report = robot.exchange(message)
    assert report.result_bytes == cost(robot, message)
    assert robot.exchange(less).result_bytes == cost(robot, less) < report.result_bytes


def test_results_are_cut_to_the_grant_the_last_task_first(robot):
    full = robot.exchange()
    assert result_sizes(robot) == FULL
    granted = full.result_bytes - 100
    message = robot.epitome(result_bytes=granted)
    assert robot.exchange(message).result_bytes == cost(robot, message) <= granted
    segmentation, depth, _ = result_sizes(robot)
    assert segmentation == 160 and depth < 80
    message = robot.epitome(result_bytes=granted, yields=Epitome.TASK_SEGMENTATION)
    assert robot.exchange(message).result_bytes == cost(robot, message) <= granted
    segmentation, depth, _ = result_sizes(robot)
    assert segmentation < 160 and depth == 80
    robot.exchange(robot.epitome(result_bytes=full.result_bytes))
    assert result_sizes(robot) == FULL


def test_classes_beyond_the_first_give_way_before_maps_do(robot):
    full = robot.exchange()
    robot.exchange(robot.epitome(result_bytes=full.result_bytes - 1))
    segmentation, depth, classes = result_sizes(robot)
    assert (segmentation, depth) == FULL[:2] and 1 <= classes < FULL[2]


def test_results_and_report_are_one_packet_where_they_fit(robot):
    message = robot.epitome()
    robot.exchange(message)
    (answer,) = robot.answers(message)
    assert answer.report and len(serialize_message(answer)) <= single_packet()


@pytest.mark.parametrize("yields", [0, 7, 255])
def test_whatever_is_granted_results_are_as_small_as_they_get_at_most(robot, yields):
    robot.exchange(robot.epitome(result_bytes=1, yields=yields))
    assert result_sizes(robot) == LEAST
    robot.exchange(robot.epitome(result_bytes=2**32 - 1, yields=yields))
    assert result_sizes(robot) == FULL


def parts_of(robot: Robot, *cuts: int) -> list[Epitome]:
    """One frame as several messages, cut before the given layers."""
    common = {"sequence": next(robot.sequences), "handover_ns": time.monotonic_ns()}
    bounds = [0, *cuts, len(LAYERS)]
    return [
        robot.epitome(a, b, frame_layers=len(LAYERS), **common)
        for a, b in itertools.pairwise(bounds)
    ]


def test_a_frame_of_several_messages(robot):
    parts = parts_of(robot, 2, 4)
    for part in reversed(parts):
        robot.publisher.publish(part)
    report = robot.report_of(parts[0])
    assert report.layers == len(LAYERS) and report.arrival_spread_us > 0
    assert report.bytes == sum(arriving(part) for part in parts)


def test_a_lost_message_leaves_the_prefix(robot):
    first, _, last = parts_of(robot, 2, 4)
    robot.publisher.publish(first)
    robot.publisher.publish(last)
    report = robot.report_of(first)
    assert report.layers == 2 and report.processing_us > 40_000  # waited for the rest


@pytest.mark.parametrize("picture", range(1, len(PICTURES) + 1))
def test_pictures(robot, bundle, picture):
    message = robot.epitome(stop=len(LAYERS) + picture)
    report = robot.exchange(message)
    assert report.layers == len(LAYERS) + picture and report.bytes == arriving(message)
    spec, rgb = bundle.tasks["segmentation"], tiny_frames(1)
    logits = TargetNetworks(bundle, ["segmentation"]).run(untouched(rgb))["segmentation"][0]
    wanted = REGISTRY["segmentation"].result(logits, (160, 120), spec)
    assert (last_labels(robot) == wanted).mean() > 0.97


def test_a_latent_that_comes_with_a_picture_has_its_say(client, session, tmp_path):
    picture = replace(PICTURES[0], beside=2.0)
    both = make_tiny_bundle(tmp_path / "both", mapped=True, pictures=[picture])
    edge = session[1]("edge_node", {"bundle": str(both.path), "robots": ["r1"], "threads": 1}, namespace="/both")
    robot = Robot(client, both, "/both/r1").warm_up()
    message = robot.epitome(stop=both.layer_count)
    assert robot.exchange(message).layers == both.layer_count
    spec, entry, image = both.tasks["segmentation"], REGISTRY["segmentation"], tiny_frames(1)[0]
    answer = Decoder(both).decode([[robot.encoded.segment(0, len(both.layers))]])[0].answers["segmentation"]
    shown = picture.read(picture.write(image), both.input_size)
    looked = TargetNetworks(both, ["segmentation"]).run(untouched(shown[None]))["segmentation"][0]
    wanted, alone = (entry.result(x, (160, 120), spec) for x in (entry.blend(looked, answer, picture.beside), looked))
    labels = last_labels(robot)
    assert (labels == wanted).mean() > 0.999 and not np.array_equal(wanted, alone)
    assert edge.stop() == 0


def test_latents_ahead_of_a_picture_are_decoded_when_it_is_lost(robot):
    layers = len(LAYERS) + 1
    common = {"frame_layers": layers, "handover_ns": time.monotonic_ns(), "sequence": next(robot.sequences)}
    robot.publisher.publish(robot.epitome(0, 2, **common))
    report = robot.report_of(robot.epitome(0, 2, **common))
    assert report.layers == 2 and report.processing_us > 40_000  # waited for the picture
    common |= {"handover_ns": time.monotonic_ns(), "sequence": next(robot.sequences)}
    parts = robot.epitome(0, 2, **common), robot.epitome(0, layers, **common)
    for part in parts:
        robot.publisher.publish(part)
    report = robot.report_of(parts[0])
    assert report.layers == layers and report.bytes == sum(map(arriving, parts)) and report.arrival_spread_us > 0


def test_nothing_decodes_without_the_first_layers(robot):
    before = len(robot.holding("segmentation"))
    _, last = parts_of(robot, 2)
    robot.publisher.publish(last)
    assert robot.report_of(last).layers == 0
    assert len(robot.holding("segmentation")) == before


def test_two_robots_get_their_own_results(robot, other_robot):
    messages = {r: r.epitome(width=w, height=h) for r, w, h in ((robot, 320, 240), (other_robot, 320, 160))}
    for sender, message in messages.items():
        sender.publisher.publish(message)
    for sender, message in messages.items():
        sender.report_of(message)
        assert sender.results[-1].header.frame_id == f"{sender.name}/camera"
    assert last_labels(robot).shape == (120, 160)
    assert last_labels(other_robot).shape == (80, 160)


@pytest.mark.parametrize(("source", "size"), [((16384, 1), (160, 1)), ((1, 16384), (160, 640))])
def test_sources_of_extreme_shape(robot, source, size):
    robot.exchange(robot.epitome(width=source[0], height=source[1]))
    labels = last_labels(robot)
    assert (labels.shape[1], labels.shape[0]) == size


def flipped(message: Epitome) -> Epitome:
    data = bytearray(message.data)
    data[len(data) // 2] ^= 0x10
    message.data = bytes(data)
    return message


def truncated(message: Epitome) -> Epitome:
    message.data = bytes(message.data)[:-7]
    return message


BAD = {
    "foreign bundle": ("foreign_bundle", r"made with bundle", lambda r: r.epitome(bundle_id=0xDEADBEEF)),
    "bit-flipped": ("damaged", r"checksum does not match", lambda r: flipped(r.epitome())),
    "truncated": ("damaged", r"checksum does not match", lambda r: truncated(r.epitome())),
    "absurd source": ("damaged", r"source of 0 x 65535", lambda r: r.epitome(width=0, height=65535)),
    "absurd layers": ("damaged", r"claims 255 layers from 250", lambda r: r.epitome(first_layer=250, layer_count=255)),
    "unknown tasks": ("unavailable_task", r"asks for tasks", lambda r: r.epitome(task_mask=0xF8)),
    "garbage": ("undecodable", r"40000 bytes are more than any 1 layers", lambda r: r.epitome(0, 1, b"\xff" * 40000)),
    "no picture": ("undecodable", r"picture is damaged", lambda r: r.epitome(0, len(LAYERS) + 1, b"\xff" * 400)),
    "not a message": ("unreadable", r"cannot be read as Epitome", lambda r: serialize_message(r.epitome())[:40]),
}


@pytest.fixture(scope="module")
def layers_after(robot, other_robot, edge) -> dict[str, int]:
    """Sends every bad epitome five times to an edge that has seen none; the layers of the good frame after each."""
    layers = {}
    for what, (kind, _, make) in BAD.items():
        for _ in range(5):
            if kind == "undecodable":  # gets as far as the queue, where a newer frame would replace it
                robot.exchange(make(robot))
            else:
                robot.publisher.publish(make(robot))
                time.sleep(0.005)
        layers[what] = robot.exchange().layers
    return layers


@pytest.mark.parametrize("what", BAD)
def test_bad_epitomes_are_counted_and_the_next_good_one_works(layers_after, client, what):
    assert layers_after[what] == len(LAYERS)
    kind = BAD[what][0]
    assert counted(client, kind, 5 * sum(other == kind for other, _, _ in BAD.values()))


@pytest.mark.parametrize("kind", sorted({kind for kind, _, _ in BAD.values()}))
def test_bad_epitomes_give_one_line_that_names_the_topic(layers_after, edge, kind):
    first = next(words for other, words, _ in BAD.values() if other == kind)
    line = edge.wait_for_line(rf"\[WARN\].*/fleet/r1/epitome: .*({first})")
    others = "|".join(words for other, words, _ in BAD.values() if other == kind)
    assert edge.matching(others) == [line]


def test_older_and_repeated_messages_are_counted(robot, client):
    older, duplicates = (client.count_of("/fleet/edge_node", kind) for kind in ("older", "duplicate"))
    late, message = robot.epitome(), robot.epitome()
    robot.exchange(message)
    robot.publisher.publish(message)
    robot.publisher.publish(late)
    counted(client, "older", older + 1)
    counted(client, "duplicate", duplicates + 1)


def test_a_restarted_robot_is_followed(robot):
    robot.sequences = itertools.count()
    report = robot.exchange()
    assert report.sequence == 0 and report.missed == 0
    assert robot.exchange(robot.epitome(sequence=7)).missed == 6
    robot.sequences = itertools.count(8)


def test_who_listens_on_the_edge_sees_results_too(robot, client):
    images = client.listen(Image, "/fleet/edge_node/r1/segmentation")
    classes = client.listen(Classification, "/fleet/edge_node/r1/classification")
    for _ in range(100):
        robot.exchange(robot.epitome(result_bytes=1))  # only what crosses the radio must be small
        if images and classes:
            break
    assert (images[-1].encoding, images[-1].width, images[-1].height) == ("mono8", 160, 120)
    assert set(classes[-1].names) == set(PLACES)


def test_robots_come_and_go_at_run_time(robot, client, bundle, edge):
    assert client.set_parameters("/fleet/edge_node", robots=["r1", "r2", "r3"])[0].successful
    third = Robot(client, bundle, "/fleet/r3").warm_up()
    assert third.exchange().layers == len(LAYERS) and robot.exchange().layers == len(LAYERS)
    assert client.set_parameters("/fleet/edge_node", robots=["r1", "r2"])[0].successful
    wait_until(lambda: not client.node.count_subscribers("/fleet/r3/epitome"), "the edge leaves r3 alone")
    refused = client.set_parameters("/fleet/edge_node", robots=["r1", "no such/name!"])[0]
    assert not refused.successful and "robots" in refused.reason
    refused = client.set_parameters("/fleet/edge_node", robots=["r2", "a" * 240])[0]
    assert not refused.successful and "has 240 characters; at most 128" in refused.reason
    assert robot.exchange().layers == len(LAYERS)


def test_lifecycle_and_another_bundle(robot, client, edge, tmp_path):
    node = "/fleet/edge_node"
    refused = client.set_parameters(node, bundle=str(tmp_path / "new"))[0]
    assert not refused.successful and "unconfigured" in refused.reason
    assert client.transition(node, "deactivate") and client.state_of(node) == "inactive"
    assert not client.node.count_subscribers("/fleet/r1/epitome")
    assert client.transition(node, "cleanup") and client.state_of(node) == "unconfigured"

    assert client.set_parameters(node, bundle=str(tmp_path / "new"))[0].successful
    assert not client.transition(node, "configure")
    assert client.state_of(node) == "unconfigured"
    edge.wait_for_line(r"cannot configure: .*/new: no bundle")

    damaged = make_tiny_bundle(tmp_path / "new", seed=1)
    network = damaged.path / "depth.onnx"
    good = network.read_bytes()
    network.write_bytes(good[:-1] + b"?")
    assert not client.transition(node, "configure")
    client.wait_for_diagnostic(node, lambda v: int(v.get("configure_failed", 0)) >= 2, "two refused configurations")
    assert client.diagnostics[node.lstrip("/")].level == DiagnosticStatus.ERROR
    assert "depth.onnx" in client.diagnostics[node.lstrip("/")].message

    network.write_bytes(good)
    assert client.transition(node, "configure") and client.transition(node, "activate")
    robot.bundle = damaged
    robot.encoded = Encoder(damaged).encode(tiny_frames(1)[0])
    robot.warm_up()
    assert robot.exchange().layers == len(LAYERS)


def test_starts_by_itself_as_soon_as_its_bundle_is_there(session, client, bundle, tmp_path):
    place = tmp_path / "later"
    waiting = session[1]("edge_node", {"bundle": str(place)}, namespace="/alone")
    waiting.wait_for_line(r"\[ERROR\].*cannot configure: .*/later: no bundle of that path or name")
    assert client.state_of("/alone/edge_node") == "unconfigured"
    shutil.copytree(bundle.path, Path(place))
    wait_until(lambda: client.state_of("/alone/edge_node") == "active", "the node comes up")
    assert waiting.stop() == 0


def test_a_node_that_waits_for_its_bundle_can_be_shut_down(session, client, tmp_path):
    waiting = session[1]("edge_node", {"bundle": str(tmp_path / "never")}, namespace="/given_up")
    waiting.wait_for_line(r"\[ERROR\].*cannot configure: .*/never: no bundle of that path or name")
    assert client.transition("/given_up/edge_node", "shutdown")
    time.sleep(2 * RETRY_S)
    assert client.state_of("/given_up/edge_node") == "finalized" and waiting.stop() == 0


def test_wrong_parameters_end_the_node_with_one_line(session):
    process = session[1]("edge_node", {"assembly_ms": -1.0}, namespace="/wrong")
    wait_until(lambda: not process.alive, "the node ends")
    assert process.stop() != 0
    assert [line for line in process.lines if "assembly_ms" in line] == process.lines


def test_a_frame_that_crashes_leaves_the_next_alone(bundle, monkeypatch):
    rclpy.init(args=["--ros-args", "-p", f"bundle:={bundle.path}", "-r", "__ns:=/inside"])
    node = EdgeNode()
    try:
        node.start()
        run, calls = Inference.run, []

        def run_or_crash(self: Inference, jobs: Sequence[Job]) -> Iterator[tuple[int, str, np.ndarray]]:
            calls.append(len(jobs))
            if len(calls) < 3:
                raise MemoryError("no room")
            return run(self, jobs)

        monkeypatch.setattr(Inference, "run", run_or_crash)
        (port,) = node._ports.values()
        data = Encoder(bundle).encode(tiny_frames(1)[0], len(LAYERS)).segment().stream
        for sequence in range(3):
            header = EpitomeHeader(sequence, bundle.id, ALL_TASKS, *SOURCE, 0, len(LAYERS), len(LAYERS), sequence)
            message = Epitome(**vars(header), data=data, checksum=header.checksum(data))
            node._on_epitome(port, serialize_message(message))
            wait_until(lambda done=sequence + 1: len(calls) == done, "the worker's turn")
        wait_until(lambda: port.frames == 1, "the third frame's results")
        assert node.problems.counts() == {"failed": 2}
        assert "MemoryError: no room" in node.problems.recent(60.0)
    finally:
        node.close()
        node.destroy_node()
        rclpy.try_shutdown()


def test_a_frame_that_cannot_be_read_leaves_the_others_of_its_batch_alone(bundle, monkeypatch):
    robots = "-p", "robots:=[one, two]"
    rclpy.init(args=["--ros-args", "-p", f"bundle:={bundle.path}", *robots, "-r", "__ns:=/batch"])
    node = EdgeNode()
    try:
        node.start()
        content = Inference.content

        def content_or_crash(self: Inference, segments: Sequence[Segment], *rest: object) -> Content | None:
            if segments[0].stream == b"bad":
                raise ValueError("of another shape")
            return content(self, segments, *rest)

        monkeypatch.setattr(Inference, "content", content_or_crash)
        good = Encoder(bundle).encode(tiny_frames(1)[0], 1).segment()
        header, frames = FrameHeader(Header(), ALL_TASKS, SOURCE), []
        for robot, segment in (("one", good._replace(stream=b"bad")), ("two", good)):
            part = Part(0, 0, 1, segment, 100, time.monotonic(), header)
            frames.append((robot, Frame.begin(part)))
            frames[-1][1].add(part)
        node._answer(frames)
        assert node.problems.counts() == {"undecodable": 1}
        assert {robot: port.frames for robot, port in node._ports.items()} == {"one": 0, "two": 1}
    finally:
        node.close()
        node.destroy_node()
        rclpy.try_shutdown()


@pytest.mark.parametrize("tasks", [["segmentation"], ["depth", "classification"], ["segmentation", "depth"]])
def test_a_frame_comes_with_the_kind_of_layers_that_its_tasks_need(tmp_path, tasks):
    bundle, image = make_tiny_bundle(tmp_path / "mapped", mapped=True), tiny_frames(1, seed=7)[0]
    encoder, inference = FrameEncoder(bundle, threads=1), Inference(bundle, [], threads=1)
    height, width = image.shape[:2]
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width, data=image.tobytes())
    frame = encoder.encode(encoder.picture(message), tasks, pictures=False)
    assert frame.latent.coder.layers == len(bundle.layers) > len(LAYERS)
    assert (frame.latent.numbers is None) == (tasks == ["segmentation"])
    assert (frame.latent.classes is None) == ("segmentation" not in tasks)
    mask = task_mask(tasks)
    content = inference.content(frame.segments(frame.layers, room=100), mask)
    outputs = {task: output for _, task, output in inference.run([Job(content, mask)])}
    wanted = TargetNetworks(bundle, tasks).run(untouched(image[None]))
    for task in tasks:
        meter, spec = REGISTRY[task].agreement(bundle.tasks[task]), bundle.tasks[task]
        meter.add(*(REGISTRY[task].result(o, bundle.input_size, spec) for o in (outputs[task], wanted[task][0])))
        assert meter.value() > 0.8, task


def test_newest_is_what_the_radio_needs():
    assert newest(3, 0.15).lifespan.nanoseconds == 150_000_000
