# SPDX-License-Identifier: Apache-2.0
"""What robot and edge remember of a robot's frames, so that the next ones can be coded given them.

Only a frame that the edge has answered may be named: the edge has what it decoded of it, whatever was lost since, and
has said how much that was. So what arrives can always be decoded, but for the first frames after the edge began anew;
those it reports with no layers, and the robot's next frames are coded by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from nepi_ros.codec.header import MOST_BACK, SEQUENCES
from nepi_ros.codec.layered import CodedLatent, Earlier
from nepi_ros.errors import CodecError

_Key, _Value = TypeVar("_Key"), TypeVar("_Value")


@dataclass(frozen=True)
class Answered:
    """A frame of which the edge has answered to have so many layers of the latent."""

    sequence: int
    latent: CodedLatent
    layers: int

    @cached_property
    def earlier(self) -> Earlier:
        """What the edge has of it."""
        return self.latent.received(self.layers)

    def back_from(self, sequence: int) -> int:
        """How many frames before another one this was sent."""
        return (sequence - self.sequence) % SEQUENCES


class SentFrames:
    """The robot's: what it sent, until the edge has answered it. Not locked: the caller does that."""

    def __init__(self) -> None:
        self._waiting: dict[int, CodedLatent] = {}
        self._answered: Answered | None = None

    def before(self, sequence: int) -> Answered | None:
        """The latest answered frame, for one of this number to be coded given it; None where there is none, or too long
        ago."""
        if self._answered is None or not 1 <= self._answered.back_from(sequence) <= MOST_BACK:
            return None
        return self._answered

    def sent(self, sequence: int, latent: CodedLatent) -> None:
        """A frame was sent."""
        keep_newest(self._waiting, sequence, latent, MOST_BACK)

    def reported(self, sequence: int, layers: int) -> None:
        """The edge has so many layers of a frame's latent. With none of one that was coded given another it may lack
        that."""
        if sequence not in self._waiting:
            return
        while (first := next(iter(self._waiting))) != sequence:
            del self._waiting[first]  # reports of what was sent before this are no longer taken
        latent = self._waiting.pop(sequence)
        if layers:
            self._answered = Answered(sequence, latent, layers)
        elif latent.after:
            self._answered = None


class ReceivedFrames:
    """The edge's: what it has decoded of one robot's latest frames."""

    def __init__(self) -> None:
        self._decoded: dict[int, tuple[int, Earlier]] = {}

    def keep(self, sequence: int, handover_ns: int, decoded: Earlier) -> None:
        """A frame was decoded. One of the same number from before the robot began anew gives way; the same one does
        not, for the robot goes by what it was told first."""
        if self._decoded.get(sequence, (None,))[0] != handover_ns:
            keep_newest(self._decoded, sequence, (handover_ns, decoded), MOST_BACK)

    def before(self, sequence: int, back: int) -> Earlier | None:
        """The frame `back` frames before one of this number, which was coded given it; None where `back` is 0.

        Raises CodecError when there is no such frame here.
        """
        if not back:
            return None
        number = (sequence - back) % SEQUENCES
        if number not in self._decoded:
            raise CodecError(
                f"epitome {sequence} is coded given the frame {back} before it, which this edge does not have; it was "
                "started anew, or two edges serve the robot: those after it will be coded by themselves"
            )
        return self._decoded[number][1]


def keep_newest(kept: dict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    """Put a value in as the newest, and leave the newest `most`."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]
