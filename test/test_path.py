# SPDX-License-Identifier: Apache-2.0
"""The whole path: two robots and one edge, every node a process of its own, over DDS."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from ros_process import Client, NodeProcess, ros_session, wait_until
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tiny_bundle import make_tiny_bundle, tiny_frames

from nepi_ros.bundle import Bundle
from nepi_ros.codec import Decoder, Encoder, TargetNetworks
from nepi_ros.image import Letterbox, from_rgb
from nepi_ros.msg import Classification, EncoderStatus, Epitome, Results
from nepi_ros.nodes.results import over_source
from nepi_ros.result_code import unpack_depth

SOURCES = {"/r1": (320, 240), "/r2": (200, 240)}
FRAMES = {robot: tiny_frames(3, *size, seed=5) for robot, size in SOURCES.items()}


class Robot:
    """A robot's camera, and what its users see."""

    def __init__(self, client: Client, name: str) -> None:
        self.client, self.name = client, name
        self.images = client.advertise(Image, f"{name}/image")
        self.camera_infos = client.advertise(CameraInfo, f"{name}/camera_info")
        self.radio = client.listen(Results, f"{name}/results")
        self.segmentations = client.listen(Image, f"{name}/segmentation")
        self.depths = client.listen(Image, f"{name}/depth")
        self.infos = client.listen(CameraInfo, f"{name}/depth/camera_info")
        self.classes = client.listen(Classification, f"{name}/classification")
        self.epitomes = client.listen(Epitome, f"{name}/epitome")
        self.statuses = client.listen(EncoderStatus, f"{name}/encoder_node/status")

    def send(self, frame: int = 0) -> Header:
        """Send a frame; its header, by which to know its results."""
        stamp = self.client.node.get_clock().now().to_msg()
        header = Header(stamp=stamp, frame_id=f"{self.name}/camera")
        width, height = SOURCES[self.name]
        focal = [300.0, 0, 0, 0, 300, 0, 0, 0, 1]
        self.camera_infos.publish(CameraInfo(header=header, width=width, height=height, k=focal))
        self.images.publish(from_rgb(FRAMES[self.name][frame], header=header))
        return header

    def result(self, heard: list, header: Header) -> object:
        return wait_until(lambda: [m for m in heard if m.header == header], f"a result of {self.name}")[0]

    def warm_up(self) -> Robot:
        """Send frames until all kinds of result are back, as discovery takes its time."""
        kinds = (self.segmentations, self.depths, self.infos, self.classes, self.statuses)
        counts = [len(kind) for kind in kinds]

        def answered() -> bool:
            self.send()
            time.sleep(0.05)
            return all(len(kind) > count for kind, count in zip(kinds, counts, strict=True))

        wait_until(answered, f"results of {self.name}")
        return self

    def settle(self) -> Robot:
        """Send frames until results come as large as configured: both ways of the link are found frame by frame."""

        def full() -> bool:
            self.send()
            time.sleep(0.1)  # not for this frame's result: on a busy machine a frame may be lost
            depth = next(message.depth for message in reversed(self.radio) if message.depth)
            return unpack_depth(bytes(depth)).shape[1] == 80

        wait_until(full, f"full results of {self.name}")
        self.result(self.depths, self.send())
        return self


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with ros_session(tmp_path_factory.mktemp("path")) as both:
        yield both


@pytest.fixture(scope="module")
def client(session) -> Client:
    return session[0]


@pytest.fixture(scope="module")
def start(session, bundle) -> Callable[..., NodeProcess]:
    """Starts a node with this bundle."""

    def start_node(module: str, namespace: str = "", **parameters: object) -> NodeProcess:
        common = {"bundle": str(bundle.path), "deadline_ms": 2000.0, "threads": 1, "max_rate_hz": 0.0}
        return session[1](module, {**common, **parameters}, namespace=namespace)

    return start_node


@pytest.fixture(scope="module")
def nodes(start) -> dict[str, NodeProcess]:
    started = {"edge": start("edge_node", robots=["r1", "r2"])}
    for robot in SOURCES:
        started[f"{robot} encoder"] = start("encoder_node", robot)
        started[f"{robot} result"] = start("result_node", robot)
    return started


@pytest.fixture(scope="module")
def robots(client, nodes) -> dict[str, Robot]:
    return {name: Robot(client, name).warm_up().settle() for name in SOURCES}


def expected(bundle: Bundle, robot: str, frame: int, task: str, width: int) -> np.ndarray:
    """A result computed here, without any node."""
    letterbox = Letterbox(SOURCES[robot], bundle.input_size)
    layers = bundle.profile.useful_layers(bundle.tasks)
    segment = Encoder(bundle).encode(letterbox.apply(FRAMES[robot][frame]), layers).segment()
    output = TargetNetworks(bundle, [task]).see(Decoder(bundle).decode([[segment]]))[task][0]
    return over_source(task, output, bundle, SOURCES[robot], width)


@pytest.mark.parametrize("frame", range(3))
def test_each_robot_gets_the_results_of_its_own_frames(robots, bundle, frame):
    headers = {name: robot.send(frame) for name, robot in robots.items()}
    for name, robot in robots.items():
        segmentation = robot.result(robot.segmentations, headers[name])
        labels = np.frombuffer(segmentation.data, np.uint8).reshape(segmentation.height, segmentation.width)
        np.testing.assert_array_equal(labels, expected(bundle, name, frame, "segmentation", 160))
        depth = robot.result(robot.depths, headers[name])
        metres = np.frombuffer(depth.data, "<f4").reshape(depth.height, depth.width)
        np.testing.assert_allclose(metres, expected(bundle, name, frame, "depth", 80), rtol=0.05)
        info = robot.result(robot.infos, headers[name])
        assert (info.width, info.height) == (depth.width, depth.height)
        assert info.k[0] == pytest.approx(300.0 * depth.width / SOURCES[name][0])
        assert robot.result(robot.classes, headers[name]).names


def test_tasks_of_one_robot_leave_the_other_alone(robots, client):
    first, second = robots.values()
    client.set_parameters("/r1/encoder_node", tasks=["depth"])
    try:
        headers = first.send(), second.send()
        first.result(first.depths, headers[0])
        second.result(second.segmentations, headers[1])
        first.result(first.depths, first.send())
        assert headers[0] not in [message.header for message in (*first.segmentations, *first.classes)]
    finally:
        client.set_parameters("/r1/encoder_node", tasks=["segmentation", "depth", "classification"])


def test_a_shorter_deadline_sends_less_or_nothing(robots, client):
    robot = robots["/r1"]
    robot.result(robot.segmentations, robot.send())
    before = robot.epitomes[-1].frame_layers
    client.set_parameters("/r1/encoder_node", deadline_ms=100.0, capacity_override_kbps=50.0)
    try:

        def changed() -> bool:
            robot.send()
            time.sleep(0.1)
            return robot.epitomes[-1].frame_layers < before or robot.statuses[-1].frames_skipped > 0

        wait_until(changed, "smaller epitomes")
    finally:
        client.set_parameters("/r1/encoder_node", deadline_ms=2000.0, capacity_override_kbps=0.0)


def test_the_encoder_learns_of_the_link_and_the_results_of_the_deadline(robots, client):
    robot = robots["/r1"]

    def known() -> bool:
        robot.result(robot.segmentations, robot.send())
        return not math.isnan(robot.statuses[-1].round_trip_ms)

    wait_until(known, "a round trip")
    status = robot.statuses[-1]
    assert 0 < status.round_trip_ms < 2000 and 0 < status.edge_ms < 2000 and status.frames_sent > 0
    values = client.wait_for_diagnostic(
        "/r1/result_node", lambda v: float(v["hit_rate"]) > 0.5 and int(v["frames_in_window"]) > 3, "hits"
    ).values
    assert 0 < float({pair.key: pair.value for pair in values}["latency_p50_ms"]) < 2000


def test_no_node_is_large(nodes):
    assert {name: node.resident_mb() for name, node in nodes.items() if node.resident_mb() > 300} == {}


def test_the_path_outlives_a_restart_of_encoder_and_edge(robots, nodes, start, client):
    robot = robots["/r1"]
    nodes["/r1 encoder"].stop()
    nodes["/r1 encoder"] = start("encoder_node", "/r1")
    robot.warm_up()
    assert robot.epitomes[-1].sequence < 100
    nodes["edge"].stop()
    nodes["edge"] = start("edge_node", robots=["r1", "r2"])
    for other in robots.values():
        other.warm_up()


def test_nodes_end_cleanly(nodes: dict[str, NodeProcess], robots):
    assert {name: node.stop() for name, node in nodes.items()} == dict.fromkeys(nodes, 0)
    assert not [line for node in nodes.values() for line in node.matching("Traceback|Error:")]


def test_configuration_files_hold_in_any_namespace(session, client, bundle, tmp_path):
    shipped = Path(__file__).resolve().parent.parent / "config" / "robot.yaml"
    mine = tmp_path / "robot.yaml"
    mine.write_text(shipped.read_text().replace("capacity_override_kbps: 0.0", "capacity_override_kbps: 77.0"))
    node = session[1]("encoder_node", {"bundle": str(bundle.path)}, namespace="/fleet/r9", files=[mine])
    statuses = client.listen(EncoderStatus, "/fleet/r9/encoder_node/status")
    wait_until(lambda: statuses, "a status")
    assert statuses[-1].capacity_kbps == 77.0
    assert node.stop(signal.SIGTERM) == 0
