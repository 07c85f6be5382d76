# SPDX-License-Identifier: Apache-2.0
"""What an image source can play."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from nepi_ros.errors import ConfigError
from nepi_ros.nodes.framereader import open_reader


def tone(number: int, width: int = 32, height: int = 24) -> np.ndarray:
    """An image of one colour that tells its number."""
    return np.full((height, width, 3), (10 * number, 255 - 10 * number, 40), np.uint8)


def write_images(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), tone(number)[..., ::-1])


def write_video(path: Path, frames: int = 30, fps: int = 30, noise: int = 0) -> None:
    av = pytest.importorskip("av")
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "1", "g": "5"})
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv444p"
        for number in range(frames):
            image = np.full((24, 32, 3), 8 * number % 256, np.uint8)
            image += random.integers(0, noise + 1, image.shape, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def play(source: Path | str, rate_hz: float = 10.0, complain=pytest.fail, count: int | None = None) -> list[np.ndarray]:
    return list(islice(open_reader(str(source), 0, complain).frames(lambda: rate_hz), count))


class TestFolder:
    def test_in_order_of_names(self, tmp_path: Path) -> None:
        write_images(tmp_path, ["a.png", "b.png", "c.bmp"])
        (tmp_path / "notes.txt").write_text("not an image")
        frames = play(tmp_path)
        assert len(frames) == 3
        assert all(np.array_equal(frame, tone(number)) for number, frame in enumerate(frames))

    def test_layouts_of_recordings(self, tmp_path: Path) -> None:
        write_images(tmp_path / "rgbd", ["frame-000000.color.png", "frame-000001.color.png"])
        write_images(tmp_path / "rgbd", ["frame-000000.segmentation.png"])
        assert len(play(tmp_path / "rgbd")) == 2
        write_images(tmp_path / "camvid" / "images", ["x.webp"])
        (tmp_path / "camvid" / "labels").mkdir()
        assert len(play(tmp_path / "camvid")) == 1
        write_images(tmp_path / "classes" / "cup", ["1.png", "2.png"])
        assert len(play(tmp_path / "classes")) == 2

    def test_recorded_frames(self, shared_data: Path) -> None:
        for folder, shape in (("kitchen/val", (480, 640, 3)), ("camvid/val", (360, 480, 3))):
            assert play(shared_data / folder, count=1)[0].shape == shape

    def test_what_cannot_be_decoded_is_named_once_and_passed_over(self, tmp_path: Path) -> None:
        write_images(tmp_path, ["a.png", "c.png"])
        (tmp_path / "b.png").write_bytes(b"no image")
        (tmp_path / "d.png").write_bytes(b"")
        said: list[str] = []
        reader = open_reader(str(tmp_path), 0, said.append)
        for _ in range(3):
            assert len(list(reader.frames(lambda: 10.0))) == 2
        assert [line.split(" is ")[0] for line in said] == [str(tmp_path / "b.png"), str(tmp_path / "d.png")]

    def test_nothing_that_can_be_decoded(self, tmp_path: Path) -> None:
        (tmp_path / "b.png").write_bytes(b"no image")
        with pytest.raises(ConfigError, match="none of the 1 images"):
            play(tmp_path, complain=lambda line: None)

    def test_camera_of_the_scenes(self, tmp_path: Path) -> None:
        write_images(tmp_path, ["frame-000000.color.png"])
        assert open_reader(str(tmp_path), 0, pytest.fail).camera is None
        intrinsics = {"fx": 30.0, "fy": 31.0, "cx": 15.5, "cy": 11.5}
        about = {"registered": True, "width": 32, "height": 24, "intrinsics": intrinsics}
        (tmp_path / "set.json").write_text(json.dumps(about))
        camera = open_reader(str(tmp_path), 0, pytest.fail).camera
        assert (camera.size, camera.fy, camera.cx) == ((32, 24), 31.0, 15.5)

    @pytest.mark.parametrize("source", ["/nowhere/at/all", ""])
    def test_missing(self, source: str) -> None:
        with pytest.raises(ConfigError, match="neither a folder"):
            open_reader(source, 0, pytest.fail)

    def test_empty(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=str(tmp_path)):
            open_reader(str(tmp_path), 0, pytest.fail)


class TestVideo:
    def test_thinned_to_the_rate(self, tmp_path: Path) -> None:
        path = tmp_path / "film.mp4"
        write_video(path)
        assert open_reader(str(path), 0, pytest.fail).fps == 30.0
        assert len(play(path, rate_hz=30.0)) == len(play(path, rate_hz=100.0)) == 30
        grey = [int(frame.mean()) for frame in play(path, rate_hz=10.0)]
        assert len(grey) == 10
        assert np.abs(np.array(grey) - 8 * np.arange(0, 30, 3)).max() <= 3

    def test_what_is_no_video(self, tmp_path: Path) -> None:
        pytest.importorskip("av")
        (tmp_path / "film.mp4").write_bytes(bytes(1000))
        with pytest.raises(ConfigError, match=r"film\.mp4: not a video"):
            open_reader(str(tmp_path / "film.mp4"), 0, pytest.fail)

    def test_damage_in_the_middle_is_passed_over(self, tmp_path: Path) -> None:
        path = tmp_path / "film.ts"
        write_video(path, frames=60, noise=50)
        data = bytearray(path.read_bytes())
        for place in range(len(data) // 3, len(data) // 3 + 200):
            data[place] ^= 0x5A
        path.write_bytes(bytes(data))
        assert 30 <= len(play(path, rate_hz=1000.0, complain=lambda line: None)) <= 60


def test_patrol_is_thinned_and_endless() -> None:
    reader = open_reader("patrol", 3, pytest.fail)
    slow = list(islice(reader.frames(lambda: 10.0), 2))
    fast = list(islice(reader.frames(lambda: 30.0), 4))
    assert np.array_equal(slow[0], fast[0]) and np.array_equal(slow[1], fast[3])
    assert reader.camera.size == slow[0].shape[1::-1] and reader.camera.fx > 0
