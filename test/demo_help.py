# SPDX-License-Identifier: Apache-2.0
"""What the tests of the demo share."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tiny_bundle import CLASSES, PLACES, tiny_frames

from nepi_ros.datasets import FrameSet

TASKS = ("segmentation", "depth", "classification")


def write_frames(folder: Path, count: int, classes: Sequence[str] = CLASSES) -> FrameSet:
    """Frames with truth in the kitchen layout, registered."""
    folder.mkdir()
    for i, rgb in enumerate(tiny_frames(count, 160, 120)):
        stem = f"frame-{i:06d}"
        labels = np.full((120, 160), i % len(CLASSES), np.uint8)
        labels[:10] = 3
        cv2.imwrite(str(folder / f"{stem}.color.png"), rgb[..., ::-1])
        cv2.imwrite(str(folder / f"{stem}.depth.png"), np.full((120, 160), 1500 + i, np.uint16))
        cv2.imwrite(str(folder / f"{stem}.segmentation.png"), labels)
    rows = "".join(f"frame-{i:06d},{i % len(PLACES)}\n" for i in range(count))
    (folder / "places.csv").write_text("frame,place\n" + rows)
    about = {"registered": True, "classes": list(classes), "places": list(PLACES)}
    (folder / "set.json").write_text(json.dumps(about))
    return FrameSet.open(folder)


def wait_for(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
