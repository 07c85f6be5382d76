# SPDX-License-Identifier: Apache-2.0
"""What a configuration says of a task, as strictly as the bundle will take it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from nepi_ros.errors import ConfigError
from nepi_ros.tasks import TaskSpec

_ENTRIES = {"segmentation": ("classes", "palette"), "depth": ("min_m", "max_m"), "classification": ("classes",)}


def is_number(value: Any) -> bool:
    """Whether YAML read a finite number: it takes 1e-3 for text, and yes for true."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any, lowest: int) -> bool:
    """Whether YAML read a whole number from `lowest` up."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= lowest


def _are_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and 1 <= len(value) <= 255 and all(isinstance(v, str) for v in value)


def _are_colours(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(
        isinstance(rgb, (list, tuple)) and len(rgb) == 3 and all(is_whole(v, 0) and v <= 255 for v in rgb)
        for rgb in value
    )


def _are_metres(value: Any) -> bool:
    return is_number(value) and 0 < value < 1e6


_WANTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "classes": (_are_names, "a list of 1 to 255 texts"),
    "palette": (_are_colours, "a list of colours [red, green, blue], each value from 0 to 255"),
    "min_m": (_are_metres, "a number of metres above 0"),
    "max_m": (_are_metres, "a number of metres above 0"),
}


def task_spec(task: str, settings: Any) -> TaskSpec:
    """A task as the bundle will describe it. Raises ConfigError naming the entry that is wrong, missing or unknown."""
    where, entries = f"tasks.{task}", _ENTRIES[task]
    if not isinstance(settings, dict):
        raise ConfigError(f"{where}: {settings!r} does not give its {' and '.join(entries)}")
    for name in settings:
        if name not in entries:
            raise ConfigError(f"{where}.{name}: unknown; known are {', '.join(entries)}")
    for name in entries:
        fits, wanted = _WANTED[name]
        if name not in settings:
            raise ConfigError(f"{where}.{name}: missing; give {wanted}")
        if not fits(settings[name]):
            raise ConfigError(f"{where}.{name}: {settings[name]!r} is not {wanted}")
    spec = TaskSpec(task, f"{task}.onnx", **settings)
    if task == "segmentation" and len(spec.palette) != len(spec.classes):
        raise ConfigError(f"{where}.palette: has {len(spec.palette)} colours for {len(spec.classes)} classes")
    if task == "depth" and not spec.min_m < spec.max_m:
        raise ConfigError(f"{where}: min_m {spec.min_m:g} is not below max_m {spec.max_m:g}")
    return spec
