# SPDX-License-Identifier: Apache-2.0
"""The demo's link: one made from the seed that is like recorded cellular ones, a recorded one, or a constant rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nepi_ros.link.synthetic import LinkModel, write_trace
from nepi_ros.link.trace import Trace

# Thin enough that sizes matter, and with outages, so that a run of some seconds shows what the control does.
UP = LinkModel(kbps=1000, swing=0.8, memory_s=3.0, outages_per_minute=4, outage_s=0.5, tail=3.0, longest_s=2.0)
DOWN = LinkModel(kbps=3000, swing=0.5, memory_s=3.0, outages_per_minute=0)
_MARGIN_S = 30.0
_FIRST = 39  # with seed 0 the link fails for a second in the middle of a run of 200 frames


@dataclass(frozen=True)
class DemoLink:
    """Traces for the ways up and down, or None for constant rates of `kbps` (None: as the parameter file says)."""

    up: Path | None = None
    down: Path | None = None
    kbps: float | None = None

    @property
    def overrides(self) -> Mapping[str, Any]:
        """Parameters of link_emulator_node; None leaves one as it is."""
        up, down = (None if path is None else str(path) for path in (self.up, self.down))
        return {"up_kbps": self.kbps, "down_kbps": self.kbps, "up_trace": up, "down_trace": down}


def made(out: Path, seconds: float, seed: int) -> DemoLink:
    """A link of the demo's own for so many seconds of playing, written to cellular-SEED.up and .down in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    up, down = ((out / f"cellular-{seed}.{way}").resolve() for way in ("up", "down"))
    write_trace(up, UP.trace(seconds + _MARGIN_S, _FIRST + seed))
    write_trace(down, DOWN.trace(seconds + _MARGIN_S, _FIRST + seed))
    return DemoLink(up, down)


def recorded(trace: Path) -> DemoLink:
    """Recorded pairs are called NAME.up and NAME.down; another trace serves for both ways.

    Raises TraceError when it cannot be read.
    """
    trace = trace.resolve()
    paired = trace.suffix in (".up", ".down")
    link = DemoLink(trace.with_suffix(".up"), trace.with_suffix(".down")) if paired else DemoLink(trace, trace)
    for path in (link.up, link.down):
        Trace.load(path)
    return link


def carried(parameters: Mapping[str, Any]) -> Callable[[float, float], float]:
    """Mean rate in kbit/s of the way up between two times, in seconds since the first message, by the emulator's
    parameters."""
    if not parameters["up_trace"]:
        return lambda begin, end: float(parameters["up_kbps"])
    trace = Trace.load(parameters["up_trace"])
    return lambda begin, end: trace.bytes_between(begin, end) * 0.008 / (end - begin)
