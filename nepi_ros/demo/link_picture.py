# SPDX-License-Identifier: Apache-2.0
"""`link.png`: what the link carried, what the encoder took it for and spent, and how long results took, over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nepi_ros.demo import canvas as draw
from nepi_ros.demo.canvas import Canvas
from nepi_ros.demo.record import FrameRecord, Status

WIDTH, HEIGHT = 1600, 1100
_LEFT, _RIGHT, _TOP, _GAP, _FOOT = 110, 40, 124, 62, 64
_CARRIED = (38, 66, 92)
BAND = (92, 84, 52)
_ESTIMATE = (245, 203, 92)
_DOT = 7
_BIN_S = 0.25

Point = tuple[float, float]


@dataclass(frozen=True)
class LinkRun:
    """What is drawn. carried_kbps: the mean rate of the way up between two times, in seconds since the first epitome
    went out."""

    title: str
    tasks: tuple[str, ...]
    deadline_ms: float
    frames: Sequence[FrameRecord]
    statuses: Sequence[Status]
    carried_kbps: Callable[[float, float], float]


def write_link_picture(path: Path, run: LinkRun) -> None:
    """Draw three panels over the same time: capacity, bytes of each frame, latency of each frame."""
    picture = Canvas(WIDTH, HEIGHT)
    picture.text(_RIGHT, 22, "nepi_ros", 34, draw.ACCENT)
    picture.text(_RIGHT + 160, 35, run.title, 20, draw.MUTED)
    origin = min((f.sent_ns for f in run.frames if f.sent_ns is not None), default=run.frames[0].stamp_ns)
    ends = [(frame.stamp_ns - origin) / 1e9 for frame in (run.frames[0], run.frames[-1])]
    height = (HEIGHT - _TOP - _FOOT - 2 * _GAP) / 3
    panels = [
        _Panel(picture, _TOP + k * (height + _GAP), height, (min(ends[0], 0.0), ends[1] + 0.1)) for k in range(3)
    ]
    _capacity(panels[0], run, origin)
    _bytes(panels[1], run, origin)
    _latency(panels[2], run, origin)
    panels[2].seconds()
    Image.fromarray(picture.array).save(path)


class _Panel:
    """A chart with time along x and values from 0 up along y."""

    def __init__(self, picture: Canvas, top: float, height: float, span: tuple[float, float]) -> None:
        self.picture, self.span = picture, span
        self._top, self._height, self._width = top, height, WIDTH - _LEFT - _RIGHT
        self._most = 1.0
        picture.box(_LEFT, top, self._width, height)

    def scale(self, name: str, most: float) -> None:
        """Name the panel, and label values up to at least `most`."""
        self.picture.text(_LEFT, self._top - 32, name, 20, draw.TEXT)
        step = _round_step(most / 4)
        self._most = step * max(1, math.ceil(most / step))
        for k in range(round(self._most / step) + 1):
            y = self.at(0.0, k * step)[1]
            self.picture.line([(_LEFT, y), (_LEFT + self._width, y)], draw.LINE, 1)
            self.picture.text(_LEFT - 12, y, f"{k * step:,.10g}", 17, draw.MUTED, "rm")

    def key(self, entries: Sequence[tuple[str, draw.Colour]]) -> None:
        """Say above the panel's right end what the colours mean."""
        x = float(_LEFT + self._width)
        for words, colour in reversed(entries):
            length = self.picture.text(x, self._top - 31, words, 17, draw.MUTED, "ra")
            self.picture.box(x - length - 26, self._top - 27, 16, 12, colour, radius=3)
            x -= length + 50

    def seconds(self) -> None:
        """Label the time axis."""
        step = _round_step((self.span[1] - self.span[0]) / 10)
        for k in range(math.ceil(self.span[0] / step), math.floor(self.span[1] / step) + 1):
            x = self.at(k * step, 0.0)[0]
            self.picture.text(x, self._top + self._height + 12, f"{k * step:g}", 17, draw.MUTED, "ma")
        self.picture.text(_LEFT + self._width, self._top + self._height + 34, "seconds", 17, draw.MUTED, "ra")

    def at(self, time: float, value: float) -> Point:
        """The pixel of a time and a value; values beyond the scale lie on its edge."""
        along = (time - self.span[0]) / max(self.span[1] - self.span[0], 1e-9)
        share = min(max(value / self._most, 0.0), 1.0)
        return _LEFT + self._width * min(max(along, 0.0), 1.0), self._top + self._height * (1 - share)

    def columns(self, values: Sequence[tuple[float, float, float, float]], colour: draw.Colour) -> None:
        """Filled from low to high: (begin, end, low, high)."""
        for begin, end, low, high in values:
            (left, top), (right, base) = self.at(begin, high), self.at(end, low)
            self.picture.box(left, top, right - left + 1, max(base - top, 1.0), colour, radius=0)

    def steps(self, values: Sequence[Point], colour: draw.Colour) -> None:
        """A line that holds each value until the next."""
        corners = [c for a, b in zip(values, values[1:], strict=False) for c in (self.at(*a), self.at(b[0], a[1]))]
        self.picture.line(corners, colour, 3)

    def dot(self, time: float, value: float, colour: draw.Colour) -> None:
        x, y = self.at(time, value)
        self.picture.box(x - _DOT / 2, y - _DOT / 2, _DOT, _DOT, colour, radius=_DOT // 2)


def _capacity(panel: _Panel, run: LinkRun, origin: int) -> None:
    times = np.arange(panel.span[0], panel.span[1], _BIN_S)
    carried = [run.carried_kbps(t, t + _BIN_S) for t in times]
    known = [(_since(s.at_ns, origin), s) for s in run.statuses if s.capacity_kbps == s.capacity_kbps]
    panel.scale("link towards the edge, kbit/s", 1.5 * max([*carried, 1.0]))
    # Frames of one packet each tell nothing of the rate, and few bytes need no estimate of it.
    estimate = [("estimated", _ESTIMATE), ("where it lies four times out of five", BAND)] if known else []
    panel.key([("carried", _CARRIED), *estimate])
    pairs = zip(known, known[1:], strict=False)
    panel.columns([(t, later, s.low_kbps, s.high_kbps) for (t, s), (later, _) in pairs], BAND)
    panel.columns([(t, t + _BIN_S, 0.0, rate) for t, rate in zip(times, carried, strict=True)], _CARRIED)
    panel.steps([(t, s.capacity_kbps) for t, s in known], _ESTIMATE)


def _bytes(panel: _Panel, run: LinkRun, origin: int) -> None:
    sent = [frame.wire_bytes for frame in run.frames]
    panel.scale("bytes of a frame on the wire", 1.1 * max([*sent, 1]))
    panel.key([("budget", _ESTIMATE), ("sent", draw.ACCENT), ("not sent", draw.BAD)])
    panel.steps([(_since(s.at_ns, origin), s.budget_bytes) for s in run.statuses], _ESTIMATE)
    for frame in run.frames:
        panel.dot(_since(frame.stamp_ns, origin), frame.wire_bytes, draw.ACCENT if frame.wire_bytes else draw.BAD)


def _latency(panel: _Panel, run: LinkRun, origin: int) -> None:
    top = 2 * run.deadline_ms
    panel.scale("from capture to all results, ms", top)
    panel.key([("in time", draw.GOOD), (f"later than {run.deadline_ms:g} ms, or never (above)", draw.BAD)])
    panel.picture.line([panel.at(t, run.deadline_ms) for t in panel.span], draw.TEXT, 2)
    for frame in run.frames:
        latency = frame.completed_ms(run.tasks)
        late = latency is None or latency > run.deadline_ms
        panel.dot(_since(frame.stamp_ns, origin), top if latency is None else latency, draw.BAD if late else draw.GOOD)


def _since(at_ns: int, origin: int) -> float:
    return (at_ns - origin) / 1e9


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, ... (or below 1, likewise) that is at least this.

    >>> _round_step(130), _round_step(0.3)
    (200.0, 0.5)
    """
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= least * (1 - 1e-9))
