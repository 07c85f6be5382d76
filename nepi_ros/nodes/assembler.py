# SPDX-License-Identifier: Apache-2.0
"""Puts the messages of one robot's frames together; the newest frame wins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from nepi_ros.codec import Segment
from nepi_ros.codec.header import SEQUENCES

Header = TypeVar("Header")

MISSED_MAX = 65535


@dataclass(frozen=True)
class Part(Generic[Header]):
    """One checked epitome message.

    `header` is what the results need (opaque here), `segment` its layers, `size` the serialised bytes,
    `arrival` seconds on the edge's monotonic clock. `patience`: how many times as long as others the frame may wait
    for its other messages.
    """

    sequence: int
    handover_ns: int
    frame_layers: int
    segment: Segment
    size: int
    arrival: float
    header: Header
    patience: float = 1.0

    @property
    def identity(self) -> tuple[int, int]:
        """What the messages of one frame have in common and those of another do not."""
        return self.sequence, self.handover_ns


@dataclass
class Frame(Generic[Header]):
    """What has arrived of one frame."""

    sequence: int
    handover_ns: int
    frame_layers: int
    header: Header
    first_arrival: float
    last_arrival: float
    patience: float = 1.0
    size: int = 0
    segments: dict[int, Segment] = field(default_factory=dict)  # by first layer, of several the longest
    missed: int = 0

    @classmethod
    def begin(cls, part: Part[Header]) -> Frame[Header]:
        """The frame that a first part opens."""
        return cls(
            part.sequence, part.handover_ns, part.frame_layers, part.header, part.arrival, part.arrival, part.patience
        )

    def add(self, part: Part[Header]) -> bool:
        """Take in a part; False when all of it was here already."""
        known = self.segments.get(part.segment.first)
        if known is not None and known.stop >= part.segment.stop:
            return False
        self.segments[part.segment.first] = part.segment
        self.last_arrival = part.arrival
        self.size += part.size
        return True

    @property
    def identity(self) -> tuple[int, int]:
        return self.sequence, self.handover_ns

    @property
    def complete(self) -> bool:
        return self.layers >= self.frame_layers

    @property
    def layers(self) -> int:
        """Layers that can be decoded."""
        prefix = self.prefix()
        return prefix[-1].stop if prefix else 0

    def prefix(self) -> list[Segment]:
        """The longest run of segments from layer 0; empty when layer 0 is missing."""
        run: list[Segment] = []
        while (first := run[-1].stop if run else 0) in self.segments:
            run.append(self.segments[first])
        return run


class Assembler(Generic[Header]):
    """Assembles one robot's frames. Not locked: the caller does that.

    At most one frame is open (waiting for its other messages) and one is ready to be decoded. A frame
    becomes ready when it is complete, when a newer one begins, or `wait_s` after its first message (times its
    patience).

    A message is newer when its sequence is ahead (modulo 2**32) and its hand-over not earlier, or when only
    its hand-over is later: then the robot's encoder has started anew. After `silence_s` without a frame
    anything is taken, because a rebooted robot's clock and sequence both start again.
    """

    def __init__(self, silence_s: float = 1.0) -> None:
        self._silence = silence_s
        self._newest: tuple[int, int] | None = None
        self._newest_arrival = 0.0
        self._reported: int | None = None
        self._open: Frame[Header] | None = None
        self._ready: Frame[Header] | None = None

    def add(self, part: Part[Header]) -> str:
        """Take in a part; returns "" or why it was ignored: "duplicate" or "older"."""
        if part.identity == self._newest:
            if self._open is None or not self._open.add(part):
                return "duplicate"
            self._newest_arrival = part.arrival
            self._settle()
            return ""
        if not self._is_newer(part):
            return "older"
        if self._open is not None:
            self._ready = self._open
        self._newest = part.identity
        self._newest_arrival = part.arrival
        self._open = Frame.begin(part)
        self._open.add(part)
        self._settle()
        return ""

    def take(self, now: float, wait_s: float) -> Frame[Header] | None:
        """The newest frame that need not wait any longer, or None. Fills in `missed`."""
        if self._open is not None and now >= self._open.first_arrival + wait_s * self._open.patience:
            self._ready, self._open = self._open, None
        frame, self._ready = self._ready, None
        if frame is None:
            return None
        if self._reported is not None:
            frame.missed = min(MISSED_MAX, (frame.sequence - self._reported - 1) % SEQUENCES)
        self._reported = frame.sequence
        return frame

    def due(self, wait_s: float) -> float | None:
        """When `take` will have a frame even if nothing more arrives; None when there is none."""
        if self._ready is not None:
            return self._ready.first_arrival
        return None if self._open is None else self._open.first_arrival + wait_s * self._open.patience

    def _settle(self) -> None:
        if self._open is not None and self._open.complete:
            self._ready, self._open = self._open, None

    def _is_newer(self, part: Part[Header]) -> bool:
        """Whether the part opens a frame newer than the newest; forgets the count after a restart."""
        if self._newest is None:
            return True
        sequence, handover_ns = self._newest
        ahead = 0 < (part.sequence - sequence) % SEQUENCES < SEQUENCES // 2
        if ahead and part.handover_ns >= handover_ns:
            return True
        if part.handover_ns > handover_ns or part.arrival - self._newest_arrival >= self._silence:
            self._reported = None
            return True
        return False
