# SPDX-License-Identifier: Apache-2.0
"""The encoder node as a process of its own, fed with camera images over DDS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.serialization import serialize_message
from ros_process import Client, NodeProcess, ros_session, wait_until
from sensor_msgs.msg import CompressedImage, Image
from tiny_bundle import LAYERS, PICTURES, make_tiny_bundle, tiny_frames

from nepi_ros.bundle import Bundle
from nepi_ros.codec import Decoder, EpitomeHeader, Segment
from nepi_ros.image import ENCODINGS, Letterbox, from_rgb
from nepi_ros.link.wire import wire_bytes
from nepi_ros.msg import Classification, EncoderStatus, Epitome, Held, LinkReport
from nepi_ros.nodes.topics import newest

NODE = "/r1/encoder_node"
DEFAULTS = {
    "tasks": ["segmentation", "depth", "classification"],
    "deadline_ms": 10_000.0,
    "target_hit_rate": 0.95,
    "min_bytes": 0,
    "max_bytes": 65535,
    "pictures": False,
    "hold_ms": 0.0,
    "capacity_override_kbps": 1e5,
    "probe": True,
    "fallback": "",
    "max_rate_hz": 0.0,
    "mtu": 1500,
}
FRAME = tiny_frames(1, 320, 240)[0]


class Edge:
    """Reports every frame as soon as one of its messages is there, while `answers` says so."""

    def __init__(self, client: Client) -> None:
        self.answers: Callable[[Epitome], bool] = lambda epitome: True
        self.extra: dict[str, int] = {}
        self.publisher = client.node.create_publisher(LinkReport, "/r1/link_report", newest(16))
        client.node.create_subscription(Epitome, "/r1/epitome", self._on_epitome, newest(16))

    def _on_epitome(self, epitome: Epitome) -> None:
        if epitome.first_layer == 0 and self.answers(epitome):
            self.publisher.publish(report_of(epitome, **self.extra))


class Camera:
    """Sends images and collects the epitomes that come of them, by the stamp they share."""

    def __init__(self, client: Client, bundle: Bundle) -> None:
        self.client, self.bundle = client, bundle
        self.edge = Edge(client)
        self.publisher = client.advertise(Image, "/r1/image")
        self.epitomes = client.listen(Epitome, "/r1/epitome")
        self.statuses = client.listen(EncoderStatus, f"{NODE}/status")

    def stamped(self, message: Image | CompressedImage) -> Image | CompressedImage:
        message.header.stamp, message.header.frame_id = self.client.node.get_clock().now().to_msg(), "camera"
        return message

    def image(self, encoding: str = "rgb8") -> Image:
        return self.stamped(from_rgb(FRAME, encoding))

    def of(self, image: Image | CompressedImage) -> list[Epitome]:
        """The epitome's messages so far for an image."""
        return [epitome for epitome in self.epitomes if epitome.header == image.header]

    def exchange(self, image: Image | None = None) -> list[Epitome]:
        """Send an image until it is not skipped, and wait for all messages of its epitome."""
        image = image or self.image()

        def complete() -> bool:
            parts = sorted(self.of(image), key=lambda part: part.layer_count)
            layers = {part.first_layer: part.layer_count for part in parts}
            return bool(layers) and sum(layers.values()) == self.of(image)[0].frame_layers

        for _ in range(20):
            self.publisher.publish(image)
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                if complete():
                    return self.of(image)
                time.sleep(0.002)
        pytest.fail(f"no epitome of the {image.header.stamp} image; status {self.statuses[-1:]}")

    def layers(self) -> int:
        """Layers that a new image is sent with."""
        return self.exchange()[0].frame_layers

    def grown(self) -> None:
        """Send frames until they have all useful layers: the link is found frame by frame."""
        useful = self.bundle.profile.useful_layers(self.bundle.tasks, len(LAYERS))
        wait_until(lambda: self.layers() == useful, f"all useful layers; {self.statuses[-1:]}")

    def wait_for_status(self, accept: Callable[[EncoderStatus], bool], what: str) -> EncoderStatus:
        return wait_until(lambda: [s for s in self.statuses[-1:] if accept(s)], f"status with {what}")[0]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny", pictures=PICTURES)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with ros_session(tmp_path_factory.mktemp("encoder")) as both:
        yield both


@pytest.fixture(scope="module")
def client(session) -> Client:
    return session[0]


@pytest.fixture(scope="module")
def encoder(session, bundle) -> NodeProcess:
    return session[1]("encoder_node", {"bundle": str(bundle.path), **DEFAULTS}, namespace="/r1")


@pytest.fixture(scope="module")
def shared_camera(client, encoder, bundle) -> Camera:
    camera = Camera(client, bundle)
    for _ in range(100):
        camera.publisher.publish(camera.image())
        time.sleep(0.05)
        if camera.epitomes and camera.statuses:
            return camera
    pytest.fail("the encoder does not answer")


@pytest.fixture
def camera(shared_camera, client) -> Camera:
    assert all(result.successful for result in client.set_parameters(NODE, **DEFAULTS))
    shared_camera.edge.answers = lambda epitome: True
    shared_camera.edge.extra = {}
    shared_camera.grown()
    return shared_camera


def segment_of(epitome: Epitome) -> Segment:
    return Segment(epitome.first_layer, epitome.layer_count, bytes(epitome.data))


def test_an_image_becomes_an_epitome(camera, bundle):
    image = camera.image()
    (epitome,) = camera.exchange(image)
    header = EpitomeHeader.from_message(epitome)
    header.validate_against(bundle, bytes(epitome.data), epitome.checksum)
    assert (epitome.header.frame_id, header.width, header.height, header.task_mask) == ("camera", 320, 240, 7)
    assert header.frame_layers == bundle.profile.useful_layers(bundle.tasks, len(LAYERS))
    latent = bundle.coder().decode([segment_of(epitome)])
    assert latent.any() and 0 <= header.handover_ns <= time.monotonic_ns()


def test_every_encoding(camera):
    for encoding in ENCODINGS:
        message = camera.image(encoding if not encoding.endswith("16") else "rgb8")
        if encoding.endswith("16"):
            message = camera.stamped(sixteen_bits(encoding))
        assert camera.exchange(message)[0].width == 320


def sixteen_bits(encoding: str) -> Image:
    message = from_rgb(FRAME, encoding.removesuffix("16") + "8")
    samples = np.frombuffer(message.data, np.uint8).astype("<u2") << 8
    message.encoding, message.step, message.data = encoding, 2 * message.step, samples.tobytes()
    return message


def test_sequences_count_frames(camera):
    assert camera.exchange()[0].sequence + 1 == camera.exchange()[0].sequence


def test_fewer_bytes_fewer_layers(camera, client, bundle):
    most = camera.layers()
    client.set_parameters(NODE, max_bytes=700)
    (epitome,) = camera.exchange()
    assert 1 <= epitome.frame_layers < most
    assert wire_bytes(len(serialize_message(epitome))) <= 700
    status = camera.wait_for_status(lambda s: s.budget_bytes == 700, "the new budget")
    assert status.layers == epitome.frame_layers and status.reason == ""
    assert status.epitome_bytes == len(serialize_message(epitome))


def test_a_frame_that_cannot_be_in_time_is_skipped(camera, client, encoder):
    client.set_parameters(NODE, max_bytes=50)
    skipped = camera.statuses[-1].skipped_too_large
    for _ in range(5):
        camera.publisher.publish(camera.image())
        time.sleep(0.02)
    status = camera.wait_for_status(lambda s: s.skipped_too_large >= skipped + 5, "skipped frames")
    causes = status.skipped_too_large, status.skipped_waiting, status.skipped_too_late
    assert status.frames_skipped == sum(causes)
    assert "are needed" in status.reason and status.layers == 0
    assert len(encoder.matching(r"/r1/image: frame not sent: .*50 bytes")) == 1
    client.set_parameters(NODE, max_bytes=65535)
    assert camera.layers() > 1


def test_a_shorter_deadline_changes_the_epitomes(camera, client):
    most = camera.layers()
    client.set_parameters(NODE, capacity_override_kbps=20.0, deadline_ms=500.0)
    assert camera.layers() < most
    client.set_parameters(NODE, capacity_override_kbps=1e5, deadline_ms=10_000.0)
    assert camera.layers() == most
    refused = client.set_parameters(NODE, deadline_ms=-1.0)[0]
    assert not refused.successful and "deadline_ms" in refused.reason


def test_tasks_change_the_epitomes(camera, client, bundle):
    client.set_parameters(NODE, tasks=["classification"])
    (epitome,) = camera.exchange()
    assert epitome.task_mask == Epitome.TASK_CLASSIFICATION
    assert epitome.frame_layers == bundle.profile.useful_layers(["classification"], len(LAYERS)) < len(LAYERS)
    refused = client.set_parameters(NODE, tasks=["classification", "cooking"])[0]
    assert not refused.successful and "cooking" in refused.reason


def test_a_small_mtu_splits_at_layer_boundaries(camera, client, bundle):
    whole = camera.exchange()[0]
    client.set_parameters(NODE, mtu=600)
    parts = camera.exchange()
    assert len(parts) > 1
    assert all(wire_bytes(len(serialize_message(part))) <= 600 for part in parts if part.layer_count > 1)
    assert len({(part.sequence, part.handover_ns) for part in parts}) == 1
    segments = [segment_of(part) for part in parts]
    assert segments[-1].stop == whole.frame_layers
    assert np.array_equal(bundle.coder().decode(segments), bundle.coder().decode([segment_of(whole)]))


def test_images_above_the_rate_are_dropped(camera, client):
    client.set_parameters(NODE, max_rate_hz=2.0)
    before = camera.wait_for_status(lambda s: s.images_received, "images")
    for _ in range(10):
        camera.publisher.publish(camera.image())
        time.sleep(0.01)
    status = camera.wait_for_status(lambda s: s.images_received >= before.images_received + 10, "ten more images")
    assert status.frames_dropped - before.frames_dropped >= 8


def report_of(epitome: Epitome, **fields: int) -> LinkReport:
    """As if all of the frame had arrived."""
    known = {"sequence": epitome.sequence, "handover_ns": epitome.handover_ns, "processing_us": 1}
    return LinkReport(**{**known, "layers": epitome.frame_layers, **fields})


def test_reports_tell_of_the_link(camera, client):
    missed = camera.statuses[-1].frames_missed
    camera.edge.extra = {"missed": 2}
    camera.exchange()
    status = camera.wait_for_status(lambda s: s.frames_missed >= missed + 2, "missed frames")
    assert 0 < status.round_trip_ms < 5000 and 0 <= status.edge_ms < status.round_trip_ms and status.encode_ms > 0
    assert status.link == EncoderStatus.LINK_ALIVE and 0 <= status.hit_rate <= 1 and 0 <= status.loss <= 1
    low, high = status.capacity_low_kbps, status.capacity_high_kbps
    assert low == status.capacity_kbps == high == 1e5 and status.result_bytes > 0
    ignored = client.count_of(NODE, "ignored_reports")
    camera.edge.extra = {"handover_ns": 12345}
    camera.exchange()
    client.wait_for_diagnostic(NODE, lambda v: int(v.get("ignored_reports", 0)) > ignored, "an ignored report")


def test_what_is_on_its_way_is_told(camera):
    camera.edge.answers = lambda epitome: False
    camera.exchange()
    status = camera.wait_for_status(lambda s: s.bytes_in_flight > 0, "bytes on their way")
    assert status.bytes_in_flight >= status.epitome_bytes
    camera.edge.answers = lambda epitome: True
    camera.exchange()
    camera.wait_for_status(lambda s: s.bytes_in_flight == 0, "nothing on its way")


CHANGES = {
    "tasks": (["depth", "segmentation"], lambda e: (e.task_mask, e.yields) == (3, Epitome.TASK_SEGMENTATION)),
    "capacity_override_kbps": (5.0, lambda e: e.frame_layers == 1),
    "max_bytes": (700, lambda e: wire_bytes(len(serialize_message(e))) <= 700),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_takes_effect_within_two_frames(camera, client, name):
    value, holds = CHANGES[name]
    assert not any(holds(epitome) for epitome in camera.exchange())
    client.set_parameters(NODE, **{name: value})
    camera.exchange()
    assert all(holds(epitome) for epitome in camera.exchange())


def test_frames_become_pictures_where_that_is_wanted(camera, bundle, client):
    assert camera.layers() <= len(LAYERS)
    client.set_parameters(NODE, pictures=True)
    wait_until(lambda: camera.layers() > len(LAYERS), "a picture")
    ahead, picture, *_ = camera.exchange()  # the first once more where some were lost
    assert ahead.first_layer == picture.first_layer == 0 and ahead.layer_count <= len(LAYERS)
    shown = Decoder(bundle).read([segment_of(picture)]).picture
    small = Letterbox(FRAME.shape[1::-1], bundle.input_size).apply(FRAME)
    assert shown.shape == small.shape and np.abs(shown.astype(float) - small).mean() < 3
    camera.edge.extra = {"layers": 2}  # what went ahead alone
    camera.exchange()
    camera.exchange()
    assert camera.layers() <= len(LAYERS)
    camera.edge.extra = {}
    wait_until(lambda: camera.layers() > len(LAYERS), "another try")
    client.set_parameters(NODE, pictures=False)
    camera.exchange()
    assert camera.layers() <= len(LAYERS)


def test_a_shorter_deadline_takes_effect_within_two_frames(camera, client):
    """So short that no frame can be in time: the next ones are skipped, but for the probes."""
    client.set_parameters(NODE, deadline_ms=1.0)
    before = last = camera.statuses[-1]
    for _ in range(3):
        camera.publisher.publish(camera.image())
        done = last.frames_skipped + last.frames_sent
        last = camera.wait_for_status(lambda s, done=done: s.frames_skipped + s.frames_sent > done, "one more frame")
    assert last.skipped_too_late >= before.skipped_too_late + 2


def test_the_status_comes_ten_times_a_second(camera):
    before, begun = len(camera.statuses), time.monotonic()
    wait_until(lambda: len(camera.statuses) >= before + 20, "twenty statuses")
    assert 1.5 < time.monotonic() - begun < 4.0


def test_first_messages_are_repeated_where_frames_get_lost(camera):
    camera.edge.answers = lambda epitome: epitome.sequence % 3 > 0

    def repeated() -> bool:
        parts = camera.exchange()
        time.sleep(0.02)
        parts = camera.of(parts[0])
        return [part.first_layer for part in parts].count(0) > 1

    wait_until(repeated, lambda: f"a repeated message; {camera.statuses[-1]}")
    camera.edge.answers = lambda epitome: True


def tiles(camera: Camera, down: int = 0, seed: int = 3) -> Image:
    """A wide picture, 320 x 180, of a scene that has moved down by so many pixels."""
    coarse = np.random.default_rng(seed).integers(0, 256, (25, 40, 3), np.uint8)
    scene = cv2.resize(coarse, (320, 200), interpolation=cv2.INTER_CUBIC)
    return camera.stamped(from_rgb(np.ascontiguousarray(scene[20 - down : 200 - down])))


def holds(camera: Camera, client: Client, image: Image) -> Held | None:
    """Whether a frame is held: what is told of it, or None once it was sent."""
    told, camera_sends = client.listen(Held, "/r1/held"), camera.publisher
    found = lambda: [held for held in told if held.header == image.header]  # noqa: E731
    camera_sends.publish(image)
    wait_until(lambda: found() or camera.of(image), "what becomes of a frame")
    return found()[0] if found() else None


def test_frames_that_only_moved_are_held(camera, client):
    client.set_parameters(NODE, hold_ms=5000.0)
    wait_until(lambda: holds(camera, client, tiles(camera)), "a held frame: DDS finds partners at its own pace")
    sent = camera.exchange(tiles(camera, seed=4))[0]
    moved = holds(camera, client, tiles(camera, down=12, seed=4))
    assert moved.sent == sent.header and moved.task_mask == sent.task_mask
    # Relative to the picture, not to the networks' input with its bars above and below.
    assert np.reshape(moved.motion, (2, 3)) == pytest.approx(np.array([[1, 0, 0], [0, 1, 12 / 180]]), abs=0.006)
    assert holds(camera, client, tiles(camera, seed=5)) is None
    client.set_parameters(NODE, hold_ms=0.0)
    assert holds(camera, client, tiles(camera, seed=5)) is None


def test_no_frame_is_held_to_one_that_the_edge_could_not_read(camera, client):
    client.set_parameters(NODE, hold_ms=5000.0)
    wait_until(lambda: holds(camera, client, tiles(camera)), "a held frame")
    camera.edge.extra = {"layers": 0}
    camera.exchange(tiles(camera, seed=6))
    time.sleep(0.2)  # the report is on a topic of its own
    assert holds(camera, client, tiles(camera, seed=6)) is None


def test_no_frame_is_held_while_the_link_is_dead(camera, client):
    client.set_parameters(NODE, hold_ms=300.0, deadline_ms=200.0)
    wait_until(lambda: holds(camera, client, tiles(camera)), "a held frame")
    camera.edge.answers = lambda epitome: False

    def dead() -> bool:
        camera.publisher.publish(tiles(camera))
        time.sleep(0.05)
        return camera.statuses[-1].link == EncoderStatus.LINK_DEAD

    wait_until(dead, "a dead link")
    before = camera.statuses[-1]
    assert before.frames_held and not [dead() for _ in range(30)].count(False)
    after = camera.statuses[-1]
    assert after.frames_held == before.frames_held and after.frames_sent > before.frames_sent
    camera.edge.answers = lambda epitome: True


def test_a_dead_link_is_told_and_the_fallback_answers(camera, client, encoder):
    local = []
    for kind, task in ((Image, "segmentation"), (Classification, "classification")):
        client.node.create_subscription(kind, f"/r1/local/{task}", local.append, newest(16))
    camera.exchange()
    camera.wait_for_status(lambda s: s.link == EncoderStatus.LINK_ALIVE, "a link that is alive")
    client.set_parameters(NODE, deadline_ms=200.0, fallback="segmentation")
    camera.edge.answers = lambda epitome: False
    died = time.monotonic()
    while camera.statuses[-1].link != EncoderStatus.LINK_DEAD:
        camera.publisher.publish(camera.image())
        time.sleep(0.05)
        assert time.monotonic() - died < 5.0
    told = client.wait_for_diagnostic(NODE, lambda v: v.get("link") == "dead", "a dead link")
    assert told.level == DiagnosticStatus.WARN and "/r1/epitome" in told.message and "edge_node" in told.message
    encoder.wait_for_line(r"\[WARN\].*/r1/epitome: nothing has come back")

    def answered(kind: type) -> bool:
        camera.publisher.publish(camera.image())
        time.sleep(0.05)
        return any(isinstance(message, kind) for message in local)

    wait_until(lambda: answered(Image), "a local segmentation")
    assert (local[-1].encoding, local[-1].header.frame_id) == ("mono8", "camera")
    client.set_parameters(NODE, fallback="classification")
    wait_until(lambda: answered(Classification), "a local classification")
    assert local[-1].names
    camera.edge.answers = lambda epitome: True

    def alive() -> bool:
        camera.publisher.publish(camera.image())
        time.sleep(0.05)
        return camera.statuses[-1].link == EncoderStatus.LINK_ALIVE

    wait_until(alive, "the link back")
    encoder.wait_for_line(r"\[INFO\].*/r1/epitome: the edge answers again")
    count = len(local)
    camera.exchange()
    camera.exchange()
    assert len(local) <= count + 1 and camera.statuses[-1].frames_local > 0


def no_such_encoding(camera: Camera) -> Image:
    image = camera.image()
    image.encoding = "smell8"
    return image


def too_little_data(camera: Camera) -> Image:
    image = camera.image()
    image.height *= 7
    return image


def absurd_size(camera: Camera) -> Image:
    image = camera.image()
    image.width = image.height = image.step = 2**32 - 1
    return image


BAD = {
    "encoding": (no_such_encoding, "bad_image"),
    "data": (too_little_data, "bad_image"),
    "size": (absurd_size, "bad_image"),
    "bytes": (lambda camera: serialize_message(camera.image())[:50], "unreadable"),
}


def test_bad_images_are_refused_and_the_next_good_ones_work(camera, client, encoder):
    refused = camera.statuses[-1].frames_refused
    for make, _ in BAD.values():
        for _ in range(3):
            camera.publisher.publish(make(camera))
            time.sleep(0.03)
        assert camera.layers() > 1
    status = camera.wait_for_status(lambda s: s.frames_refused >= refused + 3 * len(BAD), "refused frames")
    assert status.frames_refused == refused + 3 * len(BAD)
    lines = {"bad_image": "this encoding cannot be converted; set", "unreadable": "cannot be read as Image"}
    for kind, words in lines.items():
        times = 3 * sum(other == kind for _, other in BAD.values())
        client.wait_for_diagnostic(NODE, lambda v, k=kind, n=times: int(v.get(k, 0)) == n, f"{times} {kind}")
        assert len(encoder.matching(rf"\[WARN\].* /r1/image: .*{words}")) == 1


def test_compressed_images_after_reconfiguring(camera, client):
    refused = client.set_parameters(NODE, image_transport="compressed")[0]
    assert not refused.successful and "unconfigured" in refused.reason
    assert client.transition(NODE, "deactivate") and client.transition(NODE, "cleanup")
    assert client.set_parameters(NODE, image_transport="compressed")[0].successful
    assert client.transition(NODE, "configure") and client.transition(NODE, "activate")
    try:
        publisher = client.advertise(CompressedImage, "/r1/image/compressed")
        jpeg = cv2.imencode(".jpg", FRAME[:, :, ::-1])[1].tobytes()

        def answered() -> list[Epitome]:
            message = camera.stamped(CompressedImage(format="rgb8; jpeg compressed bgr8", data=jpeg))
            publisher.publish(message)
            time.sleep(0.05)
            return camera.of(message)

        (epitome, *_) = wait_until(answered, "an epitome of a JPEG")
        assert (epitome.width, epitome.height) == (320, 240)
        camera.wait_for_status(lambda s: s.frames_sent and s.frames_refused == 0, "counters that begin anew")
        publisher.publish(camera.stamped(CompressedImage(format="jpeg", data=jpeg[: len(jpeg) // 8])))
        camera.wait_for_status(lambda s: s.frames_refused > 0, "a refused JPEG")
    finally:
        assert client.transition(NODE, "deactivate") and client.transition(NODE, "cleanup")
        client.set_parameters(NODE, image_transport="raw")
        assert client.transition(NODE, "configure") and client.transition(NODE, "activate")


def test_idle_encoder_sleeps(camera, client, encoder):
    before, begun = encoder.cpu_seconds(), time.monotonic()
    time.sleep(4.0)
    share = (encoder.cpu_seconds() - before) / (time.monotonic() - begun)
    assert share < 0.03, f"{share:.1%} of a core"
    assert encoder.resident_mb() < 600
    statuses = len(camera.statuses)
    wait_until(lambda: len(camera.statuses) > statuses, "an idle status")


def test_a_missing_bundle_is_explained(camera, client, encoder, bundle, tmp_path):
    assert client.transition(NODE, "deactivate") and client.transition(NODE, "cleanup")
    assert client.set_parameters(NODE, bundle=str(tmp_path / "none"))[0].successful
    assert not client.transition(NODE, "configure") and client.state_of(NODE) == "unconfigured"
    encoder.wait_for_line(r"\[ERROR\].*cannot configure: .*/none: no bundle of that path or name")
    other = make_tiny_bundle(tmp_path / "other", seed=2, tasks=["depth"])
    client.set_parameters(NODE, bundle=str(other.path))
    assert not client.transition(NODE, "configure")
    client.wait_for_diagnostic(NODE, lambda v: int(v.get("configure_failed", 0)) >= 2, "two refusals")
    assert "no task 'segmentation'" in client.diagnostics[NODE.lstrip("/")].message
    client.set_parameters(NODE, tasks=["depth"])
    assert client.transition(NODE, "configure") and client.transition(NODE, "activate")
    wait_until(lambda: client.node.count_subscribers("/r1/image"), "the encoder listens again")
    for _ in range(20):  # its new epitome publisher and our subscription find each other
        camera.publisher.publish(camera.image())
        time.sleep(0.05)
    assert camera.exchange()[0].bundle_id == other.id
    assert encoder.stop() == 0
