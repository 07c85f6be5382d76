# SPDX-License-Identifier: Apache-2.0
"""Label maps and depth maps as messages: formats of image_transport, small, and back again."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header

from nepi_ros.errors import ImageError
from nepi_ros.link.wire import wire_bytes
from nepi_ros.result_image import (
    compressed_depth,
    compressed_labels,
    depth_from_compressed,
    depth_image,
    label_image,
    labels_from_compressed,
    scaled_camera_info,
)

HEADER = Header(frame_id="camera")


def room(width: int, height: int) -> np.ndarray:
    """Depth of a tilted floor, a wall and a box in front of it, in metres."""
    y, x = np.mgrid[0:height, 0:width] / [[[height]], [[width]]]
    floor = 1.2 / np.maximum(y - 0.4, 1e-3)
    wall = 3.0 + 0.8 * x
    box = np.where((abs(x - 0.6) < 0.15) & (y > 0.35) & (y < 0.7), 1.6 + 0.1 * x, np.inf)
    return np.minimum(np.minimum(floor, wall), box).astype(np.float32)


def stock_decoder(message: CompressedImage) -> np.ndarray:
    """What compressed_depth_image_transport's subscriber does with a 32FC1 message, pixel by pixel."""
    assert message.format == "32FC1; compressedDepth png"
    data = bytes(message.data)
    kind, a, b = struct.unpack("<iff", data[:12])
    assert kind == 0
    values = cv2.imdecode(np.frombuffer(data[12:], np.uint8), cv2.IMREAD_UNCHANGED)
    assert values.dtype == np.uint16 and values.ndim == 2
    return np.array([[a / (v - b) if v else np.nan for v in row] for row in values.tolist()], np.float32)


class TestDepth:
    def test_the_stock_decoder_reads_it(self) -> None:
        depth = room(80, 60)
        message = compressed_depth(depth, HEADER, 0.4, 8.0)
        assert message.header == HEADER
        np.testing.assert_allclose(stock_decoder(message), depth_from_compressed(message), rtol=1e-5)

    @pytest.mark.parametrize("levels", [2, 64, 256, 512, 65535])
    def test_error_is_half_a_level(self, levels: int) -> None:
        depth = np.linspace(0.4, 8.0, 4800, dtype=np.float32).reshape(60, 80)
        back = depth_from_compressed(compressed_depth(depth, HEADER, 0.4, 8.0, levels))
        allowed = (1 / 0.4 - 1 / 8.0) / (levels - 1) / 2
        assert np.abs(1 / back - 1 / depth).max() <= allowed * 1.001 + 1e-5

    def test_documented_error(self) -> None:
        for metres, share in ((1.0, 0.005), (4.0, 0.02)):
            depth = np.linspace(metres * 0.95, metres, 4800, dtype=np.float32).reshape(60, 80)
            back = depth_from_compressed(compressed_depth(depth, HEADER, 0.4, 8.0))
            assert np.abs(back / depth - 1).max() <= share

    def test_what_is_no_reading_stays_none(self) -> None:
        depth = np.array([[np.nan, np.inf, -np.inf, 0.0], [-1.0, 0.1, 20.0, 2.0]], np.float32)
        back = depth_from_compressed(compressed_depth(depth, HEADER, 0.4, 8.0))
        assert np.isnan(back[0]).all() and np.isnan(back[1, 0])
        np.testing.assert_allclose(back[1, 1:], [0.4, 8.0, 2.0], rtol=0.01)

    @pytest.mark.parametrize(("size", "most"), [((80, 60), 300), ((160, 120), 500)])
    def test_planes_are_small(self, size: tuple[int, int], most: int) -> None:
        message = compressed_depth(room(*size), HEADER, 0.4, 8.0)
        assert len(message.data) <= most
        assert wire_bytes(len(message.data) + 80) <= most + 250

    def test_real_depth_is_small(self, shared_data: Path) -> None:
        """Depth of a room as smooth as a network gives it: holes filled, noise averaged away."""
        sizes = []
        for path in sorted((shared_data / "kitchen" / "val").glob("*.depth.png"))[::30]:
            depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            depth = cv2.inpaint(depth, (depth == 0).astype(np.uint8), 3, cv2.INPAINT_NS).astype(np.float32) / 1000
            depth = cv2.resize(cv2.GaussianBlur(depth, (0, 0), 3), (80, 60), interpolation=cv2.INTER_AREA)
            sizes.append(len(compressed_depth(depth, HEADER, 0.4, 8.0).data))
        assert np.mean(sizes) < 2000

    @pytest.mark.parametrize(
        ("low", "high", "levels"), [(0, 8, 9), (8, 8, 9), (1, np.inf, 9), (1, 8, 1), (1, 8, 65536)]
    )
    def test_senseless_ranges_are_refused(self, low: float, high: float, levels: int) -> None:
        with pytest.raises(ValueError):
            compressed_depth(room(8, 6), HEADER, low, high, levels)

    @pytest.mark.parametrize(
        ("form", "data"),
        [
            ("32FC1; compressedDepth png", b""),
            ("32FC1; compressedDepth png", bytes(11)),
            ("32FC1; compressedDepth png", struct.pack("<iff", 0, 1.0, 0.0)),
            ("32FC1; compressedDepth png", struct.pack("<iff", 1, 1.0, 0.0)),
            ("32FC1; compressedDepth png", struct.pack("<iff", 0, np.nan, 0.0)),
            ("32FC1; compressedDepth png", struct.pack("<iff", 0, 1.0, np.inf)),
            ("32FC1; compressedDepth png", struct.pack("<iff", 0, 1.0, 0.0) + b"\xff" * 100),
            ("16UC1; compressedDepth png", struct.pack("<iff", 0, 1.0, 0.0) + bytes(100)),
            ("mono8; png compressed ", bytes(100)),
        ],
    )
    def test_what_is_no_depth_is_refused(self, form: str, data: bytes) -> None:
        with pytest.raises(ImageError):
            depth_from_compressed(CompressedImage(format=form, data=data))

    def test_eight_bits_are_refused(self) -> None:
        png = cv2.imencode(".png", np.ones((4, 4), np.uint8))[1].tobytes()
        data = struct.pack("<iff", 0, 1.0, 0.0) + png
        with pytest.raises(ImageError, match="sixteen"):
            depth_from_compressed(CompressedImage(format="32FC1; compressedDepth png", data=data))

    def test_hostile_parameters_give_no_infinities(self) -> None:
        values = np.arange(16, dtype=np.uint16).reshape(4, 4)
        png = cv2.imencode(".png", values)[1].tobytes()
        data = struct.pack("<iff", 0, 1.0, 5.0) + png
        back = depth_from_compressed(CompressedImage(format="32FC1; compressedDepth png", data=data))
        assert np.isnan(back.flat[5]) and (np.isnan(back) | (back > 0)).all()

    def test_raw(self) -> None:
        depth = room(8, 6)
        image = depth_image(depth, HEADER)
        assert (image.encoding, image.width, image.height, image.step) == ("32FC1", 8, 6, 32)
        assert np.array_equal(np.frombuffer(image.data, "<f4").reshape(6, 8), depth)


class TestLabels:
    LABELS = np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4), np.ones((10, 10), np.uint8))

    def test_back_and_forth(self) -> None:
        message = compressed_labels(self.LABELS, HEADER)
        assert message.format == "mono8; png compressed " and message.header == HEADER
        assert np.array_equal(labels_from_compressed(message), self.LABELS)
        stock = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(stock, self.LABELS)

    def test_is_small(self) -> None:
        labels = (room(160, 120) < 2.5).astype(np.uint8) + (room(160, 120) < 1.8)
        default = len(cv2.imencode(".png", labels)[1])
        assert len(compressed_labels(labels, HEADER).data) < min(700, default)

    def test_what_is_no_label_map_is_refused(self) -> None:
        colour = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
        for data in (colour, b"", b"\x89PNG", bytes(100)):
            with pytest.raises(ImageError):
                labels_from_compressed(CompressedImage(format="mono8; png compressed ", data=data))

    def test_raw(self) -> None:
        image = label_image(self.LABELS[:, ::2], HEADER)
        assert (image.encoding, image.width, image.height, image.step) == ("mono8", 20, 30, 20)
        assert bytes(image.data) == self.LABELS[:, ::2].tobytes()


class TestCameraInfo:
    def info(self) -> CameraInfo:
        info = CameraInfo(width=640, height=480, distortion_model="plumb_bob", d=[0.1, 0.0, 0.0, 0.0, 0.0])
        info.header.frame_id = "camera"
        info.k = [500.0, 0.0, 319.5, 0.0, 510.0, 239.5, 0.0, 0.0, 1.0]
        info.p = [500.0, 0.0, 319.5, -50.0, 0.0, 510.0, 239.5, 0.0, 0.0, 0.0, 1.0, 0.0]
        return info

    def test_half_the_size(self) -> None:
        scaled = scaled_camera_info(self.info(), 320, 240)
        assert (scaled.width, scaled.height) == (320, 240)
        assert scaled.k.tolist() == [250.0, 0.0, 159.5, 0.0, 255.0, 119.5, 0.0, 0.0, 1.0]
        assert scaled.p.tolist() == [250.0, 0.0, 159.5, -25.0, 0.0, 255.0, 119.5, 0.0, 0.0, 0.0, 1.0, 0.0]
        assert scaled.header.frame_id == "camera" and list(scaled.d) == list(self.info().d)

    def test_a_point_falls_on_the_same_relative_place(self) -> None:
        point = np.array([0.3, -0.2, 1.7])
        infos = self.info(), scaled_camera_info(self.info(), 100, 60)
        whole, scaled = (np.array(info.k).reshape(3, 3) @ point for info in infos)
        u, v = ((pixel[:2] / pixel[2] + 0.5) for pixel in (whole, scaled))
        np.testing.assert_allclose(u / [640, 480], v / [100, 60])

    def test_region_of_interest_and_binning_are_worked_in(self) -> None:
        info = self.info()
        info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 160, 120, 320, 240
        info.binning_x = info.binning_y = 2
        scaled = scaled_camera_info(info, 160, 120)
        assert scaled.k[0] == 250.0 and scaled.k[2] == 79.5 and scaled.k[5] == 59.5
        assert (scaled.roi.width, scaled.binning_x) == (0, 0)

    def test_the_original_is_left_alone(self) -> None:
        info = self.info()
        scaled_camera_info(info, 320, 240)
        assert info == self.info()

    def test_uncalibrated_stays_so(self) -> None:
        scaled = scaled_camera_info(CameraInfo(width=640, height=480), 320, 240)
        assert not scaled.k.any() and not scaled.p.any() and scaled.width == 320
        assert scaled_camera_info(CameraInfo(), 320, 240).width == 320
