# SPDX-License-Identifier: Apache-2.0
"""Any method with most frames of a video held: not coded, because results of the one before, moved, stand for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from nepi_ros.bench.frames import Frame
from nepi_ros.bench.peers.base import Coded, Peer, Setting
from nepi_ros.motion import Glimpse, Motion

HOLD = "hold"
_HOLDS = (2, 5, 9)  # a third, a sixth and a tenth of the frames are sent, more where the picture changes


class HeldPeer:
    """`method` codes the frames that are sent, as if there were no others. Each number of frames that may be held in a
    row makes a curve of its own."""

    video = True

    def __init__(self, name: str, method: Peer) -> None:
        self.name, self._method = name, method
        self.version = f"2 {method.version}"

    def problem(self) -> str | None:
        return self._method.problem()

    def settings(self) -> list[Setting]:
        return [{**setting, HOLD: most} for most in _HOLDS for setting in self._method.settings()]

    def code(self, run: Sequence[Frame], setting: Setting) -> Iterator[Coded]:
        motions = _motions(run, setting[HOLD])
        sent = [frame for frame, motion in zip(run, motions, strict=True) if motion is None]
        coded = self._method.code(sent, {name: value for name, value in setting.items() if name != HOLD})
        for motion in motions:
            if motion is None:
                last = next(coded)
            yield last if motion is None else replace(last, size=0, wire=0, motion=motion)


def _motions(run: Sequence[Frame], most: int) -> list[Motion | None]:
    """For each frame how the one sent before it moved until then, of which at most so many in a row are held; None
    where it is sent itself."""
    motions, sent, place = list[Motion | None](), None, 0
    for number, frame in enumerate(run):
        now = Glimpse.of(frame.content)
        motions.append(sent.motion_to(now) if sent and number - place <= most else None)
        if motions[-1] is None:
            sent, place = now, number
    return motions
