# SPDX-License-Identifier: Apache-2.0
"""Label maps and depth maps as image messages, raw and as image_transport's plugins compress them.

The bytes of the compressed forms are made in nepi_ros.result_code.
"""

from __future__ import annotations

import math
from copy import deepcopy

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from nepi_ros.compressed import decode
from nepi_ros.errors import ImageError
from nepi_ros.result_code import CONFIG, DEPTH_LEVELS, INVERSE_DEPTH, depth_png, labels_png

LABELS_FORMAT = "mono8; png compressed "
"""As compressed_image_transport writes it, with the space at the end."""
DEPTH_FORMAT = "32FC1; compressedDepth png"


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


def compressed_labels(labels: np.ndarray, header: Header) -> CompressedImage:
    """Class ids, uint8 [h, w], as a PNG that `image_transport`'s "compressed" plugin reads as mono8."""
    return CompressedImage(header=header, format=LABELS_FORMAT, data=labels_png(labels))


def labels_from_compressed(message: CompressedImage) -> np.ndarray:
    """Class ids uint8 [h, w] of what `compressed_labels` made.

    Raises:
        ImageError: the message is not a mono8 PNG.
    """
    labels = _decoded(message)
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ImageError(f"label map of format {message.format[:40]!r} is not one byte per pixel")
    return labels


def compressed_depth(
    depth: np.ndarray, header: Header, min_m: float, max_m: float, levels: int = DEPTH_LEVELS
) -> CompressedImage:
    """Depth as `image_transport`'s "compressedDepth" plugin reads it.

    `depth`: float32 [h, w] metres along Z; NaN, infinity and what is not above 0 are sent as no reading.
    Rounded as nepi_ros.result_code.depth_png says.

    Raises:
        ValueError: not 0 < min_m < max_m, or levels out of range.
    """
    data = depth_png(depth, min_m, max_m, levels)
    return CompressedImage(header=header, format=DEPTH_FORMAT, data=data)


def depth_from_compressed(message: CompressedImage) -> np.ndarray:
    """Depth float32 [h, w] in metres, NaN where there is no reading, of a 32FC1 compressedDepth message.

    Raises:
        ImageError: the message is not such a depth map.
    """
    data = bytes(message.data)
    if not message.format.startswith("32FC1; compressedDepth") or len(data) < CONFIG.size:
        raise ImageError(f"{len(data)} bytes of format {message.format[:40]!r} are not a {DEPTH_FORMAT!r}")
    kind, a, b = CONFIG.unpack_from(data)
    if kind != INVERSE_DEPTH or not (math.isfinite(a) and math.isfinite(b) and a > 0):
        raise ImageError(f"compressed depth with header ({kind}, {a}, {b}) is not inverse depth")
    values = decode(data[CONFIG.size :])
    if values.ndim != 2 or values.dtype != np.uint16:
        raise ImageError("compressed depth is not sixteen bits per pixel")
    with np.errstate(divide="ignore"):
        depth = np.float32(a) / (values.astype(np.float32) - np.float32(b))
    return np.where((values == 0) | (depth < 0) | ~np.isfinite(depth), np.float32(np.nan), depth)


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


def _decoded(message: CompressedImage) -> np.ndarray:
    try:
        return decode(message.data)
    except ImageError as error:
        raise ImageError(f"{error}; its format says {message.format[:40]!r}") from error
