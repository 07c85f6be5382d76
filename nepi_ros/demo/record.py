# SPDX-License-Identifier: Apache-2.0
"""What was seen of one frame on its way, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

# uint8 [h, w] class ids, float32 [h, w] metres, or (name, probability) pairs, best first.
Result = np.ndarray | list[tuple[str, float]]


@dataclass
class FrameRecord:
    """One camera frame, identified by its header stamp.

    index: the frame's place in the frame set; None when it could not be told. epitome_bytes, wire_bytes: over all
    messages of the frame, both as the robot sent them (0: nothing was sent). sent_ns: when the first of them was seen,
    None when none was. latency_ms: by task, from the header stamp to the result's arrival on the robot.
    """

    stamp_ns: int
    index: int | None = None
    epitome_bytes: int = 0
    wire_bytes: int = 0
    layers: int = 0
    latency_ms: dict[str, float] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    sent_ns: int | None = None

    def completed_ms(self, tasks: tuple[str, ...]) -> float | None:
        """Milliseconds until the last of the tasks' results was there; None when one never came."""
        if any(task not in self.latency_ms for task in tasks):
            return None
        return max(self.latency_ms[task] for task in tasks)


@dataclass(frozen=True)
class Status:
    """What encoder_node knew of the link, and when, in nanoseconds; rates in kbit/s, NaN when not known."""

    at_ns: int
    capacity_kbps: float
    low_kbps: float
    high_kbps: float
    budget_bytes: int
