# SPDX-License-Identifier: Apache-2.0
"""Frames that are on their way: handed over, not yet reported."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

_REMEMBERED = 256


@dataclass(frozen=True)
class Sent:
    """A frame that was handed over, in seconds and bytes on the wire.

    due: when its results must be back. least: what its smallest prefix would have cost. extra_layers: how many layers
    it has, if it is more than what is ordinary, else 0.
    """

    sequence: int
    at: float
    wire_bytes: int
    first_bytes: int
    due: float
    least: int
    extra_layers: int = 0


class Flight:
    """Frames in order of their hand-over.

    A link keeps the order: once a later one is reported, an earlier one that was not will never be.
    """

    def __init__(self) -> None:
        self._frames: OrderedDict[int, Sent] = OrderedDict()

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, sent: Sent) -> None:
        """A frame was handed over."""
        self._frames[sent.sequence] = sent
        self._frames.move_to_end(sent.sequence)
        if len(self._frames) > _REMEMBERED:
            self._frames.popitem(last=False)

    def get(self, sequence: int) -> Sent | None:
        """A frame on its way."""
        return self._frames.get(sequence)

    def land(self, sequence: int) -> list[Sent]:
        """Take out a frame that is reported, and the earlier ones, which are lost and returned."""
        lost = []
        while self._frames:
            number, sent = self._frames.popitem(last=False)
            if number == sequence:
                break
            lost.append(sent)
        return lost

    def oldest(self) -> Sent | None:
        """The frame in front."""
        return next(iter(self._frames.values()), None)

    def bytes(self) -> int:
        """Bytes on the wire of all frames on their way."""
        return sum(sent.wire_bytes for sent in self._frames.values())

    def clear(self) -> None:
        """Forget them."""
        self._frames.clear()
