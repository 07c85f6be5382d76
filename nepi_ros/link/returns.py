# SPDX-License-Identifier: Apache-2.0
"""The way back: how large the results of a frame may be, and which task gives way first.

The robot grants bytes (LinkControl's `result_bytes`), for it alone knows when its own deadline ends and what the
way back has been like; the edge, which alone knows the results, cuts them to that grant. Dense results shrink in
width, a step at a time, the last of the tasks in order of priority first; a classification is small as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

SCALES = (1.0, 0.75, 0.5, 0.375, 0.25)
"""Widths of a result relative to the configured one. Bytes go roughly with the square."""
DENSE = ("segmentation", "depth")
UNLIMITED = 0
"""As a grant of bytes: results as large as configured."""
SMALLEST = 1
"""As a grant of bytes: results as small as they get."""

Step = Mapping[str, float]
"""Task -> scale of its result's width, for the dense tasks."""


def ladder(tasks: Sequence[str], scales: Sequence[float] = SCALES) -> tuple[Step, ...]:
    """From full results to the smallest; `tasks` in order of priority, the last of them gives way first.

    >>> ladder(("segmentation", "depth"), (1.0, 0.5))[1]
    {'segmentation': 1.0, 'depth': 0.5}
    """
    step = {task: scales[0] for task in tasks if task in DENSE}
    steps = [dict(step)]
    for task in reversed(list(step)):
        for scale in scales[1:]:
            step[task] = scale
            steps.append(dict(step))
    return tuple(steps)


def fitting(steps: Sequence[Step], granted: int, wire_bytes: Callable[[Step], int]) -> Step:
    """The first step whose results cost at most `granted` bytes on the wire; the last one when none does."""
    if granted == UNLIMITED:
        return steps[0]
    return next((step for step in steps if wire_bytes(step) <= granted), steps[-1])
