# SPDX-License-Identifier: Apache-2.0
"""What a rule that sizes frames is told and says: reports of frames, budgets, the state of the link.

Times are seconds on one monotonic clock of the robot's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nepi_ros.link.wire import single_packet, wire_bytes

TOO_LARGE, WAITING, TOO_LATE = "too_large", "waiting", "too_late"
"""Causes for which a frame is skipped: more than allowed, others on their way without an answer, past the deadline."""

UNKNOWN, ALIVE, DEAD = "unknown", "alive", "dead"
"""A link as a whole. Dead: a frame's results are overdue and nothing has come back for a deadline. Unknown: no frame
was answered yet, and none is overdue."""


PICTURE_PATIENCE = 5.0
"""How many times as long as for other messages the edge waits for a picture behind what goes ahead of it: it is many
packets."""


@dataclass(frozen=True)
class FrameReport:
    """What the edge reports of a frame (LinkReport), in seconds and bytes. `handover_s` is the robot's own time,
    `layers` how many of the frame's were decoded.

    result_bytes: what results and report cost on the wire. return_bytes, return_spread_s: how much of that came after
    the first result, and over what time; measured on the robot, 0 when it was not.
    """

    sequence: int
    handover_s: float
    processing_s: float
    bytes: int = 0
    layers: int = 1
    spread_s: float = 0.0
    missed: int = 0
    result_bytes: int = 0
    return_bytes: int = 0
    return_spread_s: float = 0.0

    @property
    def results_whole(self) -> bool:
        """Whether all results came, as far as is known: those of one message, and those whose rest was measured."""
        return self.return_bytes > 0 or self.result_bytes <= wire_bytes(single_packet())


@dataclass(frozen=True, eq=False)
class Choices:
    """The sizes that a frame can be sent in: bytes on the wire, and what each is worth, 0 to 1; arrays [choices].

    Sizes beyond `ordinary` bytes are for a link that is calm.
    """

    sizes: np.ndarray
    worth: np.ndarray
    ordinary: float = math.inf


@dataclass(frozen=True)
class Budget:
    """Bytes on the wire for a frame; 0 says not to send it, `reason` why, in words, and `cause` in one.

    result_bytes: what its results may cost on the way back (nepi_ros.link.returns; 0: as configured). repeat: send
    the first message once more if that fits `bytes` too.
    """

    bytes: int
    reason: str = ""
    result_bytes: int = 0
    repeat: bool = False
    cause: str = ""


@dataclass(frozen=True)
class LinkState:
    """What a rule knows of the link. Times in seconds, NaN when not known; in_flight in bytes on the wire.

    low_kbps, high_kbps: what the capacity lies between, four times out of five. hit_rate: recent share of frames in
    time, loss: of frames lost, 0 to 1; NaN from a rule that does not measure them.
    """

    capacity_kbps: float
    round_trip_s: float
    edge_s: float
    encode_s: float
    in_flight: int
    low_kbps: float = math.nan
    high_kbps: float = math.nan
    hit_rate: float = math.nan
    loss: float = math.nan
    link: str = UNKNOWN
