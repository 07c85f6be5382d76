# SPDX-License-Identifier: Apache-2.0
"""The result node as a process of its own, fed with results over DDS."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from builtin_interfaces.msg import Time as TimeMessage
from rclpy.serialization import serialize_message
from rclpy.time import Time
from ros_process import Client, NodeProcess, ros_session, wait_until
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Float32, Header

from nepi_ros.msg import Classification, Epitome, Held, LinkReport, Results
from nepi_ros.result_code import pack_depth, pack_labels

NODE = "/r1/result_node"
DEFAULTS = {
    "deadline_ms": 2000.0, "window_s": 60.0, "late_results": "drop", "use_sim_time": False,
    "segmentation_width": 16, "depth_width": 16,
}  # fmt: skip
LABELS = (np.arange(12 * 16) % 5).astype(np.uint8).reshape(12, 16)
DEPTH = np.linspace(0.5, 8.0, 12 * 16, dtype=np.float32).reshape(12, 16)


class Edge:
    """Plays the edge: sends results, and collects what the result node makes of them."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.results = client.advertise(Results, "/r1/results")
        self.epitome = client.advertise(Epitome, "/r1/epitome")
        self.camera_info = client.advertise(CameraInfo, "/r1/camera_info")
        self.images = {task: client.listen(Image, f"/r1/{task}") for task in ("segmentation", "depth")}
        self.infos = {task: client.listen(CameraInfo, f"/r1/{task}/camera_info") for task in self.images}
        self.classes = client.listen(Classification, "/r1/classification")
        self.reports = client.listen(LinkReport, "/r1/link_report")
        self.late = {task: client.listen(Image, f"{NODE}/late/{task}") for task in self.images}
        self.late_classes = client.listen(Classification, f"{NODE}/late/classification")
        self.latencies = client.listen(Float32, f"{NODE}/latency_ms")
        self.hit_rates = client.listen(Float32, f"{NODE}/hit_rate")

    def header(self, age_s: float = 0.0) -> Header:
        """A header whose stamp is so old."""
        now = self.client.node.get_clock().now().nanoseconds
        return Header(stamp=Time(nanoseconds=now - round(age_s * 1e9)).to_msg(), frame_id="camera")

    def restored(self, header: Header, task: str = "segmentation", late: bool = False) -> Image:
        """Wait for the plain image with this header."""
        heard = (self.late if late else self.images)[task]
        return wait_until(lambda: [m for m in heard if m.header == header], f"{task} of {header}")[0]

    def exchange(self, age_s: float = 0.0, late: bool = False) -> Image:
        """Send a segmentation and wait for its plain image."""
        header = self.header(age_s)
        self.send(header)
        return self.restored(header, late=late)

    def send(self, header: Header, *fields: str) -> None:
        """Send the named results of a frame: without any its segmentation."""
        known = {
            "segmentation": pack_labels(LABELS), "depth": pack_depth(DEPTH, 0.4, 8.0),
            "names": ["hall"], "scores": [1.0], "report": [LinkReport(sequence=5)],
        }  # fmt: skip
        self.results.publish(Results(header=header, **{name: known[name] for name in fields or ("segmentation",)}))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with ros_session(tmp_path_factory.mktemp("result")) as both:
        yield both


@pytest.fixture(scope="module")
def client(session) -> Client:
    return session[0]


@pytest.fixture(scope="module")
def node(session) -> NodeProcess:
    return session[1]("result_node", DEFAULTS, namespace="/r1")


@pytest.fixture(scope="module")
def shared_edge(client, node) -> Edge:
    edge = Edge(client)
    for _ in range(100):
        edge.camera_info.publish(CameraInfo(width=640, height=480, k=[600.0, 0, 320, 0, 600, 240, 0, 0, 1]))
        header = edge.header()
        edge.epitome.publish(Epitome(header=header, task_mask=3))
        edge.send(header, "segmentation", "depth", "report")
        time.sleep(0.05)
        heard = (*edge.infos.values(), *edge.images.values(), edge.latencies, edge.hit_rates, edge.reports)
        if all(heard):
            return edge
    pytest.fail("the result node does not answer")


@pytest.fixture
def edge(shared_edge, client) -> Edge:
    assert all(result.successful for result in client.set_parameters(NODE, **DEFAULTS))
    return shared_edge


def test_plain_images_with_their_camera(edge):
    header = edge.header()
    edge.send(header, "segmentation", "depth")
    segmentation, depth = edge.restored(header), edge.restored(header, "depth")
    assert segmentation.encoding == "mono8" and depth.encoding == "32FC1"
    assert bytes(segmentation.data) == LABELS.tobytes()
    metres = np.frombuffer(depth.data, "<f4").reshape(depth.height, depth.width)
    np.testing.assert_allclose(metres, DEPTH, rtol=0.05)
    for task, infos in edge.infos.items():
        info = wait_until(lambda heard=infos: [i for i in heard if i.header == header], f"camera of {task}")[0]
        assert (info.width, info.height, info.k[0]) == (16, 12, 15.0)


def test_results_that_came_small_are_enlarged_without_inventing_values(edge, client):
    client.set_parameters(NODE, segmentation_width=48, depth_width=40)
    header = edge.header()
    edge.send(header, "segmentation", "depth")
    segmentation, depth = edge.restored(header), edge.restored(header, "depth")
    assert (segmentation.width, segmentation.height) == (48, 36) and (depth.width, depth.height) == (40, 30)
    assert bytes(segmentation.data) == LABELS.repeat(3, axis=0).repeat(3, axis=1).tobytes()
    assert len(np.unique(np.frombuffer(depth.data, "<f4"))) <= LABELS.size
    info = wait_until(lambda: [i for i in edge.infos["depth"] if i.header == header], "camera of depth")[0]
    assert (info.width, info.height, info.k[0]) == (40, 30, 37.5)


def test_width_0_is_that_of_the_source(edge, client):
    client.set_parameters(NODE, segmentation_width=0)

    def size() -> tuple[int, int]:
        header = edge.header()
        edge.epitome.publish(Epitome(header=header, width=64, height=48))
        edge.send(header)
        image = edge.restored(header)
        return image.width, image.height

    wait_until(lambda: size() == (64, 48), "a segmentation of the source's size")
    edge.epitome.publish(Epitome(header=edge.header(), width=65535, height=65535))
    assert edge.exchange()


def test_late_results_are_kept_apart(edge, client):
    before = client.count_of(NODE, "late_segmentation")
    for _ in range(3):
        header = edge.header(age_s=5.0)
        edge.send(header)
        time.sleep(0.01)
    client.wait_for_diagnostic(NODE, lambda v: int(v.get("late_segmentation", 0)) >= before + 3, "late results")
    edge.exchange()
    assert header not in [image.header for image in (*edge.images["segmentation"], *edge.late["segmentation"])]
    client.set_parameters(NODE, late_results="publish")
    late = edge.exchange(age_s=5.0, late=True)
    edge.exchange()
    assert late.header not in [image.header for image in edge.images["segmentation"]]
    header = edge.header(age_s=5.0)
    edge.send(header, "names", "scores")
    wait_until(lambda: [c for c in edge.late_classes if c.header == header], "a late class")
    assert header not in [c.header for c in edge.classes]


def rate_of(values: dict[str, str]) -> tuple[int, float]:
    return int(values["frames_in_window"]), float(values["hit_rate"])


def test_latency_and_hit_rate(edge, client):
    client.set_parameters(NODE, window_s=1.0)
    client.wait_for_diagnostic(NODE, lambda v: rate_of(v)[0] == 0, "an empty window")
    client.set_parameters(NODE, window_s=60.0)
    heard = len(edge.latencies)
    for index in range(4):
        header = edge.header(age_s=3.0)  # beyond the deadline, so that what is lost is known to be
        edge.epitome.publish(Epitome(header=header, task_mask=Epitome.TASK_SEGMENTATION | Epitome.TASK_CLASSIFICATION))
        if index < 2:
            edge.send(header, "segmentation", "names", "scores")
        time.sleep(0.01)
    client.set_parameters(NODE, deadline_ms=20_000.0)
    wait_until(lambda: len(edge.latencies) >= heard + 2, "latencies of whole frames")
    assert all(2900 < latency.data < 8000 for latency in edge.latencies[heard:])
    # Two were back within the new deadline; the other two are still within it, then lost.
    status = client.wait_for_diagnostic(NODE, lambda v: rate_of(v) == (2, 1.0), "two hits")
    assert 2900 < float({pair.key: pair.value for pair in status.values}["latency_p50_ms"]) < 8000
    client.set_parameters(NODE, deadline_ms=2000.0)
    client.wait_for_diagnostic(NODE, lambda v: rate_of(v) == (4, 0.0), "four misses")
    wait_until(lambda: edge.hit_rates[-1].data == 0.0, "the hit rate on its topic")


RIGHT = [1.0, 0.0, 0.25, 0.0, 1.0, 0.0]
"""A picture that moved by a quarter of its width."""


def test_held_frames_have_results_under_their_own_stamp_and_are_timed_by_it(edge, client):
    told = client.advertise(Held, "/r1/held")
    sent = edge.header(age_s=5.0)
    edge.send(sent, "segmentation", "depth", "names", "scores")  # late itself

    def tell(age_s: float, mask: int = 7) -> Header:
        header = edge.header(age_s)
        told.publish(Held(header=header, sent=sent, task_mask=mask, motion=RIGHT))
        time.sleep(0.1)
        return header

    header = wait_until(lambda: [h for h in [tell(0.0)] if h in [c.header for c in edge.classes]], "a held frame")[0]
    moved = np.roll(LABELS, 4, axis=1)
    moved[:, :4] = LABELS[:, :1]
    assert bytes(edge.restored(header).data) == moved.tobytes()
    assert edge.restored(header, "depth").encoding == "32FC1"
    for task, infos in edge.infos.items():
        wait_until(lambda heard=infos: [i for i in heard if i.header == header], f"camera of {task}")
    late = tell(age_s=5.0)
    edge.exchange()
    assert late not in [image.header for image in edge.images["segmentation"]]


def test_held_frames_whose_results_never_come_are_misses(edge, client):
    told = client.advertise(Held, "/r1/held")
    client.set_parameters(NODE, window_s=1.0)
    client.wait_for_diagnostic(NODE, lambda v: rate_of(v)[0] == 0, "an empty window")
    client.set_parameters(NODE, window_s=60.0)
    told.publish(Held(header=edge.header(3.0), sent=edge.header(4.0), task_mask=1, motion=RIGHT))
    client.wait_for_diagnostic(NODE, lambda v: rate_of(v) == (1, 0.0), "a miss")


def test_stamps_of_another_clock_are_counted_not_averaged(edge, client, node):
    before, frames = client.count_of(NODE, "foreign_clock"), len(edge.latencies)
    edge.epitome.publish(Epitome(header=edge.header(1e6), task_mask=1))
    time.sleep(0.2)  # it is on a topic of its own
    for age_s in (1e6, -30.0):
        assert edge.exchange(age_s=age_s)  # nobody can say that it is late
    client.wait_for_diagnostic(NODE, lambda v: int(v.get("foreign_clock", 0)) == before + 2, "foreign clocks")
    assert len(edge.latencies) == frames
    assert len(node.matching(r"/r1/segmentation: stamp is .* set use_sim_time alike")) == 1


def test_results_from_long_ago_are_late_where_frames_are_stamped_by_this_clock(edge, client):
    edge.epitome.publish(Epitome(header=edge.header(), task_mask=1))
    time.sleep(0.2)
    old = edge.header(3600.0)
    edge.send(old)
    assert edge.exchange() and old not in [image.header for image in edge.images["segmentation"]]
    client.set_parameters(NODE, late_results="publish")
    assert edge.exchange(3600.0, late=True)


def test_a_stamp_before_the_epoch_ends_nothing(edge, node):
    header = Header(stamp=TimeMessage(sec=-1, nanosec=0), frame_id="camera")
    edge.epitome.publish(Epitome(header=header, task_mask=1))
    edge.send(header)
    assert edge.exchange() and node.alive


def test_damaged_results_are_refused_and_the_next_good_one_works(edge, client, node):
    header, good = edge.header(), pack_labels(LABELS)
    huge = good[:21] + b"\xff\xff\xff\x0f" + good[25:]
    for data in (good[:20], huge, good[:20], huge):
        edge.results.publish(Results(header=header, segmentation=data))
        time.sleep(0.01)
    edge.results.publish(Results(header=header, depth=bytes(7)))
    edge.results.publish(Results(header=header, names=["hall", "kitchen"], scores=[0.5]))
    edge.results.publish(serialize_message(Results(header=header))[:30])
    client.wait_for_diagnostic(NODE, lambda v: (v.get("damaged"), v.get("unreadable")) == ("6", "1"), "refused results")
    for words in ("segmentation: compressed image", "depth: 7 bytes", "classification: 2 classes have 1 scores"):
        assert len(node.matching(rf"\[WARN\].*/r1/results: {words}")) == 1
    assert len(node.matching(r"\[WARN\].*/r1/results: 32 bytes cannot be read")) == 1
    assert edge.exchange()


def test_one_damaged_result_leaves_the_others_of_its_frame_alone(edge):
    header = edge.header()
    names, reports = {"names": ["hall"], "scores": [1.0]}, len(edge.reports)
    edge.results.publish(Results(header=header, segmentation=bytes(50), report=[LinkReport(sequence=9)], **names))
    wait_until(lambda: [c for c in edge.classes if c.header == header], "the class")
    wait_until(lambda: len(edge.reports) > reports and edge.reports[-1].sequence == 9, "the report")


def test_latency_under_simulated_time(edge, client):
    clock = client.advertise(Clock, "/clock") if client.set_parameters(NODE, use_sim_time=True) else None

    def at(seconds: float) -> Header:
        """Set the simulated time and return a header stamped 100 s."""
        for _ in range(5):
            clock.publish(Clock(clock=Time(nanoseconds=round(seconds * 1e9)).to_msg()))
            time.sleep(0.02)
        return Header(stamp=Time(seconds=100).to_msg(), frame_id="camera")

    heard, foreign = len(edge.latencies), client.count_of(NODE, "foreign_clock")
    edge.send(at(100.25))
    wait_until(lambda: len(edge.latencies) > heard, "a latency in simulated time")
    assert edge.latencies[-1].data == pytest.approx(250.0, abs=1)
    edge.send(at(50.0))  # the simulation starts over
    client.wait_for_diagnostic(NODE, lambda v: int(v.get("foreign_clock", 0)) > foreign, "a stamp from the future")
    assert len(edge.latencies) == heard + 1


def test_lifecycle(edge, client, node):
    assert client.transition(NODE, "deactivate")
    assert not client.node.count_subscribers("/r1/results")
    assert client.transition(NODE, "activate")
    wait_until(edge.results.get_subscription_count, "the node listens again")
    wait_until(lambda: edge_answers(edge), "results again")
    assert client.transition(NODE, "deactivate") and client.transition(NODE, "cleanup")
    assert client.state_of(NODE) == "unconfigured"
    assert client.transition(NODE, "shutdown") and client.state_of(NODE) == "finalized"
    assert node.stop() == 0


def edge_answers(edge: Edge) -> bool:
    header = edge.header()
    edge.send(header)
    time.sleep(0.05)
    return header in [image.header for image in edge.images["segmentation"]]
