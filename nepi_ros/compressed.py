# SPDX-License-Identifier: Apache-2.0
"""JPEG, PNG and lossless WebP data to pixels, with the size known before a byte is decoded."""

from __future__ import annotations

import struct

import cv2
import numpy as np

from nepi_ros.errors import ImageError

MAX_SIDE = 16384
"""Largest width and height of an image, in pixels."""
MAX_PIXELS = 1 << 26

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
# RIFF, length, WEBP, VP8L, length, signature, then 14 bits each of width - 1 and height - 1.
_WEBP = struct.Struct("<4s4x8s4xBI")
# Start-of-frame markers; C4, C8 and CC in between mean something else.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BASELINE = frozenset({0xC0})


def decode(
    data: bytes | memoryview | np.ndarray, flags: int = cv2.IMREAD_UNCHANGED, most: int = MAX_PIXELS
) -> np.ndarray:
    """Pixels of a JPEG, PNG or lossless WebP file as cv2.imdecode gives them: [H, W] or [H, W, C], colours as BGR.

    An orientation stored in the file is ignored: the pixels stay where the camera has them.

    Raises:
        ImageError: the data is no such file, is damaged, or claims more than `most` pixels.
    """
    raw = np.frombuffer(data, np.uint8)
    width, height = image_size(raw)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE and width * height <= most):
        raise ImageError(f"compressed image claims {width} x {height} pixels, at most {most} are taken")
    try:
        image = cv2.imdecode(raw, flags | cv2.IMREAD_IGNORE_ORIENTATION if flags >= 0 else flags)
    except cv2.error as error:
        raise ImageError(f"compressed image of {width} x {height}: {error.err}") from error
    if image is None:
        raise ImageError(f"compressed image of {width} x {height} is damaged ({raw.size} bytes)")
    if image.shape[:2] != (height, width):
        has = " x ".join(map(str, image.shape[1::-1]))
        raise ImageError(f"compressed image claims {width} x {height} pixels and has {has}")
    return image


def image_size(raw: np.ndarray) -> tuple[int, int]:
    """Width and height that such a file, uint8 [bytes], claims.

    Raises:
        ImageError: it is none, or ends before it says.
    """
    head = raw[: _WEBP.size].tobytes()
    if head.startswith(_PNG) and len(head) >= 24:
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    if head.startswith(_JPEG):
        return _jpeg_header(raw.data, _JPEG_FRAMES)[:2]
    if len(head) == _WEBP.size:
        riff, kind, signature, sides = _WEBP.unpack(head)
        if (riff, kind, signature) == (b"RIFF", b"WEBPVP8L", 0x2F):
            return (sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1
    start = head[:4].hex(" ")
    raise ImageError(f"compressed image is no JPEG, PNG or lossless WebP ({raw.size} bytes, beginning {start})")


def baseline_header(data: bytes) -> tuple[int, int, int]:
    """Width and height that a baseline JPEG claims, and where in it the header stands that does so.

    Raises:
        ImageError: it is none.
    """
    if not data.startswith(_JPEG):
        raise ImageError(f"compressed image is no JPEG ({len(data)} bytes, beginning {data[:4].hex(' ')})")
    return _jpeg_header(memoryview(data), _BASELINE)


def _jpeg_header(data: memoryview, wanted: frozenset[int]) -> tuple[int, int, int]:
    """Walk from segment to segment up to the frame's header (ITU-T T.81, B.1 and B.2.2): width, height, position."""
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0 or marker in _JPEG_FRAMES - wanted:
            break
        if marker in wanted:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height, position
        # Fill bytes, and markers without a length, are passed over one by one.
        alone = marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8
        skip = (1 if marker == 0xFF else 2) if alone else 2 + struct.unpack_from(">H", data, position + 2)[0]
        position += skip
    raise ImageError(f"compressed image is a JPEG without a frame header that can be read ({len(data)} bytes)")
