# SPDX-License-Identifier: Apache-2.0
"""From a camera's message to its encoded frame."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sensor_msgs.msg import CompressedImage, Image

from nepi_ros.bundle import Bundle
from nepi_ros.codec import Earlier, EncodedFrame, Encoder
from nepi_ros.image import Letterbox, compressed_to_rgb, to_rgb


@lru_cache(maxsize=8)
def _letterbox(source_size: tuple[int, int], input_size: tuple[int, int]) -> Letterbox:
    return Letterbox(source_size, input_size)


class FrameEncoder:
    """Encodes camera messages with a bundle."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        """Raises BundleError when the bundle's encoder cannot be used."""
        self._bundle = bundle
        self._encoder = Encoder(bundle, threads)

    def encode(
        self, message: Image | CompressedImage, tasks: Sequence[str], pictures: bool, earlier: Earlier | None = None
    ) -> tuple[EncodedFrame, tuple[int, int]]:
        """The frame with the layers that are useful for the tasks, and the source's (width, height). `pictures`:
        whether those are among them. `earlier`: a frame that the edge has, to be coded given it.

        Raises:
            ImageError: the image cannot be converted.
        """
        rgb = to_rgb(message) if isinstance(message, Image) else compressed_to_rgb(message)
        size = (rgb.shape[1], rgb.shape[0])
        frame = _letterbox(size, self._bundle.input_size).apply(rgb)
        most = self._bundle.layer_count if pictures else len(self._bundle.layers)
        useful = self._bundle.profile_of(tasks).useful_layers(tasks, most)
        return self._encoder.encode(frame, useful, self._bundle.kind(tasks), earlier), size
