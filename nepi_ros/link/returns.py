# SPDX-License-Identifier: Apache-2.0
"""The way back: how large the results of a frame may be, which task gives way first, and what shares a message.

The robot grants bytes (LinkControl's `result_bytes`), for it alone knows when its own deadline ends and what the
way back has been like; the edge, which alone knows the results, cuts them to that grant. Results shrink a step at a
time: a classification names fewer classes, dense results become narrower, the last of the tasks first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

SCALES = (1.0, 0.75, 0.5, 0.375, 0.25)
"""Sizes of a result relative to the configured one: the width of a map, the number of classes named."""
DENSE = ("segmentation", "depth")
UNLIMITED = 0
"""As a grant of bytes: results as large as configured."""
SMALLEST = 1
"""As a grant of bytes: results as small as they get."""

ALIGNMENT = 16
"""Bytes that the fields of a message may lose by beginning where their types demand, at most."""

Step = Mapping[str, float]
"""Task -> scale of its result."""


def ladder(tasks: Sequence[str], scales: Sequence[float] = SCALES) -> tuple[Step, ...]:
    """From full results to the smallest. `tasks` in order of priority: a classification gives way before anything, as
    its first class stays, then the last of the dense ones.

    >>> for step in ladder(("classification", "depth"), (1.0, 0.5)):
    ...     print(step)
    {'depth': 1.0, 'classification': 1.0}
    {'depth': 1.0, 'classification': 0.5}
    {'depth': 0.5, 'classification': 0.5}
    """
    step = dict.fromkeys(sorted(tasks, key=lambda task: task not in DENSE), scales[0])
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


def named(top_k: int, scale: float) -> int:
    """How many classes a classification names, of at most `top_k`."""
    return max(1, round(scale * top_k))


def named_bytes(names: Sequence[str]) -> int:
    """Serialised bytes of class names and of a score for each."""
    return sum(4 + -(-(len(name.encode()) + 1) // 4) * 4 + 4 for name in names)


def grouped(sizes: Mapping[str, int], room: int) -> tuple[tuple[str, ...], ...]:
    """Results by message, given each one's bytes: one message where all fit `room`, else first come, first in. What is
    larger by itself has a message of its own. Always at least one, maybe empty.

    >>> grouped({"segmentation": 900, "depth": 700, "classification": 100}, room=1200)
    (('segmentation', 'classification'), ('depth',))
    """
    groups: list[tuple[list[str], int]] = []
    for task, size in sizes.items():
        place = next((k for k, (_, used) in enumerate(groups) if used + size <= room), None)
        if place is None:
            groups.append(([task], size))
        else:
            tasks, used = groups[place]
            groups[place] = ([*tasks, task], used + size)
    return tuple(tuple(tasks) for tasks, _ in groups) or ((),)
