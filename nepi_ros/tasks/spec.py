# SPDX-License-Identifier: Apache-2.0
"""What a bundle says of a task: the network that does it and what its numbers mean."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskSpec:
    """One task of a bundle. Fields that a task has no use for stay empty.

    `network` is a file of the bundle. `classes` name the channels of the logits in order; `palette` gives each
    class its RGB colour (segmentation). `min_m` and `max_m` bound a depth in metres.
    """

    name: str
    network: str
    classes: tuple[str, ...] = ()
    palette: tuple[tuple[int, int, int], ...] = ()
    min_m: float = 0.0
    max_m: float = 0.0
