# SPDX-License-Identifier: Apache-2.0
"""Frames that follow one another: what the tables are fitted to that code a frame given an earlier one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import chain

Pairs = list[tuple[int, int]]
"""Numbers of a frame and of an earlier one."""

_LOG = logging.getLogger(__name__)
_PACES = ((1,), (2, 3), (5, 8))
"""How many frames apart each pace's pairs are: from what a slow robot shows to what a fast one does."""
_FEWEST = 50
"""Pairs of a pace that its tables can be fitted to."""


def pairs_by_pace(runs: Sequence[Sequence[int]]) -> list[Pairs]:
    """For each pace the pairs in runs of frames that follow one another; nothing where there are too few of a pace."""
    found = [[pair for back in pace for run in runs for pair in zip(run[back:], run, strict=False)] for pace in _PACES]
    fewest = min(map(len, found))
    if fewest < _FEWEST:
        _LOG.info("frames are coded by themselves: of %d needed, %d pairs follow one another", _FEWEST, fewest)
        return []
    return found


def all_pairs(by_pace: Iterable[Pairs]) -> Pairs:
    """The pairs of all paces together."""
    return list(chain.from_iterable(by_pace))
