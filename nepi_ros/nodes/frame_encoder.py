# SPDX-License-Identifier: Apache-2.0
"""From a camera's message to its encoded frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from nepi_ros.bundle import Bundle
from nepi_ros.codec import Earlier, EncodedFrame, Encoder
from nepi_ros.image import Letterbox, compressed_to_rgb, to_rgb
from nepi_ros.motion import Glimpse


@lru_cache(maxsize=8)
def _letterbox(source_size: tuple[int, int], input_size: tuple[int, int]) -> Letterbox:
    return Letterbox(source_size, input_size)


@dataclass(frozen=True, eq=False)
class Picture:
    """A camera's frame as the networks take it: RGB uint8 [H, W, 3], letterboxed to the bundle's input size."""

    image: np.ndarray
    box: Letterbox

    @cached_property
    def glimpse(self) -> Glimpse:
        """What is enough to see how it moved."""
        return Glimpse.of(self.box.crop(self.image))


class FrameEncoder:
    """Encodes camera messages with a bundle."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        """Raises BundleError when the bundle's encoder cannot be used."""
        self._bundle = bundle
        self._encoder = Encoder(bundle, threads)

    def picture(self, message: Image | CompressedImage) -> Picture:
        """A message's picture.

        Raises:
            ImageError: the image cannot be converted.
        """
        rgb = to_rgb(message) if isinstance(message, Image) else compressed_to_rgb(message)
        box = _letterbox((rgb.shape[1], rgb.shape[0]), self._bundle.input_size)
        return Picture(box.apply(rgb), box)

    def encode(
        self, picture: Picture, tasks: Sequence[str], pictures: bool, earlier: Earlier | None = None
    ) -> EncodedFrame:
        """The frame with the layers that are useful for the tasks. `pictures`: whether those are among them. `earlier`:
        a frame that the edge has, to be coded given it."""
        most = self._bundle.layer_count if pictures else len(self._bundle.layers)
        useful = self._bundle.profile_of(tasks).useful_layers(tasks, most)
        return self._encoder.encode(picture.image, useful, self._bundle.kind(tasks), earlier)
