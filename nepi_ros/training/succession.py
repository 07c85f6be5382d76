# SPDX-License-Identifier: Apache-2.0
"""Frames that follow one another: what the tables are fitted to that code a frame given an earlier one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

Pairs = list[tuple[int, int]]
"""Numbers of a frame and of an earlier one."""

_PACES = ((1,), (2, 3), (5, 8))
"""How many frames lie between those of each pace's pairs: from what a slow robot shows to what a fast one does."""
_FEWEST = 50
"""Pairs of a pace that its tables can be fitted to."""


def paces_of(runs: Iterable[Sequence[int]]) -> list[Pairs]:
    """For each pace the pairs in runs of frames that follow one another; nothing where there are too few of a pace."""
    some = [run for run in runs if len(run) > 1]
    found = [[pair for back in pace for run in some for pair in zip(run[back:], run, strict=False)] for pace in _PACES]
    return found if min(map(len, found)) >= _FEWEST else []


def all_pairs(paces: Iterable[Pairs]) -> Pairs:
    """The pairs of all paces together."""
    return list(chain.from_iterable(paces))
