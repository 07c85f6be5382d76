# SPDX-License-Identifier: Apache-2.0
"""`overlay.mp4`: the run as it was played."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from nepi_ros.demo import canvas as draw
from nepi_ros.demo.canvas import Canvas
from nepi_ros.demo.pictures import Legend, no_result, panel, ranking, verdict
from nepi_ros.demo.record import FrameRecord

WIDTH, HEIGHT = 1280, 624
_MARGIN, _TOP, _PANEL_HEIGHT, _STRIP, _LOW = 20, 56, 300, 370, 404
_COLUMN = (WIDTH - 4 * _MARGIN) // 3
_CARD = HEIGHT - _LOW - _MARGIN
_CHART_FRAMES = 100


def write_film(path: Path, frames: Iterable[tuple[np.ndarray, FrameRecord]], legend: Legend, rate_hz: float) -> None:
    """Encode (rgb uint8 [H, W, 3], record) pairs as H.264 at the rate they were played.

    Above: input, segmentation, depth. Below: class, bytes and latency so far.
    """
    stage = _stage(legend)
    seen: list[FrameRecord] = []
    rate = Fraction(rate_hz).limit_denominator(1000)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for rgb, record in frames:
            seen.append(record)
            picture = _draw(stage, rgb, seen, legend)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture.array, "rgb24")))
        container.mux(stream.encode())


def _stage(legend: Legend) -> Canvas:
    """All that stays the same from frame to frame."""
    stage = Canvas(WIDTH, HEIGHT)
    stage.text(_MARGIN, 12, "nepi_ros", 28, draw.ACCENT)
    stage.text(_MARGIN + 132, 22, legend.title, 17, draw.MUTED)
    if len(legend.classes):
        draw.class_legend(stage, _MARGIN, _STRIP, legend.classes, legend.palette, 14)
    if "depth" in legend.tasks:
        draw.depth_legend(stage, WIDTH - _MARGIN - 228, _STRIP, 130, legend.near_m, legend.far_m, 14)
    return stage


def _draw(stage: Canvas, rgb: np.ndarray, seen: Sequence[FrameRecord], legend: Legend) -> Canvas:
    picture, record = Canvas.copy_of(stage), seen[-1]
    views = [None, *(task for task in ("segmentation", "depth") if task in legend.tasks)]
    width = (WIDTH - (len(views) + 1) * _MARGIN) // len(views)
    for place, task in enumerate(views):
        x = _MARGIN + place * (width + _MARGIN)
        picture.image(x, _TOP, draw.fitted(panel(rgb, record, task, legend), width, _PANEL_HEIGHT))
        if task and task not in record.results:
            no_result(picture, x, _TOP, width, _PANEL_HEIGHT)
    _class_card(picture, _MARGIN, _COLUMN, record, legend)
    _chart(picture, 2 * _MARGIN + _COLUMN, _COLUMN, _bytes_chart(seen, legend))
    _chart(picture, 3 * _MARGIN + 2 * _COLUMN, _COLUMN, _latency_chart(seen, legend))
    return picture


def _class_card(picture: Canvas, x: int, width: int, record: FrameRecord, legend: Legend) -> None:
    picture.box(x, _LOW, width, _CARD)
    picture.text(x + 16, _LOW + 12, "classification", 14, draw.MUTED)
    if "classification" not in legend.tasks:
        return
    best = ranking(record)[:4]
    if not best:
        picture.text(x + 16, _LOW + 44, "no result", 22, draw.BAD)
    for row, (name, probability) in enumerate(best):
        y = _LOW + 42 + row * 38
        picture.text(x + 16, y, name, 18, draw.TEXT if row == 0 else draw.MUTED)
        picture.text(x + width - 16, y, f"{probability:.0%}", 18, draw.TEXT if row == 0 else draw.MUTED, "ra")
        picture.bar(x + 16, y + 24, width - 32, 5, probability, draw.ACCENT if row == 0 else draw.MUTED)


class _Series:
    """What a chart shows: a name, the present value in words, past values (None: nothing), a mark to compare with."""

    def __init__(self, name: str, now: str, colour: draw.Colour, values: Sequence[float | None], mark: float | None,
                 remark: str) -> None:
        self.name, self.now, self.colour, self.mark, self.remark = name, now, colour, mark, remark
        self.values = values
        self.top = 1.25 * max([v for v in values if v is not None] + [mark or 1.0])


def _bytes_chart(seen: Sequence[FrameRecord], legend: Legend) -> _Series:
    record = seen[-1]
    now = f"{record.epitome_bytes:,} bytes" if record.epitome_bytes else "not sent"
    remark = f"JPEG 90: {legend.jpeg_bytes:,.0f} bytes" if legend.jpeg_bytes else ""
    values = [float(r.epitome_bytes) for r in seen[-_CHART_FRAMES:]]
    return _Series("epitome", now, draw.TEXT, values, None, remark)


def _latency_chart(seen: Sequence[FrameRecord], legend: Legend) -> _Series:
    now, colour = verdict(seen[-1], legend)
    values = [r.completed_ms(legend.tasks) for r in seen[-_CHART_FRAMES:]]
    remark = f"deadline {legend.deadline_ms:g} ms"
    shown = [None if v is None else min(v, 2 * legend.deadline_ms) for v in values]
    return _Series("capture to results", now, colour, shown, legend.deadline_ms, remark)


def _chart(picture: Canvas, x: int, width: int, series: _Series) -> None:
    picture.box(x, _LOW, width, _CARD)
    picture.text(x + 16, _LOW + 12, series.name, 14, draw.MUTED)
    picture.text(x + width - 16, _LOW + 12, series.remark, 14, draw.MUTED, "ra")
    picture.text(x + 16, _LOW + 32, series.now, 24, series.colour)
    left, base, height = x + 16, _LOW + _CARD - 16, _CARD - 92
    step = (width - 32) / _CHART_FRAMES
    for place, value in enumerate(series.values):
        late = series.mark is not None and (value is None or value > series.mark)
        share = 1.0 if value is None else value / series.top
        bar = max(height * share, 1.0)
        picture.box(left + place * step, base - bar, max(step - 1, 1), bar, draw.BAD if late else draw.ACCENT, radius=0)
    if series.mark is not None:
        y = base - height * series.mark / series.top
        picture.line([(left, y), (x + width - 16, y)], draw.MUTED, 1)
