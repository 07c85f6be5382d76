# SPDX-License-Identifier: Apache-2.0
"""Frames that are held: encoder_node does not send them, and result_node moves the results of the one sent before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from std_msgs.msg import Header

from nepi_ros.errors import ImageError
from nepi_ros.motion import Glimpse, Motion
from nepi_ros.msg import Held, Results
from nepi_ros.nodes.latency import nanoseconds
from nepi_ros.tasks import TASKS

_FRAMES = 64
"""As many frames sent, and held ones for each, are remembered."""
_FARTHEST = 10.0  # of what a motion's matrix may say; a picture that only moved stays far below

_Value = TypeVar("_Value")


@dataclass
class _Sent:
    """The frame sent last, which came at `at`. answered: None until it was, then whether all its results came."""

    at: float
    header: Header
    glimpse: Glimpse
    task_mask: int
    sequence: int
    answered: bool | None = None


class Holding:
    """encoder_node's: which frames are held. Times are when images came, in seconds on one clock. `reported` may be
    called in another thread."""

    def __init__(self) -> None:
        self._sent: _Sent | None = None

    def held(
        self, at: float, header: Header, glimpse: Glimpse, task_mask: int, longest_s: float, patience_s: float
    ) -> Held | None:
        """What to tell of a frame that is held; None where it is to be sent.

        It is held at most `longest_s` after the frame sent last, for the same tasks, and while its picture has only
        moved; and if all results of that came, or may still come, which they have `patience_s` for.
        """
        sent = self._sent
        if sent is None or sent.task_mask != task_mask or sent.header.stamp == header.stamp:
            return None
        age = at - sent.at
        if age > longest_s or not (age <= patience_s if sent.answered is None else sent.answered):
            return None
        motion = sent.glimpse.motion_to(glimpse)
        if motion is None:
            return None
        return Held(header=header, sent=sent.header, task_mask=task_mask, motion=motion.matrix.ravel())

    def sent(self, at: float, header: Header, glimpse: Glimpse, task_mask: int, sequence: int) -> None:
        """A frame was sent."""
        self._sent = _Sent(at, header, glimpse, task_mask, sequence)

    def reported(self, sequence: int, whole: bool) -> None:
        """A frame was answered; whether all its results came."""
        sent = self._sent
        if sent is not None and sent.sequence == sequence:
            sent.answered = whole


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
        _keep(self._came, place, message)
        return self._waiting.pop(place, [])

    def asked(self, held: HeldFrame) -> Iterator[tuple[str, Results]]:
        """Tasks whose results are there for a held frame, and these; for others it waits."""
        for task in (task for bit, task in enumerate(TASKS) if held.task_mask >> bit & 1):
            place = task, held.sent_ns
            if place in self._came:
                yield task, self._came[place]
            else:
                _keep(self._waiting, place, [*self._waiting.get(place, []), held][-_FRAMES:])


def _keep(places: dict[tuple[str, int], _Value], place: tuple[str, int], value: _Value) -> None:
    """Put something in as the newest, and leave no more than are remembered for each task."""
    places.pop(place, None)
    places[place] = value
    while len(places) > _FRAMES * len(TASKS):
        del places[next(iter(places))]
