# SPDX-License-Identifier: Apache-2.0
"""The encoder node as a process of its own, fed with camera images over DDS."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from rclpy.serialization import serialize_message
from ros_process import Client, NodeProcess, ros_session, wait_until
from sensor_msgs.msg import CompressedImage, Image
from tiny_bundle import LAYERS, make_tiny_bundle, tiny_frames

from nepi_ros.bundle import Bundle
from nepi_ros.codec import EpitomeHeader, Segment
from nepi_ros.image import ENCODINGS, from_rgb
from nepi_ros.link.wire import wire_bytes
from nepi_ros.msg import EncoderStatus, Epitome, LinkReport

NODE = "/r1/encoder_node"
DEFAULTS = {
    "tasks": ["segmentation", "depth", "classification"],
    "deadline_ms": 10_000.0,
    "budget_bytes": 0,
    "capacity_kbps": 1000.0,
    "max_rate_hz": 0.0,
    "mtu": 1500,
}
FRAME = tiny_frames(1, 320, 240)[0]


class Camera:
    """Sends images and collects the epitomes that come of them, by the stamp they share."""

    def __init__(self, client: Client, bundle: Bundle) -> None:
        self.client, self.bundle = client, bundle
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
        """Send an image and wait for all messages of its epitome."""
        image = image or self.image()
        self.publisher.publish(image)

        def complete() -> bool:
            parts = self.of(image)
            return bool(parts) and sum(part.layer_count for part in parts) == parts[0].frame_layers

        wait_until(complete, f"an epitome of the {image.header.stamp} image; status {self.statuses[-1:]}")
        return self.of(image)

    def layers(self) -> int:
        """Layers that a new image is sent with."""
        return self.exchange()[0].frame_layers

    def wait_for_status(self, accept: Callable[[EncoderStatus], bool], what: str) -> EncoderStatus:
        return wait_until(lambda: [s for s in self.statuses[-1:] if accept(s)], f"status with {what}")[0]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


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
    return shared_camera


def segment_of(epitome: Epitome) -> Segment:
    return Segment(epitome.first_layer, epitome.layer_count, bytes(epitome.data))


def test_an_image_becomes_an_epitome(camera, bundle):
    image = camera.image()
    (epitome,) = camera.exchange(image)
    header = EpitomeHeader.from_message(epitome)
    header.validate_against(bundle, bytes(epitome.data), epitome.checksum)
    assert (epitome.header.frame_id, header.width, header.height, header.task_mask) == ("camera", 320, 240, 7)
    assert header.frame_layers == bundle.profile.useful_layers(bundle.tasks)
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
    client.set_parameters(NODE, budget_bytes=700)
    (epitome,) = camera.exchange()
    assert 1 <= epitome.frame_layers < most
    assert wire_bytes(len(serialize_message(epitome))) <= 700
    status = camera.wait_for_status(lambda s: s.budget_bytes == 700, "the new budget")
    assert status.layers == epitome.frame_layers and status.reason == ""
    assert status.epitome_bytes == len(serialize_message(epitome))


def test_a_frame_that_cannot_be_in_time_is_skipped(camera, client, encoder):
    client.set_parameters(NODE, budget_bytes=50)
    skipped = camera.statuses[-1].frames_skipped
    for _ in range(5):
        camera.publisher.publish(camera.image())
        time.sleep(0.02)
    status = camera.wait_for_status(lambda s: s.frames_skipped >= skipped + 5, "skipped frames")
    assert "are needed" in status.reason and status.layers == 0
    assert len(encoder.matching(r"/r1/image: frame not sent: .*50 bytes")) == 1
    client.set_parameters(NODE, budget_bytes=0)
    assert camera.layers() > 1


def test_a_shorter_deadline_changes_the_epitomes(camera, client):
    most = camera.layers()
    client.set_parameters(NODE, capacity_kbps=20.0, deadline_ms=500.0)

    def fewer() -> bool:
        image = camera.image()
        camera.publisher.publish(image)
        time.sleep(0.1)  # until the bytes sent before have left the slower link, frames are skipped
        return any(epitome.frame_layers < most for epitome in camera.of(image))

    wait_until(fewer, "an epitome with fewer layers")
    client.set_parameters(NODE, deadline_ms=10_000.0)
    wait_until(lambda: camera.layers() == most, "all useful layers")
    refused = client.set_parameters(NODE, deadline_ms=-1.0)[0]
    assert not refused.successful and "deadline_ms" in refused.reason


def test_tasks_change_the_epitomes(camera, client, bundle):
    client.set_parameters(NODE, tasks=["classification"])
    (epitome,) = camera.exchange()
    assert epitome.task_mask == Epitome.TASK_CLASSIFICATION
    assert epitome.frame_layers == bundle.profile.useful_layers(["classification"]) < len(LAYERS)
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
    known = {"sequence": epitome.sequence, "handover_ns": epitome.handover_ns, "processing_us": 1, "layers": 1}
    return LinkReport(**{**known, **fields})


def test_reports_tell_of_the_link(camera, client):
    publisher = client.advertise(LinkReport, "/r1/link_report")
    missed = camera.statuses[-1].frames_missed

    def known() -> bool:
        publisher.publish(report_of(camera.exchange()[0], missed=2))
        return not math.isnan(camera.statuses[-1].round_trip_ms)

    wait_until(known, "a round trip in the status")
    status = camera.wait_for_status(lambda s: s.frames_missed >= missed + 2, "missed frames")
    assert 0 < status.round_trip_ms < 5000 and 0 <= status.edge_ms < status.round_trip_ms and status.encode_ms > 0
    ignored = client.count_of(NODE, "ignored_reports")
    publisher.publish(report_of(camera.exchange()[0], handover_ns=12345))
    client.wait_for_diagnostic(NODE, lambda v: int(v.get("ignored_reports", 0)) > ignored, "an ignored report")


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
        message = camera.stamped(CompressedImage(format="jpeg", data=jpeg[: len(jpeg) // 8]))
        refused = camera.statuses[-1].frames_refused
        publisher.publish(message)
        camera.wait_for_status(lambda s: s.frames_refused > refused, "a refused JPEG")
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
