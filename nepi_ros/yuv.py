# SPDX-License-Identifier: Apache-2.0
"""Images in YUV, as cameras send them, to RGB and back: what cv_bridge does not convert.

All are ITU-R BT.601 with luma 16 to 235 and chroma 16 to 240, which is what V4L2 cameras and OpenCV mean by
YUV without further word.

| encoding | rows |
| --- | --- |
| `yuv422_yuy2`, `yuyv` | Y0 U Y1 V for two pixels |
| `yuv422`, `uyvy` | U Y0 V Y1 for two pixels |
| `nv12` | all Y rows, then rows of U V pairs, one pair for 2 x 2 pixels |
| `nv21` | the same with V U pairs |

In `nv12` and `nv21` the chroma rows follow the last luma row at the luma's step; the message's height is the
image's, without the chroma rows. With an odd size the last chroma sample covers a single column or row.
"""

from __future__ import annotations

import cv2
import numpy as np

_PACKED = {
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
}
_SEMI_PLANAR = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}

ENCODINGS = (*_PACKED, *_SEMI_PLANAR)

# Rows: Y, U, V; columns: R, G, B, for values 0 to 255 (BT.601, studio range).
_MATRIX = np.array(
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]], np.float32
) / np.float32(255.0)
_OFFSET = np.array([16.0, 128.0, 128.0], np.float32)


def row_bytes(encoding: str, width: int) -> int:
    """Bytes that an image row (in planar encodings: a luma row) takes at least."""
    return 2 * width if encoding in _PACKED else width


def total_bytes(encoding: str, width: int, height: int, step: int) -> int:
    """Bytes that the data of an image with rows `step` bytes apart takes at least."""
    if encoding in _PACKED:
        return step * (height - 1) + 2 * width
    pairs = _half(width)
    return step * height + _chroma_step(width, step) * (_half(height) - 1) + 2 * pairs


def to_rgb(encoding: str, data: np.ndarray, width: int, height: int, step: int) -> np.ndarray:
    """RGB uint8 [height, width, 3] from `data`, uint8 [at least total_bytes]. `width` is at least 2."""
    if encoding in _PACKED:
        pairs = np.ndarray((height, width, 2), np.uint8, data, 0, (step, 2, 1))
        if width % 2:
            # The last pixel lacks its second chroma sample: its neighbour's will do.
            pairs = np.concatenate([pairs, pairs[:, -2:-1]], axis=1)
        return cv2.cvtColor(np.ascontiguousarray(pairs), _PACKED[encoding])[:, :width]
    luma = np.ndarray((height, width), np.uint8, data, 0, (step, 1))
    shape = (_half(height), _half(width), 2)
    chroma = np.ndarray(shape, np.uint8, data, step * height, (_chroma_step(width, step), 2, 1))
    luma = np.pad(luma, ((0, height % 2), (0, width % 2)), mode="edge")
    rgb = cv2.cvtColorTwoPlane(luma, np.ascontiguousarray(chroma), _SEMI_PLANAR[encoding])
    return rgb[:height, :width]


def from_rgb(encoding: str, rgb: np.ndarray) -> tuple[bytes, int]:
    """Data and step of RGB uint8 [H, W, 3] in an encoding; chroma is the mean of the pixels that share it."""
    height, width = rgb.shape[:2]
    padded = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    yuv = padded.astype(np.float32) @ _MATRIX.T + _OFFSET
    luma, chroma = _bytes(yuv[..., 0]), yuv[..., 1:]
    pairs = (chroma[:, 0::2] + chroma[:, 1::2]) / 2
    if encoding in _SEMI_PLANAR:
        order = slice(None, None, 1 if encoding == "nv12" else -1)
        quads = _bytes((pairs[0::2] + pairs[1::2]) / 2)[..., order]
        return luma[:height, :width].tobytes() + quads.tobytes(), width
    # Chroma of a row in turn U V U V ..., beside the luma.
    along = _bytes(pairs).reshape(padded.shape[0], -1)
    both = (along, luma) if _PACKED[encoding] == cv2.COLOR_YUV2RGB_UYVY else (luma, along)
    return np.stack(both, axis=-1)[:height, :width].tobytes(), 2 * width


def _half(count: int) -> int:
    return (count + 1) // 2


def _chroma_step(width: int, step: int) -> int:
    # Without padding the chroma rows of an odd width are one byte longer than the luma rows.
    return max(step, 2 * _half(width))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
