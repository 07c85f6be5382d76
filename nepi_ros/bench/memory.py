# SPDX-License-Identifier: Apache-2.0
"""Peak memory of making and of reading epitomes, each in a process of its own. Imports only what they need."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from nepi_ros.bundle import Bundle
from nepi_ros.codec import Decoder, Encoder, Segment, TargetNetworks
from nepi_ros.process import peak_memory_mb


def peak_memory(
    folder: Path, images: Sequence[np.ndarray], epitomes: Sequence[Segment]
) -> dict[str, float | None]:
    """Peak resident memory in MB of a process that has only loaded the libraries, of one that makes epitomes of
    `images` (uint8 [H, W, 3] at the input size), and of one that reads `epitomes` and runs the target
    networks. None where the system does not tell."""
    return {
        "libraries": _peak_of(_libraries),
        "making": _peak_of(_making, folder, images),
        "reading_and_targets": _peak_of(_reading, folder, epitomes),
    }


def _peak_of(role: Callable[..., float | None], *arguments: object) -> float | None:
    # Not fork: the child would begin with this process's memory.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(role, *arguments).result()


def _libraries() -> float | None:
    return peak_memory_mb()


def _making(folder: Path, images: Sequence[np.ndarray]) -> float | None:
    encoder = Encoder(Bundle.load(folder))
    for image in images:
        encoder.encode(image, encoder.coder.layers).segment()
    return peak_memory_mb()


def _reading(folder: Path, epitomes: Sequence[Segment]) -> float | None:
    bundle = Bundle.load(folder)
    decoder, networks = Decoder(bundle), TargetNetworks(bundle, tuple(bundle.tasks))
    for segment in epitomes:
        networks.see(decoder.decode([[segment]]))
    return peak_memory_mb()
