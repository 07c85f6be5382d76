# SPDX-License-Identifier: Apache-2.0
"""The image source as a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from ros_process import Client, NodeProcess, ros_session, wait_until
from sensor_msgs.msg import CameraInfo, Image

from nepi_ros.image import to_rgb
from nepi_ros.nodes.image_source_node import scaled_size
from nepi_ros.nodes.topics import newest

NODE = "/robot/image_source_node"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with ros_session(tmp_path_factory.mktemp("source")) as both:
        yield both


@pytest.fixture
def source(session) -> Iterator[Callable[..., tuple[NodeProcess, list[Image], list[CameraInfo]]]]:
    """Starts the node; the process, the images and the camera_infos that come."""
    client, start = session
    processes: list[NodeProcess] = []
    subscriptions = []

    def launch(**parameters) -> tuple[NodeProcess, list[Image], list[CameraInfo]]:
        heard: tuple[list[Image], list[CameraInfo]] = ([], [])
        for kind, topic, messages in ((Image, "image", heard[0]), (CameraInfo, "camera_info", heard[1])):
            subscriptions.append(client.node.create_subscription(kind, f"/robot/{topic}", messages.append, newest(100)))
        processes.append(start("image_source_node", parameters, namespace="/robot"))
        return processes[-1], *heard

    yield launch
    for process in processes:
        process.stop()
    for subscription in subscriptions:
        client.node.destroy_subscription(subscription)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((24, 32, 3), 40 * number + 40, np.uint8))
    return tmp_path


def stamp(message: Image | CameraInfo) -> float:
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9


def ended(process: NodeProcess) -> bool:
    return not process.alive


def test_plays_a_folder_and_ends(session, source, folder: Path) -> None:
    (folder / "1b.png").write_bytes(b"no image")
    begun = time.time()
    process, images, infos = source(source=str(folder), rate_hz=20.0, frame_id="front", focal_px=30.0)
    wait_until(lambda: ended(process), "the node ends by itself")
    assert process.stop() == 0
    assert [int(to_rgb(image).mean()) for image in images] == [40, 80, 120]
    stamps = [stamp(image) for image in images]
    assert begun < stamps[0] and np.diff(stamps).min() > 0.02  # a busy machine may delay a frame, not hasten it
    assert [stamp(info) for info in infos] == stamps
    assert {message.header.frame_id for message in (*images, *infos)} == {"front"}
    assert (infos[0].width, infos[0].height, infos[0].k[0], infos[0].k[2]) == (32, 24, 30.0, 15.5)
    assert len(process.matching(r"1b\.png is not an image that can be decoded")) == 1
    assert process.matching(r"finished: 3 frames of .*, 1 could not be decoded")
    status = session[0].diagnostics[NODE.lstrip("/")]
    assert status.message.startswith("finished: 3 frames") and status.level == DiagnosticStatus.WARN


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"source": "/nowhere"}, "source '/nowhere' is neither a folder of images nor a video file nor 'patrol'"),
        ({"source": "patrol", "rate_hz": 0.0}, "parameter rate_hz is from 0.01 to 1000 Hz, not 0"),
        ({"source": "patrol", "encoding": "yuv"}, "parameter encoding is one of rgb8"),
    ],
)
def test_a_clear_line_when_it_cannot_start(source, parameters: dict, line: str) -> None:
    process, _, _ = source(**parameters)
    wait_until(lambda: ended(process), "the node gives up")
    assert process.stop() == 1
    assert len(process.lines) == 1 and process.lines[0].startswith(line)


def test_a_folder_without_one_good_image(source, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    process, _, _ = source(source=str(tmp_path))
    wait_until(lambda: ended(process), "the node gives up")
    assert process.stop() == 1 and process.matching("none of the 1 images")


def test_loops_at_its_rate_and_changes_at_run_time(session, source, folder: Path) -> None:
    client: Client = session[0]
    process, images, infos = source(source=str(folder), rate_hz=25.0, loop=True)
    wait_until(lambda: len(images) > 25, "images")
    intervals = np.diff([stamp(image) for image in images])
    assert np.median(intervals) == pytest.approx(0.04, abs=0.004)

    results = client.set_parameters(NODE, encoding="yuv422_yuy2", width=16, rate_hz=50.0)
    assert all(result.successful for result in results)
    wait_until(lambda: images[-1].encoding == "yuv422_yuy2" and images[-1].width == 16, "the new encoding")
    assert (images[-1].height, images[-1].step) == (12, 32)
    wait_until(lambda: infos[-1].width == 16, "camera_info of the new size")
    wait_until(lambda: stamp(images[-1]) - stamp(images[-2]) < 0.03, "the new rate")

    (result,) = client.set_parameters(NODE, encoding="jpeg")
    assert not result.successful and result.reason.startswith("parameter encoding is one of rgb8")
    (result,) = client.set_parameters(NODE, rate_hz=0.0)
    assert result.reason == "parameter rate_hz is from 0.01 to 1000 Hz, not 0"
    (result,) = client.set_parameters(NODE, source="elsewhere")
    assert not result.successful
    assert process.alive


def test_an_end_after_so_many_frames(source, folder: Path) -> None:
    process, images, _ = source(source=str(folder), rate_hz=100.0, loop=True, frames=7)
    wait_until(lambda: ended(process), "the node ends by itself")
    assert len(images) == 7 and process.matching("finished: 7 frames")


def test_an_end_that_is_set_at_run_time(session, source, folder: Path) -> None:
    process, images, _ = source(source=str(folder), rate_hz=50.0, loop=True)
    wait_until(lambda: len(images) > 5, "images")
    assert session[0].set_parameters(NODE, frames=40)[0].successful
    wait_until(lambda: ended(process), "the node ends by itself")
    assert len(images) == 40 and process.matching("finished: 40 frames")


def test_images_larger_than_the_default_shared_memory_all_arrive(source, tmp_path: Path) -> None:
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((480, 640, 3), number, np.uint8))
    process, images, _ = source(source=str(tmp_path), rate_hz=10.0, loop=True, frames=20)
    wait_until(lambda: ended(process), "the node ends by itself")
    assert len(images) == 20


def test_plays_the_patrol_until_it_is_stopped(source) -> None:
    process, images, infos = source(source="patrol", rate_hz=30.0, encoding="nv12")
    wait_until(lambda: len(images) >= 3 and infos, "images")
    assert images[0].encoding == "nv12" and infos[0].k[0] > 0 and infos[0].distortion_model == "plumb_bob"
    assert to_rgb(images[0]).std() > 10
    assert process.stop() == 0


def test_scaled_size() -> None:
    assert scaled_size((640, 360), (0, 90)) == (160, 90)
    assert scaled_size((3, 1000), (0, 10)) == (1, 10)
