# SPDX-License-Identifier: Apache-2.0
"""The picture itself, for links that carry more than latents are worth: as JPEG (ITU-T T.81), at most at the bundle's
input size.

What is learnt says what a frame shows in hundreds of bytes and hardly gets better with thousands; a picture is worth
nothing in hundreds and comes close to the untouched frame in thousands. So a bundle's last layers are pictures, the
smallest first. Where the decoder gives answers, the whole latent comes with each: what a light network made of the
untouched frame and what a heavy one makes of a poor picture are wrong in different places, and right together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from nepi_ros.codec.layered import CodedLatent
from nepi_ros.compressed import baseline_header, decode
from nepi_ros.errors import CodecError, ImageError

# OpenCV's IMWRITE_JPEG_SAMPLING_FACTOR with _420 and _444, by number: OpenCV 4.6, which Ubuntu 24.04 has, lacks the
# names, passes such an option over, and writes 4:2:0.
_SAMPLING, _FACTORS = 7, {False: 0x221111, True: 0x111111}
_SCAN, _HEADERS = b"\xff\xda", 1024
_LENGTH = 3  # bytes that say how long the latent before a picture is


@dataclass(frozen=True)
class PictureFormat:
    """A JPEG of `width` x `height` pixels, of `quality` 1 to 100; `full_colour`: with colours as fine as brightness
    (4:4:4), not half as fine each way (4:2:0). `beside`: how much the answers of the latent that comes with it count
    beside those of a network that looks at it; 0: none comes with it."""

    width: int
    height: int
    quality: int
    full_colour: bool
    beside: float = 0.0

    def write(self, rgb: np.ndarray) -> bytes:
        """The JPEG of an image uint8 [H, W, 3]."""
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        if bgr.shape[1::-1] != (self.width, self.height):
            bgr = cv2.resize(bgr, (self.width, self.height), interpolation=cv2.INTER_AREA)
        options = {
            cv2.IMWRITE_JPEG_QUALITY: self.quality,
            cv2.IMWRITE_JPEG_OPTIMIZE: 1,  # Huffman tables of its own: a tenth fewer bytes
            _SAMPLING: _FACTORS[self.full_colour],
        }
        return cv2.imencode(".jpg", bgr, [number for option in options.items() for number in option])[1].tobytes()

    def read(self, stream: bytes, size: tuple[int, int]) -> np.ndarray:
        """The image uint8 [H, W, 3] of `size` (width, height) that a JPEG of this format shows.

        Raises CodecError when it is none, has another size than the format's, or could take long to read: it must be
        baseline, of one scan, and at most four bytes a pixel.
        """
        try:
            *found, header = baseline_header(stream)
            if found != [self.width, self.height]:
                raise CodecError(f"a picture of {found[0]} x {found[1]} pixels, not {self.width} x {self.height}")
            scans = stream.count(_SCAN, header)
            if scans != 1 or len(stream) > 4 * self.width * self.height + _HEADERS:
                raise CodecError(f"a picture of {scans} scans and {len(stream)} bytes is none of ours")
            bgr = decode(stream, cv2.IMREAD_COLOR)
        except ImageError as error:
            raise CodecError(f"a picture is damaged: {error}") from error
        if (self.width, self.height) != size:
            bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_CUBIC)
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def joined(latent: bytes, picture: bytes) -> bytes:
    """One stream of a latent's and a picture's.

    >>> separated(joined(b"latent", b"picture"))
    (b'latent', b'picture')
    """
    return len(latent).to_bytes(_LENGTH, "big") + latent + picture


def separated(stream: bytes) -> tuple[bytes, bytes]:
    """The inverse of `joined`. Raises CodecError when the stream is too short to be one."""
    end = _LENGTH + int.from_bytes(stream[:_LENGTH], "big")
    if len(stream) < end or len(stream) < _LENGTH:
        raise CodecError(f"a latent of {end - _LENGTH} bytes and a picture in {len(stream)} bytes")
    return stream[_LENGTH:end], stream[end:]


class Album:
    """The pictures of one frame, each made when it is first asked for."""

    def __init__(
        self, rgb: np.ndarray, formats: Sequence[PictureFormat], usual: Sequence[float], latent: CodedLatent
    ) -> None:
        """`rgb` uint8 [H, W, 3]; `usual`: bytes that pictures of each format have on average, with what comes with
        them; `latent`: the frame's."""
        self._rgb, self._formats, self._usual, self._latent = rgb, formats, usual, latent
        self._made: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._formats)

    def stream(self, number: int) -> bytes:
        """The picture of one format, with what comes with it."""
        if number not in self._made:
            format_ = self._formats[number]
            picture = format_.write(self._rgb)
            self._made[number] = joined(self._latent.whole.stream, picture) if format_.beside else picture
        return self._made[number]

    def bytes_about(self) -> list[int]:
        """About how many bytes each picture has: the smallest is made, and the others are usual multiples of it."""
        return [round(len(self.stream(0)) * usual / max(self._usual[0], 1.0)) for usual in self._usual]
