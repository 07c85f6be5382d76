# SPDX-License-Identifier: Apache-2.0
"""Label maps and depth maps as image messages, and the camera as such an image sees it."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header


def label_image(labels: np.ndarray, header: Header) -> Image:
    """A mono8 image of class ids from uint8 [h, w]."""
    height, width = labels.shape
    data = np.ascontiguousarray(labels, np.uint8).tobytes()
    return Image(header=header, height=height, width=width, encoding="mono8", step=width, data=data)


def depth_image(depth: np.ndarray, header: Header) -> Image:
    """A 32FC1 image from float32 [h, w] in metres along Z, NaN where there is no reading."""
    height, width = depth.shape
    data = np.ascontiguousarray(depth, "<f4").tobytes()
    return Image(header=header, height=height, width=width, encoding="32FC1", step=4 * width, data=data)


def scaled_camera_info(info: CameraInfo, width: int, height: int) -> CameraInfo:
    """The camera as it sees an image that shows the same view in `width` x `height` pixels.

    A region of interest and binning in `info` are worked into the matrices and cleared. Pixel centres are at
    whole numbers, as everywhere in ROS and OpenCV. An `info` without a size gives one with only the size.
    """
    scaled = deepcopy(info)
    scaled.width, scaled.height = width, height
    scaled.binning_x = scaled.binning_y = 0
    scaled.roi = type(info.roi)()
    full = (info.roi.width or info.width, info.roi.height or info.height)
    if 0 in full:
        return scaled
    shift = (info.roi.x_offset, info.roi.y_offset)
    for axis, (size, extent, offset) in enumerate(zip((width, height), full, shift, strict=True)):
        scale = size / extent
        _scale_row(scaled.k, 3 * axis, 3, axis, scale, offset)
        _scale_row(scaled.p, 4 * axis, 4, axis, scale, offset)
    return scaled


def _scale_row(matrix: np.ndarray, start: int, length: int, axis: int, scale: float, offset: int) -> None:
    """Scale one row of K or P (in place): the principal point by pixel edges, all else by the factor."""
    if matrix[start + axis] == 0.0:
        return  # uncalibrated
    centre = matrix[start + 2]
    matrix[start : start + length] *= scale
    matrix[start + 2] = (centre - offset + 0.5) * scale - 0.5
