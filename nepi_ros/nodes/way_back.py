# SPDX-License-Identifier: Apache-2.0
"""How far apart the messages of a frame's results arrive, which tells what a byte costs on the way back."""

from __future__ import annotations

from nepi_ros.link.wire import wire_bytes
from nepi_ros.msg import Results


class WayBack:
    """Fills return_bytes and return_spread_us into reports (LinkReport)."""

    def __init__(self) -> None:
        self._stamp: tuple[int, int] | None = None
        self._begun_ns = self._first = self._rest = 0

    def arrived(self, message: Results, serialised: int, at_ns: int) -> None:
        """Take in a message of so many serialised bytes that the middleware received at `at_ns` (0: not known).

        A report is left as it is where messages of its frame are missing or their times tell nothing.
        """
        stamp = message.header.stamp.sec, message.header.stamp.nanosec
        if stamp == self._stamp:
            self._rest += wire_bytes(serialised)
        else:
            self._stamp, self._begun_ns, self._first, self._rest = stamp, at_ns, wire_bytes(serialised), 0
        for report in message.report:
            spread_us = (at_ns - self._begun_ns) // 1000
            if self._begun_ns and self._first + self._rest == report.result_bytes and 0 <= spread_us < 2**32:
                report.return_bytes, report.return_spread_us = self._rest, spread_us
            self._stamp = None
