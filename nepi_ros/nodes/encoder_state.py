# SPDX-License-Identifier: Apache-2.0
"""What encoder_node tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from nepi_ros.link.budget import LinkState
from nepi_ros.msg import EncoderStatus


@dataclass
class Totals:
    """Counters since the node was configured, under the names they have in EncoderStatus."""

    images_received: int = 0
    frames_sent: int = 0
    frames_dropped: int = 0
    frames_skipped: int = 0
    frames_refused: int = 0
    frames_missed: int = 0


@dataclass(frozen=True)
class LastFrame:
    """What became of the last frame, under the names in EncoderStatus."""

    budget_bytes: int = 0
    layers: int = 0
    epitome_bytes: int = 0
    reason: str = ""


@dataclass
class EncoderState:
    """Totals and the last frame; each field is written by one thread only."""

    totals: Totals = field(default_factory=Totals)
    last: LastFrame = LastFrame()

    def sent(self, last: LastFrame) -> None:
        self.totals.frames_sent += 1
        self.last = last

    def skipped(self, budget_bytes: int, reason: str) -> None:
        self.totals.frames_skipped += 1
        self.last = LastFrame(budget_bytes, reason=reason)

    def refused(self, reason: str) -> None:
        self.totals.frames_refused += 1
        self.last = LastFrame(reason=reason)

    def values(self) -> Mapping[str, object]:
        """For the diagnostics."""
        return {**asdict(self.totals), **asdict(self.last)}

    def message(self, link: LinkState, mask: int) -> EncoderStatus:
        """The status message, without its stamp."""
        return EncoderStatus(
            capacity_kbps=link.capacity_kbps,
            round_trip_ms=1e3 * link.round_trip_s,
            edge_ms=1e3 * link.edge_s,
            encode_ms=1e3 * link.encode_s,
            task_mask=mask,
            **self.values(),
        )
