# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest
from PIL import Image

from nepi_ros.datasets import FrameSet, register
from nepi_ros.errors import ConfigError


def _image(path, value=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((12, 16, 3), value, np.uint8))


def _labels(path, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), labels)


def test_layouts_are_recognised(tmp_path):
    _image(tmp_path / "rgbd" / "frame-000007.color.jpg")
    (tmp_path / "rgbd" / "places.csv").write_text("frame,place\nframe-000007,3\n")
    _image(tmp_path / "seg" / "images" / "a.webp")
    _labels(tmp_path / "seg" / "labels" / "a.png", np.zeros((12, 16), np.uint8))
    _image(tmp_path / "classes" / "glass" / "1.jpg")
    _image(tmp_path / "classes" / "metal" / "2.jpg")
    _image(tmp_path / "plain" / "x.png")
    assert FrameSet.open(tmp_path / "rgbd").load(0).place == 3
    assert FrameSet.open(tmp_path / "seg").load(0).segmentation.shape[:2] == (12, 16)
    classes = FrameSet.open(tmp_path / "classes")
    assert (classes.layout, classes.class_names, classes.load(1).place) == ("classes", ("glass", "metal"), 1)
    assert FrameSet.open(tmp_path / "plain").load(0).depth is None


def test_trouble_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nowhere"):
        FrameSet.open(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="holds no images"):
        FrameSet.open(tmp_path)
    (tmp_path / "frame-1.color.jpg").write_bytes(b"not a picture")
    with pytest.raises(ConfigError, match="frame-1.color.jpg: not a readable image"):
        FrameSet.open(tmp_path).load(0)
    (tmp_path / "places.csv").write_text("frame,place\nframe-1,kitchen\n")
    with pytest.raises(ConfigError, match="places.csv"):
        FrameSet.open(tmp_path)
    (tmp_path / "places.csv").unlink()
    for broken in (b'{"registered": tr', b"\xff\xfe", b"[1]"):
        (tmp_path / "set.json").write_bytes(broken)
        with pytest.raises(ConfigError, match="set.json"):
            FrameSet.open(tmp_path)


def test_folders_of_classes_are_known_by_their_names(tmp_path):
    for name in ("glass", "metal", ".cache"):
        _image(tmp_path / name / "1.jpg")
    (tmp_path / "cardboard").mkdir()
    found = FrameSet.open(tmp_path)
    assert found.class_names == ("glass", "metal") and [sample.place for sample in found] == [0, 1]
    numbered = found.numbered_by(["plastic", "metal", "cardboard", "glass"])
    assert [(sample.name, sample.place) for sample in numbered] == [("glass/1", 3), ("metal/1", 1)]
    with pytest.raises(ConfigError, match=f"{tmp_path}: .*glass are not among the classes metal, paper"):
        found.numbered_by(["metal", "paper"])


def test_places_that_are_numbers_stay(tmp_path):
    _image(tmp_path / "frame-1.color.jpg")
    (tmp_path / "places.csv").write_text("frame,place\nframe-1,1\n")
    assert FrameSet.open(tmp_path).numbered_by(["hall", "office"]).load(0).place == 1


def test_labels_that_do_not_lie_over_their_frame_are_named(tmp_path):
    _image(tmp_path / "images" / "a.png")
    file = tmp_path / "labels" / "a.png"
    _labels(file, np.zeros((12, 12), np.uint8))
    with pytest.raises(ConfigError, match="frame a is 16 x 12, its segmentation labels are 12 x 12"):
        FrameSet.open(tmp_path).load(0)
    painted = Image.fromarray(np.zeros((12, 16), np.uint8), "P")
    painted.putpalette([0, 0, 0, 255, 0, 0])
    painted.save(file)
    with pytest.raises(ConfigError, match="frame a .* with colours; labels must have one channel"):
        FrameSet.open(tmp_path).load(0)


def test_ids_beyond_a_byte_are_ignored(tmp_path):
    _image(tmp_path / "images" / "a.png")
    labels = np.full((12, 16), 300, np.uint16)
    labels[0, :2] = 7, 254
    _labels(tmp_path / "labels" / "a.png", labels)
    read = FrameSet.open(tmp_path).load(0).segmentation
    assert read.dtype == np.uint8 and read[0, :3].tolist() == [7, 254, 255]


def test_registration_follows_the_cameras_geometry():
    depth = np.zeros((240, 320), np.float32)
    depth[120, 160] = 2.0  # a point on the depth camera's axis
    labels = np.full((240, 320), 255, np.uint8)
    labels[120, 160] = 1
    moved, moved_labels = register(depth, labels)
    # x = -0.025 m, y = -0.005 m at 2 m, colour focal length 262.5 px
    row, column = 120 + round(-0.005 / 2 * 262.5), 160 + round(-0.025 / 2 * 262.5)
    assert moved[row, column] == 2.0 and moved_labels[row, column] == 1
    assert (moved > 0).sum() == 1 and (moved_labels != 255).sum() == 1


def test_the_nearest_point_wins():
    depth = np.full((240, 320), 3.0, np.float32)
    depth[:, :160] = 1.0
    moved, _ = register(depth, None)
    x_far = 160 + (160 * 3.0 / 292.5 * 0 - 0.025) / 3.0 * 262.5  # where the far half begins
    assert moved[120, int(x_far) - 6] == 1.0


def test_real_frames_register(shared_data):
    sample = FrameSet.open(shared_data / "kitchen" / "val").load(0)
    assert sample.rgb.shape == (480, 640, 3) and sample.depth.shape == sample.segmentation.shape == (240, 320)
    assert 0.5 < (sample.depth > 0).mean() < 0.9
    assert ((sample.segmentation != 255) <= (sample.depth > 0)).all()
