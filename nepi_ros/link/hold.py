# SPDX-License-Identifier: Apache-2.0
"""Holding back what failed, for longer each time (binary exponential backoff)."""

from __future__ import annotations

import math

_FIRST_S, _LONGEST_S = 1.0, 32.0


class Hold:
    """Says whether something is to be held back. Times in seconds on one clock.

    >>> hold = Hold()
    >>> hold.failed(10.0)
    >>> hold.holds(10.9), hold.holds(11.1)
    (True, False)
    >>> hold.failed(11.2)
    >>> hold.holds(13.1), hold.holds(13.3)
    (True, False)
    """

    def __init__(self) -> None:
        self._until, self._next = -math.inf, _FIRST_S

    def holds(self, now: float) -> bool:
        """Whether it is held back at `now`."""
        return now < self._until

    def failed(self, now: float) -> None:
        """Hold it back for a second, or twice as long as the last time, at most 32 seconds."""
        self._until = now + self._next
        self._next = min(2 * self._next, _LONGEST_S)

    def succeeded(self) -> None:
        """The next failure counts as the first."""
        self._next = _FIRST_S
