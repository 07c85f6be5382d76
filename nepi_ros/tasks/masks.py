# SPDX-License-Identifier: Apache-2.0
"""Task names and the bits they have in a message's task mask."""

from collections.abc import Iterable

from nepi_ros.errors import ConfigError

TASKS = ("segmentation", "depth", "classification")


def task_mask(names: Iterable[str]) -> int:
    """The mask with bit i set for TASKS[i].

    >>> task_mask(["depth", "segmentation"])
    3

    Raises ConfigError for an unknown name or none at all.
    """
    mask = 0
    for name in names:
        if name not in TASKS:
            raise ConfigError(f"unknown task {name!r}; tasks are {', '.join(TASKS)}")
        mask |= 1 << TASKS.index(name)
    if not mask:
        raise ConfigError(f"no task named; name at least one of {', '.join(TASKS)}")
    return mask


def task_names(mask: int) -> tuple[str, ...]:
    """The names of a mask's bits, in the order of TASKS.

    >>> task_names(5)
    ('segmentation', 'classification')

    Raises ConfigError for an unknown bit or an empty mask.
    """
    if mask <= 0 or mask >> len(TASKS):
        raise ConfigError(f"task mask {mask} is not between 1 and {(1 << len(TASKS)) - 1}")
    return tuple(name for bit, name in enumerate(TASKS) if mask >> bit & 1)
