# SPDX-License-Identifier: Apache-2.0
"""What the two sides of the bench tell each other, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

READY = "ready"
ANSWER = "robot.json"


@dataclass(frozen=True)
class Request:
    """What to play: frames of `data`, for the tasks of the bundle in `bundle`; with `inter_frame` some are coded given
    an earlier one, and for `hold_ms` after one they may be held. `variables`: of ROS, for all nodes."""

    bundle: str
    tasks: tuple[str, ...]
    data: str
    frames: int
    rate_hz: float
    deadline_ms: float
    inter_frame: bool
    hold_ms: float
    out: str
    variables: Mapping[str, str]

    @classmethod
    def read(cls, text: str) -> Request:
        values = json.loads(text)
        return cls(**{**values, "tasks": tuple(values["tasks"])})

    def text(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Answer:
    """Of each frame, in order: bytes on the wire (0: not sent), and milliseconds until all results were there or None.

    encode_ms, edge_ms: from capture to hand-over, and from the last arrival to the results; medians, None when not
    known.
    """

    wire_bytes: list[int]
    latency_ms: list[float | None]
    encode_ms: float | None
    edge_ms: float | None
