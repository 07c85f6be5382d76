# SPDX-License-Identifier: Apache-2.0
"""Where the edge's callbacks leave epitomes and its worker waits for frames of any robot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from nepi_ros.nodes.assembler import Assembler, Frame, Part


class FrameQueue:
    """One assembler per robot behind one lock; holds at most the newest frame of each robot.

    `wait_s` is how long a frame waits for its other messages, counted from the first.
    """

    def __init__(self, wait_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.wait_s = wait_s
        self._clock = clock
        self._changed = threading.Condition()
        self._assemblers: dict[str, Assembler] = {}
        self._closed = False

    def set_robots(self, robots: tuple[str, ...]) -> None:
        """Serve these robots; those that stay keep what has arrived of them."""
        with self._changed:
            self._assemblers = {robot: self._assemblers.get(robot, Assembler()) for robot in robots}

    def add(self, robot: str, part: Part) -> str:
        """Take in a robot's message; "" or why it was ignored: "duplicate", "older" or "unknown" robot."""
        with self._changed:
            assembler = self._assemblers.get(robot)
            if assembler is None:
                return "unknown"
            ignored = assembler.add(part)
            if not ignored:
                self._changed.notify()
            return ignored

    def take(self, most: int) -> list[tuple[str, Frame]]:
        """Wait until a frame is there and take up to `most`, longest waiting first; empty once closed."""
        with self._changed:
            while not self._closed:
                now = self._clock()
                frames = self._due(now, most)
                if frames:
                    return frames
                self._changed.wait(self._patience(now))
            return []

    def close(self) -> None:
        """Wake whoever waits; every later `take` returns nothing at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _due(self, now: float, most: int) -> list[tuple[str, Frame]]:
        due = {robot: assembler.due(self.wait_s) for robot, assembler in self._assemblers.items()}
        ready = sorted((at, robot) for robot, at in due.items() if at is not None and at <= now)
        taken = ((robot, self._assemblers[robot].take(now, self.wait_s)) for _, robot in ready[:most])
        return [(robot, frame) for robot, frame in taken if frame is not None]

    def _patience(self, now: float) -> float | None:
        due = [at for assembler in self._assemblers.values() if (at := assembler.due(self.wait_s)) is not None]
        return max(min(due) - now, 0.0) if due else None
