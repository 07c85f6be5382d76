# SPDX-License-Identifier: Apache-2.0
"""What a real camera adds to the light: blur of motion, exposure, vignetting, noise, and a tone curve."""

import cv2
import numpy as np

SAMPLES = 5  # pictures blended along the motion
CURVE = 4096
CROSSTALK = np.float32(0.88 * np.eye(3) + 0.04)  # colour filters let some of the other colours through


def tone_curve() -> np.ndarray:
    """Table of CURVE display values 0..255 for light 0..4 (square-root spaced); a filmic curve (Narkowicz 2015)."""
    light = np.linspace(0, 2, CURVE) ** 2 * 0.8
    film = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
    return np.round(255 * np.clip(film, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def motion_blur(light: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Blends `light` [h, w, 3] along `flow` [h, w, 2], the pixels' motion while the shutter is open."""
    if np.abs(flow).max() < 0.5:
        return light
    y, x = np.mgrid[0 : light.shape[0], 0 : light.shape[1]].astype(np.float32)
    total = np.zeros_like(light)
    for share in np.linspace(-0.5, 0.5, SAMPLES, dtype=np.float32):
        total += cv2.remap(
            light, x + share * flow[..., 0], y + share * flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return total / SAMPLES


class Sensor:
    """Turns light into an 8-bit picture of `width` x `height`."""

    def __init__(self, width: int, height: int, seed: int):
        self._curve, self._seed = tone_curve(), seed
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        square = ((x - width / 2) ** 2 + (y - height / 2) ** 2) / (width**2 + height**2) * 4
        self._vignette = (1 - 0.22 * square)[..., None].astype(np.float32)

    def picture(self, light: np.ndarray, exposure: float, index: int) -> np.ndarray:
        """RGB uint8 [h, w, 3]; the noise depends on the seed and `index` only."""
        rng = np.random.Generator(np.random.SFC64([self._seed, index]))
        signal = cv2.transform(light, CROSSTALK) * (self._vignette * np.float32(exposure))
        noise = rng.standard_normal(light.shape, dtype=np.float32)
        # Photon noise grows with the square root of the light; more gain in dark rooms means more of it.
        gain = np.float32(0.00009 * (1 + 0.6 * exposure))
        signal += noise * np.sqrt(signal * gain + np.float32(6e-6))
        place = np.sqrt(np.clip(signal, 0, 3.999)) * np.float32((CURVE - 1) / 2)
        return self._curve[place.astype(np.uint16)]
