# SPDX-License-Identifier: Apache-2.0
"""Frames that are held: encoder_node does not send them, and result_node moves the results of the one sent before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from std_msgs.msg import Header

from nepi_ros.codec.memory import keep_newest
from nepi_ros.errors import ImageError
from nepi_ros.motion import Glimpse, Motion
from nepi_ros.msg import Held, Results
from nepi_ros.nodes.latency import nanoseconds
from nepi_ros.tasks import TASKS

_FRAMES = 64
"""As many frames sent, and held ones for each, are remembered."""
_FARTHEST = 10.0  # of what a motion's matrix may say; a picture that only moved stays far below


@dataclass(frozen=True, eq=False)
class _Sent:
    """A frame that was sent, and when it came."""

    at: float
    header: Header
    glimpse: Glimpse
    task_mask: int


class Holding:
    """encoder_node's: which frames are held. Times are when images came, in seconds on one clock. `sent` and
    `reported` are not locked, the caller does that; `held` needs no lock."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Sent] = {}
        self._latest: _Sent | None = None
        self._answered: _Sent | None = None

    def held(
        self, at: float, header: Header, glimpse: Glimpse, task_mask: int, longest_s: float, patience_s: float
    ) -> Held | None:
        """What to tell of a frame that is held; None where it is to be sent.

        It is held to a frame sent before, for the same tasks, of which the picture has only moved since. All results of
        that came; then they may stand for others for `longest_s`, but after half of this time a frame is sent, so that
        its results come before that. Or they are those of the latest, and may still come, in `patience_s`.
        """
        for sent in self._standing(at, longest_s, patience_s):
            if sent.task_mask == task_mask and sent.header.stamp != header.stamp:
                motion = sent.glimpse.motion_to(glimpse)
                if motion is not None:
                    return Held(header=header, sent=sent.header, task_mask=task_mask, motion=motion.matrix.ravel())
        return None

    def _standing(self, at: float, longest_s: float, patience_s: float) -> Iterator[_Sent]:
        """Frames whose results may stand for those of one that comes now; those that are there first."""
        latest, answered = self._latest, self._answered
        if latest is None:
            return
        if answered is not None and at - answered.at <= (longest_s / 2 if answered is latest else longest_s):
            yield answered
        if latest is not answered and at - latest.at <= min(patience_s, longest_s):
            yield latest

    def sent(self, at: float, header: Header, glimpse: Glimpse, task_mask: int, sequence: int) -> None:
        """A frame was sent."""
        self._latest = _Sent(at, header, glimpse, task_mask)
        keep_newest(self._waiting, sequence, self._latest, _FRAMES)

    def reported(self, sequence: int, whole: bool) -> None:
        """A frame was answered; whether all its results came. Where not, the next frame is sent."""
        sent = self._waiting.pop(sequence, None)
        if sent is None:
            return
        if whole:
            self._answered = sent
        elif sent is self._latest:
            self._latest = None


@dataclass(frozen=True, eq=False)
class HeldFrame:
    """A held frame as result_node takes it: the stamp in nanoseconds of the frame that was sent, and how the picture
    moved since."""

    header: Header
    sent_ns: int
    task_mask: int
    motion: Motion

    @classmethod
    def of(cls, message: Held) -> HeldFrame:
        """Raises ImageError for what no picture does."""
        matrix = np.reshape(message.motion, (2, 3))
        if not (np.abs(matrix) < _FARTHEST).all():
            raise ImageError(f"a held frame whose picture moved by {matrix.round(3).tolist()}")
        return cls(message.header, nanoseconds(message.sent.stamp), message.task_mask, Motion(matrix))


class Holds:
    """result_node's: results, which held frames may ask for, and held frames that wait for theirs."""

    def __init__(self) -> None:
        self._came: dict[tuple[str, int], Results] = {}
        self._waiting: dict[tuple[str, int], list[HeldFrame]] = {}

    def came(self, task: str, message: Results) -> list[HeldFrame]:
        """A task's results came; the held frames that have waited for them."""
        place = task, nanoseconds(message.header.stamp)
        keep_newest(self._came, place, message, _FRAMES * len(TASKS))
        return self._waiting.pop(place, [])

    def asked(self, held: HeldFrame) -> Iterator[tuple[str, Results]]:
        """Tasks whose results are there for a held frame, and these; for others it waits."""
        for task in (task for bit, task in enumerate(TASKS) if held.task_mask >> bit & 1):
            place = task, held.sent_ns
            if place in self._came:
                yield task, self._came[place]
            else:
                waiting = [*self._waiting.get(place, []), held][-_FRAMES:]
                keep_newest(self._waiting, place, waiting, _FRAMES * len(TASKS))
