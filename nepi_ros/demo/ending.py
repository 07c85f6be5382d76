# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM, so that they end the demo through its clean-up whenever they come."""

from __future__ import annotations

import signal

_TERMINATED = 143


class Ending:
    """While in its `with` block, SIGINT raises KeyboardInterrupt and SIGTERM SystemExit in the main thread.

    Extension modules that call back into Python may swallow what is raised there, so loops call `check` as well.
    """

    def __init__(self) -> None:
        self._reason: BaseException | None = None

    def __enter__(self) -> Ending:
        self._before = {number: signal.signal(number, self._end) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise again what a signal raised since the block began."""
        if self._reason is not None:
            raise self._reason

    def _end(self, number: int, _frame: object) -> None:
        self._reason = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(_TERMINATED)
        raise self._reason
