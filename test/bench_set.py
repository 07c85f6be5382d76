# SPDX-License-Identifier: Apache-2.0
"""A set of labelled frames for tests of the bench: tiny scenes, with what the tiny bundle's networks see as truth."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from tiny_bundle import tiny_frames

from nepi_ros.bundle import Bundle
from nepi_ros.codec import TargetNetworks, untouched
from nepi_ros.tasks import REGISTRY

WIDTH, HEIGHT = 128, 96


def write_set(folder: Path, bundle: Bundle, count: int, first: int = 0, seed: int = 5) -> Path:
    """Frames numbered from `first`, in the layout that nepi_ros.scenes writes."""
    folder.mkdir(parents=True)
    (folder / "set.json").write_text(json.dumps({"registered": True}))
    networks = TargetNetworks(bundle, tuple(bundle.tasks))
    places = ["frame,place"]
    for number, rgb in enumerate(moving(count, seed), first):
        outputs = networks.run(untouched(rgb[None]))
        results = {
            task: REGISTRY[task].result(outputs[task][0], (WIDTH, HEIGHT), spec) for task, spec in bundle.tasks.items()
        }
        name = f"frame-{number:06d}"
        cv2.imwrite(str(folder / f"{name}.color.png"), rgb[..., ::-1])
        cv2.imwrite(str(folder / f"{name}.depth.png"), (results["depth"] * 1000).round().astype(np.uint16))
        cv2.imwrite(str(folder / f"{name}.segmentation.png"), results["segmentation"])
        places.append(f"{name},{int(results['classification'].argmax())}")
    (folder / "places.csv").write_text("\n".join(places) + "\n")
    return folder


def moving(count: int, seed: int) -> np.ndarray:
    """A slow pan over a scene: uint8 [count, HEIGHT, WIDTH, 3]."""
    wide = tiny_frames(1, WIDTH + 4 * count, HEIGHT, seed)[0]
    return np.stack([wide[:, 4 * i : 4 * i + WIDTH] for i in range(count)])
