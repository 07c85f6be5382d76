# SPDX-License-Identifier: Apache-2.0
"""GRACE: JPEG whose quantisation tables are fitted to a target network.

After Xie and Kim, Source Compression with Bounded DNN Perception Loss for IoT Edge Computer Vision, MobiCom 2019.
Probe images give the network's sensitivity g to an error in each of the 64 DCT frequencies of each colour channel.
An error of at most q/2 in a coefficient quantised by step q costs at most g q/2, so a bound B on the loss is
kept with sum(g q / 2) <= B; the rate, about -log q per coefficient, is then least when every coefficient takes an
equal share: q = 2 B / (192 g).

The paper takes g from gradients. Networks here are ONNX without gradients, so g is measured: the DCT patterns of one
frequency are added to the probe images with random signs per block, and g is by how much the outputs move per
amplitude. Where the picture clips, little moves, as it will when it is coded.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from nepi_ros.bench.frames import Frame
from nepi_ros.bench.peers.base import Setting
from nepi_ros.bench.peers.stills import SUBSAMPLINGS, StillPeer, smallest_jpeg
from nepi_ros.codec import TargetNetworks, untouched
from nepi_ros.tasks import REGISTRY
from nepi_ros.tasks.classification import probabilities

import PIL  # isort: skip

PROBES = 8
AMPLITUDE = 12.0
"""Of a coefficient, in JPEG's units (steps of quality 50 are 10 to 121)."""
_BLOCK = 8
_BATCH = 4
_GAINS = (1, 2, 3.5, 6, 9, 13, 19, 27, 39, 56, 80, 120, 180, 300, 600, 1500, 5000)
_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)  # BT.601, as in JFIF

Tables = dict[str, dict[str, list[list[float]]]]
"""task -> subsampling -> sensitivity of Y, Cb, Cr [3][64], row by row from the lowest frequency."""


class Grace(StillPeer):
    """Swept over the loss bound; one family of tables for each task and chroma subsampling.

    `bound` in a setting is the mean quantisation step that the bound leaves (its geometric mean over the 192
    coefficients), which says more than the bound itself and is comparable between networks.
    """

    name, format, version = "grace", "JPEG", f"{PIL.__version__}-2"

    def __init__(self, tables: Tables, missing: str = "") -> None:
        self.tables, self._missing = tables, missing

    def problem(self) -> str | None:
        return super().problem() or self._missing or None

    def settings(self) -> list[Setting]:
        fits = [(task, subsampling) for task in self.tables for subsampling in SUBSAMPLINGS]
        return [{"bound": gain, "fit": task, "subsampling": s} for gain in reversed(_GAINS) for task, s in fits]

    def encode(self, picture: np.ndarray, setting: Setting) -> bytes:
        sensitivity = np.array(self.tables[setting["fit"]][setting["subsampling"]])
        tables = quantisation(sensitivity, setting["bound"])
        return smallest_jpeg(picture, qtables=tables.tolist(), subsampling=setting["subsampling"])


def quantisation(sensitivity: np.ndarray, step: float) -> np.ndarray:
    """Quantisation tables int [3, 64], 1 to 255, inverse to the sensitivity [3, 64] and of geometric mean `step`.

    >>> quantisation(np.array([[1.0, 4.0]]), 8).tolist()
    [[16, 4]]
    """
    floor = sensitivity.max() * 1e-6  # a frequency that moves nothing at all
    inverse = 1 / np.maximum(sensitivity, floor)
    return np.clip(np.rint(step * inverse / np.exp(np.log(inverse).mean())), 1, 255).astype(int)


def measure_sensitivity(
    networks: TargetNetworks, task: str, probes: Sequence[Frame], subsampling: str, seed: int = 0
) -> list[list[float]]:
    """Sensitivity of a task's network [3][64]: mean movement of its output per unit of each coefficient."""
    random = np.random.default_rng(seed)
    total = np.zeros((3, _BLOCK * _BLOCK))
    for probe in probes:
        image = untouched(probe.image[None])
        before = _comparable(task, networks.run(image, [task])[task])
        jobs = [(channel, k) for channel in range(3) for k in range(_BLOCK * _BLOCK)]
        for start in range(0, len(jobs), _BATCH):
            batch = jobs[start : start + _BATCH]
            patterns = [pattern(c, k, image.shape[2:], subsampling, random) for c, k in batch]
            moved = np.clip(image + np.stack(patterns) * (AMPLITUDE / 255), 0, 1)
            after = _comparable(task, networks.run(moved.astype(np.float32), [task])[task])
            for (channel, k), output in zip(batch, after, strict=True):
                total[channel, k] += np.abs(output - before[0]).mean() / AMPLITUDE
    return (total / len(probes)).tolist()


def pattern(
    channel: int, frequency: int, shape: tuple[int, int], subsampling: str, random: np.random.Generator
) -> np.ndarray:
    """RGB float32 [3, H, W]: one DCT frequency in every block of one of Y, Cb, Cr, coefficient 1, signs at random."""
    factor = 2 if channel and subsampling == "4:2:0" else 1
    rows, columns = (-(-side // (_BLOCK * factor)) for side in shape)
    coefficient = np.zeros((_BLOCK, _BLOCK), np.float32)
    coefficient.flat[frequency] = 1
    signs = random.choice(np.float32([-1, 1]), (rows, columns))
    plane = np.kron(signs, cv2.idct(coefficient))
    if factor > 1:
        plane = cv2.resize(plane, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    return _TO_RGB[:, channel, None, None] * plane[None, : shape[0], : shape[1]]


def _comparable(task: str, output: np.ndarray) -> np.ndarray:
    """Outputs on a scale on which a movement is a loss: probabilities, or logarithms of metres."""
    if REGISTRY[task].output == "logits":
        return probabilities(np.moveaxis(output, 1, -1))
    return np.log(np.maximum(output, 1e-3))
