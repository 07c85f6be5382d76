# SPDX-License-Identifier: Apache-2.0
"""Frames that are held: encoder_node does not send them, and result_node moves results of the one before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from std_msgs.msg import Header

from nepi_ros.errors import ImageError
from nepi_ros.motion import Glimpse, Hold, Motion
from nepi_ros.msg import Held, Results
from nepi_ros.nodes.latency import nanoseconds
from nepi_ros.tasks import TASKS

_FRAMES = 64
"""As many frames sent, and held ones for each, are remembered."""
_FARTHEST = 10.0  # of what a motion's matrix may say; a picture that only moved stays far below

_Value = TypeVar("_Value")


@dataclass
class _Sent:
    """The frame sent last; `answered`: None until the edge has said whether it could read it."""

    header: Header
    sequence: int
    task_mask: int
    at: float
    answered: bool | None = None


class Holding:
    """encoder_node's: which frames are held. Not locked: the caller does that."""

    def __init__(self) -> None:
        self._hold = Hold()
        self._sent: _Sent | None = None

    def held(
        self, now: float, header: Header, glimpse: Glimpse, task_mask: int, most: int, patience_s: float
    ) -> Held | None:
        """What to tell of a frame that is held, as one of at most so many in a row; None where it is to be sent: its
        picture has changed, its tasks are others, or the frame sent last was not answered within `patience_s`."""
        sent = self._sent
        if sent is None or sent.task_mask != task_mask:
            return None
        overdue = sent.answered is None and now - sent.at > patience_s
        if overdue or sent.answered is False:
            return None
        motion = self._hold.motion(glimpse, most)
        if motion is None:
            return None
        return Held(header=header, sent=sent.header, task_mask=task_mask, motion=motion.matrix.ravel())

    def sent(self, now: float, header: Header, glimpse: Glimpse, task_mask: int, sequence: int) -> None:
        """A frame was sent."""
        self._hold.sent(glimpse)
        self._sent = _Sent(header, sequence, task_mask, now)

    def reported(self, sequence: int, read: bool) -> None:
        """The edge has answered a frame, and could read it or not."""
        if self._sent is not None and self._sent.sequence == sequence:
            self._sent.answered = read


class Holds:
    """result_node's: results, which held frames may ask for, and held frames that wait for theirs."""

    def __init__(self) -> None:
        self._came: dict[tuple[str, int], Results] = {}
        self._waiting: dict[tuple[str, int], list[Held]] = {}

    def came(self, task: str, message: Results) -> list[Held]:
        """A task's results came; the held frames that have waited for them."""
        place = task, nanoseconds(message.header.stamp)
        _keep(self._came, place, message)
        return self._waiting.pop(place, [])

    def asked(self, held: Held) -> Iterator[tuple[str, Results]]:
        """Tasks whose results are there for a held frame, and these; for others it waits."""
        for task in (task for bit, task in enumerate(TASKS) if held.task_mask >> bit & 1):
            place = task, nanoseconds(held.sent.stamp)
            if place in self._came:
                yield task, self._came[place]
            else:
                waiting = self._waiting.get(place, [])
                _keep(self._waiting, place, [*waiting, held][-_FRAMES:])


def motion_of(held: Held) -> Motion:
    """How the picture moved. Raises ImageError for what no picture does."""
    matrix = np.reshape(held.motion, (2, 3))
    if not (np.abs(matrix) < _FARTHEST).all():
        raise ImageError(f"a held frame whose picture moved by {matrix.round(3).tolist()}")
    return Motion(matrix)


def _keep(places: dict[tuple[str, int], _Value], place: tuple[str, int], value: _Value) -> None:
    """Put something in as the newest, and leave no more than are remembered for each task."""
    places.pop(place, None)
    places[place] = value
    while len(places) > _FRAMES * len(TASKS):
        del places[next(iter(places))]
