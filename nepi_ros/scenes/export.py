# SPDX-License-Identifier: Apache-2.0
"""Writes frames of the patrol as a data folder: colour, depth and segmentation per frame, places.csv, set.json."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from nepi_ros.datasets import read_info, read_places
from nepi_ros.errors import ConfigError
from nepi_ros.files import write_atomic
from nepi_ros.scenes.labels import CLASSES, PALETTE, PLACES
from nepi_ros.scenes.patrol import Patrol, SceneFrame

QUALITY = 98


def _jpeg(rgb: np.ndarray) -> bytes:
    # Pillow, because OpenCV before 4.7, as ROS 2 Jazzy has it, cannot be told to keep colour at full resolution.
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=QUALITY, subsampling="4:4:4")
    return file.getvalue()


def _png(image: np.ndarray) -> bytes:
    done, data = cv2.imencode(".png", image)
    if not done:
        raise ConfigError(f"cannot encode a PNG of shape {image.shape}")
    return data.tobytes()


def depth_millimetres(depth: np.ndarray) -> np.ndarray:
    """Metres float32 to uint16 millimetres; 0 where there is no reading."""
    return np.where(np.isfinite(depth), np.clip(np.round(depth * 1000), 0, 65535), 0).astype(np.uint16)


def write_frame(folder: Path, index: int, frame: SceneFrame) -> None:
    """The three pictures of one frame; the colour picture comes last, so that it marks the frame as complete."""
    stem = f"frame-{index:06d}"
    write_atomic(folder / f"{stem}.depth.png", _png(depth_millimetres(frame.depth)))
    write_atomic(folder / f"{stem}.segmentation.png", _png(frame.segmentation))
    write_atomic(folder / f"{stem}.color.jpg", _jpeg(frame.rgb))


def describe(patrol: Patrol) -> dict:
    """What set.json says about a folder made from `patrol`."""
    return {
        "source": "nepi_ros.scenes",
        "seed": patrol.seed,
        "rate": patrol.rate,
        "width": patrol.width,
        "height": patrol.height,
        "intrinsics": {"fx": patrol.fx, "fy": patrol.fy, "cx": patrol.cx, "cy": patrol.cy},
        "registered": True,
        "depth_unit_m": 0.001,
        "classes": list(CLASSES),
        "palette": [list(colour) for colour in PALETTE],
        "places": list(PLACES),
    }


def write_places(path: Path, places: dict[str, int]) -> None:
    """places.csv with columns frame, place."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("frame", "place"))
    writer.writerows(sorted(places.items()))
    write_atomic(path, text.getvalue().encode())


def export(patrol: Patrol, folder: Path, indices: Iterable[int], save_every: int = 50) -> int:
    """Writes the frames that `folder` lacks and returns how many there were.

    An interrupted run can be repeated; it goes on where it stopped. Raises ConfigError if the folder holds frames
    of another seed or size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description, about = describe(patrol), folder / "set.json"
    if about.exists() and read_info(about) != description:
        raise ConfigError(f"{about} describes other scenes; choose another folder or delete this one")
    write_atomic(about, (json.dumps(description, indent=1) + "\n").encode())
    places, made = read_places(folder / "places.csv"), 0
    try:
        for index in indices:
            stem = f"frame-{index:06d}"
            if stem in places and (folder / f"{stem}.color.jpg").exists():
                continue
            frame = patrol.frame(index)
            write_frame(folder, index, frame)
            places[stem], made = frame.place, made + 1
            if made % save_every == 0:
                write_places(folder / "places.csv", places)
    finally:
        write_places(folder / "places.csv", places)
    return made
