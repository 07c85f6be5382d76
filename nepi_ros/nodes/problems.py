# SPDX-License-Identifier: Apache-2.0
"""Counts what goes wrong and says it once: one log line per kind of problem and period."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class _Line:
    """When a kind of problem was last logged, and how often it happened silently since."""

    logged: float
    silent: int = 0


class Problems:
    """Counters per kind of problem, each kind logged at most once per period with its repeats.

    A kind is counted under its name; `source` (a topic, a robot) keeps the lines of several sources
    apart without splitting the counter. Safe to call from any thread.

    >>> problems = Problems(print, period_s=5.0, clock=lambda: 0.0)
    >>> problems.report("damaged", "epitome: checksum does not match; is the link faulty?")
    epitome: checksum does not match; is the link faulty?
    >>> problems.report("damaged", "epitome: checksum does not match; is the link faulty?")
    >>> problems.counts()
    {'damaged': 2}
    """

    def __init__(
        self, log: Callable[[str], object], period_s: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._period = period_s
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._lines: dict[tuple[str, str], _Line] = {}
        self._latest: tuple[float, str] | None = None

    def report(
        self, kind: str, message: str, source: str = "", log: Callable[[str], object] | None = None
    ) -> None:
        """Count one problem of this kind and log it unless the same kind was logged within the period.

        `log` takes the place of the usual log function, for a line of another severity.
        """
        with self._lock:
            now = self._clock()
            self._counts[kind] += 1
            self._latest = (now, message)
            line = self._lines.get((kind, source))
            if line is not None and now - line.logged < self._period:
                line.silent += 1
                return
            silent = line.silent if line else 0
            self._lines[(kind, source)] = _Line(now)
        text = f"{message} ({silent} more like this since the last line)" if silent else message
        (log or self._log)(text)

    def count(self, kind: str, times: int = 1) -> None:
        """Count without a log line: for what is worth a number but no words."""
        with self._lock:
            self._counts[kind] += times

    def counts(self) -> dict[str, int]:
        """Occurrences so far of every kind, sorted by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def recent(self, within_s: float) -> str:
        """The latest reported problem if it is at most so many seconds old, else an empty string."""
        with self._lock:
            if self._latest is None or self._clock() - self._latest[0] > within_s:
                return ""
            return self._latest[1]

    def reset(self) -> None:
        """Forget counts and periods."""
        with self._lock:
            self._counts.clear()
            self._lines.clear()
            self._latest = None
