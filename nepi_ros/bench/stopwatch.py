# SPDX-License-Identifier: Apache-2.0
"""Times of the steps of making and reading an epitome, beside those of a JPEG and of the target networks.

Every round does all steps of a frame one after the other, so that whatever else the machine does meets them alike;
figures to rely on are therefore the ratios within a round.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import cv2
import numpy as np

from nepi_ros.bundle import Bundle
from nepi_ros.codec import Decoder, Earlier, Encoder, Segment, TargetNetworks, untouched
from nepi_ros.letterbox import Letterbox
from nepi_ros.motion import Glimpse, Motion
from nepi_ros.progress import progress_bar

JPEG_QUALITY = 90

MAKING = ("resize", "encoder network", "entropy encoding")
READING = ("entropy decoding", "decoder network")
HOLDING = "seeing that it only moved"
GIVEN = ("entropy encoding, given an earlier frame", "entropy decoding, given an earlier frame")
PICTURE = ("largest picture, writing", "largest picture, reading")
JPEG = ("JPEG encoding", "JPEG decoding", "JPEG encoding, input size", "JPEG decoding, input size")

Steps = dict[str, Callable[[], object]]


class Stopwatch:
    """Times the steps of one bundle, on one core.

    MAKING and READING name the steps of an epitome of the whole latent in order; GIVEN those that take the place of its
    entropy coding in a video, where the bundle is for one; HOLDING what comes after the resize where a frame is held;
    PICTURE those of a bundle's largest picture, which is read
    in place of that; JPEG those of JPEG of quality 90, of the source frame and of the frame at the networks' input
    size; `targets` the target networks'.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.encoder, self.decoder = Encoder(bundle), Decoder(bundle)
        self._networks = TargetNetworks(bundle, tuple(bundle.tasks))
        self._size = bundle.input_size
        self._picture = bundle.pictures[-1] if bundle.pictures else None
        self.targets = tuple(bundle.tasks)

    def run(self, frames: Sequence[np.ndarray], rounds: int) -> dict[str, np.ndarray]:
        """Seconds [rounds * frames] of every step for RGB frames uint8 [H, W, 3]; a first round is not counted."""
        kept: dict[str, list[float]] = {}
        with one_core(), progress_bar(total=(rounds + 1) * len(frames), desc="timing") as bar:
            for number in range(rounds + 1):
                for rgb in frames:
                    for name, step in self._steps(rgb).items():
                        began = time.perf_counter()
                        step()
                        seconds = time.perf_counter() - began
                        if number:
                            kept.setdefault(name, []).append(seconds)
                    bar.update()
        return {name: np.array(seconds) for name, seconds in kept.items()}

    def _steps(self, rgb: np.ndarray) -> Steps:
        """The steps, each with its input ready. Images are BGR for OpenCV's JPEG, as camera drivers often give them."""
        box = Letterbox(rgb.shape[1::-1], self._size)
        image = box.apply(rgb)
        latent = self.encoder.latents(image[None])[0]
        segment, whole = self._coded(latent), untouched(image[None])
        decoded = self.decoder.read([segment])
        steps: Steps = {
            "resize": lambda: box.apply(rgb),
            "encoder network": lambda: self.encoder.latents(image[None]),
            "entropy encoding": lambda: self._coded(latent),
            "entropy decoding": lambda: self.decoder.read([segment]),
            "decoder network": lambda: self.decoder.views([decoded]),
            HOLDING: partial(_motion, box, image),
        }
        if self.encoder.coder.takes_earlier:
            steps |= dict(zip(GIVEN, self._given(latent), strict=True))
        if self._picture:
            stream = self._picture.write(image)
            actions = partial(self._picture.write, image), partial(self._picture.read, stream, self._size)
            steps |= dict(zip(PICTURE, actions, strict=True))
        for what, source in (("", rgb), (", input size", image)):
            bgr = np.ascontiguousarray(source[..., ::-1])
            code = jpeg(bgr)
            steps[f"JPEG encoding{what}"] = lambda bgr=bgr: jpeg(bgr)
            steps[f"JPEG decoding{what}"] = lambda code=code: cv2.imdecode(code, cv2.IMREAD_COLOR)
        return steps | {task: lambda task=task: self._networks.run(whole, [task]) for task in self.targets}

    def _coded(self, latent: np.ndarray, earlier: Earlier | None = None) -> Segment:
        return self.encoder.coder.code(latent, earlier=earlier).whole

    def _given(self, latent: np.ndarray) -> tuple[Callable[[], object], Callable[[], object]]:
        """Coding and reading a latent given an earlier one: itself, for the time does not depend on how alike they are,
        and so it is certain to be coded given that."""
        coder = self.encoder.coder
        earlier = coder.received(latent, coder.layers)
        segment = self._coded(latent, earlier)
        return lambda: self._coded(latent, earlier), lambda: self.decoder.read([segment], earlier=earlier)


def _motion(box: Letterbox, image: np.ndarray) -> Motion | None:
    """What it takes to see how the picture moved since a frame that was just sent: a pixel, here."""
    now = Glimpse.of(box.crop(image))
    return Glimpse(np.roll(now.grey, 1, axis=1)).motion_to(now)


def jpeg(bgr: np.ndarray) -> np.ndarray:
    """JPEG of quality 90, 4:2:0, by libjpeg-turbo, as a camera driver or image_transport makes it."""
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, OpenCV's threads included, on one core."""
    threads = cv2.getNumThreads()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    cv2.setNumThreads(1)
    if cores:
        os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
        if cores:
            os.sched_setaffinity(0, cores)
