# SPDX-License-Identifier: Apache-2.0
"""What encoder_node tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from nepi_ros.link.budget import ALIVE, DEAD, TOO_LARGE, UNKNOWN, Budget, LinkState
from nepi_ros.msg import EncoderStatus

_LINK = {UNKNOWN: EncoderStatus.LINK_UNKNOWN, ALIVE: EncoderStatus.LINK_ALIVE, DEAD: EncoderStatus.LINK_DEAD}


@dataclass
class Totals:
    """Counters since the node was configured, under the names they have in EncoderStatus.

    There is one `skipped_` for every cause of nepi_ros.link.budget.
    """

    images_received: int = 0
    frames_sent: int = 0
    frames_held: int = 0
    frames_dropped: int = 0
    frames_skipped: int = 0
    skipped_too_large: int = 0
    skipped_waiting: int = 0
    skipped_too_late: int = 0
    frames_refused: int = 0
    frames_missed: int = 0
    frames_local: int = 0


@dataclass(frozen=True)
class LastFrame:
    """What became of the last frame, under the names in EncoderStatus."""

    budget_bytes: int = 0
    result_bytes: int = 0
    layers: int = 0
    epitome_bytes: int = 0
    back: int = 0
    reason: str = ""


@dataclass
class EncoderState:
    """Totals and the last frame; each field is written by one thread only."""

    totals: Totals = field(default_factory=Totals)
    last: LastFrame = LastFrame()

    def sent(self, last: LastFrame) -> None:
        self.totals.frames_sent += 1
        self.last = last

    def held(self) -> None:
        self.totals.frames_held += 1
        self.last = replace(self.last, reason="")

    def skipped(self, budget: Budget) -> None:
        counter = f"skipped_{budget.cause or TOO_LARGE}"
        setattr(self.totals, counter, getattr(self.totals, counter) + 1)
        self.totals.frames_skipped += 1
        self.last = LastFrame(budget.bytes, reason=budget.reason)

    def refused(self, reason: str) -> None:
        self.totals.frames_refused += 1
        self.last = LastFrame(reason=reason)

    def values(self) -> Mapping[str, object]:
        """For the diagnostics."""
        return {**asdict(self.totals), **asdict(self.last)}

    def message(self, link: LinkState, mask: int) -> EncoderStatus:
        """The status message, without its stamp."""
        return EncoderStatus(
            link=_LINK[link.link],
            capacity_kbps=link.capacity_kbps,
            capacity_low_kbps=link.low_kbps,
            capacity_high_kbps=link.high_kbps,
            round_trip_ms=1e3 * link.round_trip_s,
            edge_ms=1e3 * link.edge_s,
            encode_ms=1e3 * link.encode_s,
            hit_rate=link.hit_rate,
            loss=link.loss,
            bytes_in_flight=link.in_flight,
            task_mask=mask,
            **self.values(),
        )
