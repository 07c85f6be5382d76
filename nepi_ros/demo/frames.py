# SPDX-License-Identifier: Apache-2.0
"""The frames a demo plays: a folder of the user's, or the built-in patrol drawn beforehand."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import as_completed
from pathlib import Path

import cv2

from nepi_ros.datasets import FrameSet, read_info
from nepi_ros.demo.observer import fingerprint
from nepi_ros.errors import ConfigError
from nepi_ros.process import worker_pool
from nepi_ros.progress import progress_bar

PATROL_RATE_HZ = 30.0
# In building 0, twenty seconds from here lead from the storage room through the corridor into the office.
PATROL_START = 360
_BLOCK = 20
_OWN = re.compile(r"frame-\d+\.\w+\.\w+|places\.csv|set\.(json|\d+)|\..*\.part")


def open_frames(folder: Path, count: int) -> FrameSet:
    """The first `count` frames of a folder in any layout that FrameSet knows. Raises ConfigError without any."""
    frame_set = FrameSet.open(folder)
    if count < len(frame_set):
        return FrameSet(**{**vars(frame_set), "entries": frame_set.entries[:count]})
    return frame_set


def render_patrol(folder: Path, count: int, rate_hz: float, seed: int, workers: int | None = None) -> FrameSet:
    """Draw `count` frames of the patrol as a camera of `rate_hz` sees them, into `folder`; what is there is kept.

    They are drawn before they are played, so that casting rays does not compete with the nodes for the processor,
    and so that truth lies beside them.
    """
    step = max(round(PATROL_RATE_HZ / rate_hz), 1)
    wanted = [PATROL_START + index * step for index in range(count)]
    if not _is_drawn(folder, wanted, seed):
        _draw(folder, wanted, seed, workers or min(os.cpu_count() or 1, 4))
    return open_frames(folder, count)


def identify(paths: Iterable[Path]) -> dict[int, int]:
    """Place in the order of `paths` by fingerprint of the pixels, as rgb8 and as bgr8.

    Frames are told by what they show, not by when they came: nothing that is lost on the way shifts the others.
    """
    indices: dict[int, int] = {}
    for index, path in enumerate(paths):
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            continue  # the camera has passed it over, and said so
        for pixels in (bgr, bgr[..., ::-1]):
            indices.setdefault(fingerprint(pixels.tobytes()), index)
    return indices


def _stem(index: int) -> str:
    return f"frame-{index:06d}"


def _is_drawn(folder: Path, wanted: list[int], seed: int) -> bool:
    """Whether the folder begins with these frames, whole."""
    about, places = folder / "set.json", folder / "places.csv"
    if not about.exists() or not places.exists() or read_info(about).get("seed") != seed:
        return False
    first = FrameSet.open(folder).entries[: len(wanted)]
    return [entry.name for entry in first] == [_stem(index) for index in wanted]


def _draw(folder: Path, wanted: list[int], seed: int, workers: int) -> None:
    from nepi_ros.scenes.export import write_places

    folder.mkdir(parents=True, exist_ok=True)
    former = [path for path in folder.iterdir() if _OWN.fullmatch(path.name)]
    strange = {path.name for path in folder.iterdir()} - {path.name for path in former}
    if strange:
        raise ConfigError(f"{folder}: the patrol is drawn there, but {min(strange)} lies in it; give another --out")
    for path in former:
        path.unlink()
    places: dict[str, int] = {}
    blocks = [wanted[i : i + _BLOCK] for i in range(0, len(wanted), _BLOCK)]
    with worker_pool(workers, _prepare, folder, seed) as pool:
        drawn = as_completed([pool.submit(_draw_block, block) for block in blocks])
        with progress_bar(total=len(wanted), desc="drawing the patrol", leave=False) as progress:
            for block in drawn:
                places.update(block.result())
                progress.update(len(block.result()))
    # Last, so that an interrupted drawing is not taken for a whole one.
    write_places(folder / "places.csv", places)


def _prepare(folder: Path, seed: int) -> None:
    """Once per worker: building the rooms takes longer than drawing some frames."""
    from nepi_ros.scenes import Patrol
    from nepi_ros.scenes.export import describe

    global _patrol, _folder
    cv2.setNumThreads(1)
    _patrol, _folder = Patrol(seed=seed), folder
    about = folder / "set.json"
    part = about.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(describe(_patrol), indent=1) + "\n")
    part.replace(about)


def _draw_block(indices: list[int]) -> Mapping[str, int]:
    from nepi_ros.scenes.export import write_frame

    places = {}
    for index in indices:
        frame = _patrol.frame(index)
        write_frame(_folder, index, frame)
        places[_stem(index)] = frame.place
    return places
