# SPDX-License-Identifier: Apache-2.0
"""Label maps and depth maps as image messages, with the camera as such an image sees it."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from nepi_ros.result_image import depth_image, label_image, scaled_camera_info

HEADER = Header(frame_id="camera")


def test_depth() -> None:
    depth = np.linspace(0.5, 4.0, 48, dtype=np.float32).reshape(6, 8)
    image = depth_image(depth, HEADER)
    assert (image.header, image.encoding, image.width, image.height, image.step) == (HEADER, "32FC1", 8, 6, 32)
    assert np.array_equal(np.frombuffer(image.data, "<f4").reshape(6, 8), depth)


def test_labels() -> None:
    labels = np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4), np.ones((10, 10), np.uint8))
    image = label_image(labels[:, ::2], HEADER)
    assert (image.header, image.encoding, image.width, image.height, image.step) == (HEADER, "mono8", 20, 30, 20)
    assert bytes(image.data) == labels[:, ::2].tobytes()


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
