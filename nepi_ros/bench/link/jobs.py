# SPDX-License-Identifier: Apache-2.0
"""One recorded link at one deadline: all methods on it, two robots on it, and a stretch of it to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nepi_ros.bench.link.methods import METHODS, Link, Run, run, run_two
from nepi_ros.bench.link.metrics import in_time, jain, outages, recoveries, row
from nepi_ros.bench.link.payloads import Payloads
from nepi_ros.bench.link.replay import Conditions, Outcome
from nepi_ros.link.trace import Trace

VERSION = 9
"""Changes when figures may change: with a method, the simulation or a metric."""
_DRAWN_S = 60.0
_BIN_S = 0.5
_DRAWN = ("epitome", "oracle", "gcc")


def measure_pair(
    name: str, up: Trace, down: Trace, seconds: float, payloads: Payloads, conditions: Conditions
) -> dict[str, Any]:
    """Everything results.json and the plots need of one link at one deadline, as JSON values."""
    deadline_ms = round(conditions.deadline_s * 1e3, 6)
    link = Link(up, down, seconds)
    runs = {method: run(method, payloads, link, conditions) for method in METHODS}
    spans = outages(up, down, seconds)
    rows = []
    for method, done in runs.items():
        back = [] if method == "oracle" else recoveries(done.outcomes, runs["oracle"].outcomes, spans, conditions)
        recovery = {
            "recoveries": len(back),
            "recovery_p50_ms": round(1e3 * float(np.median(back)), 1) if back else None,
            "recovery_p95_ms": round(1e3 * float(np.percentile(back, 95)), 1) if back else None,
        }
        rows.append(
            {"trace": name, "deadline_ms": deadline_ms, "method": method} | row(done, conditions.deadline_s) | recovery
        )
    trace = {"name": name, "seconds": seconds, "up_kbps": round(up.mean_kbps), "down_kbps": round(down.mean_kbps)}
    return {
        "deadline_ms": deadline_ms,
        "rows": rows,
        "trace": trace | {"outages": len(spans)},
        "two_robots": {"trace": name, "deadline_ms": deadline_ms} | _two(payloads, link, conditions),
        "series": {"trace": name, "deadline_ms": deadline_ms} | _series(runs, up, down, spans, seconds),
    }


def _two(payloads: Payloads, link: Link, conditions: Conditions) -> dict[str, Any]:
    both = run_two(payloads, link, conditions)
    hits = [float(in_time(outcomes, conditions.deadline_s).mean()) for outcomes in both]
    sizes = [float(np.mean([outcome.sent_bytes for outcome in outcomes])) for outcomes in both]
    return {
        "in_time": [round(value, 4) for value in hits],
        "bytes_mean": [round(value, 1) for value in sizes],
        "jain_in_time": round(jain(hits), 4),
        "jain_bytes": round(jain(sizes), 4),
    }


def _series(
    runs: dict[str, Run], up: Trace, down: Trace, spans: Sequence[tuple[float, float]], seconds: float
) -> dict[str, Any]:
    """A minute around the longest outage, or the first one: capacity in kbit/s, budget in bytes, latency in ms."""
    begin = 0.0
    if spans:
        longest = max(spans, key=lambda span: span[1] - span[0])
        begin = min(max(0.0, longest[0] - _DRAWN_S / 3), max(0.0, seconds - _DRAWN_S))
    times = np.arange(begin, min(begin + _DRAWN_S, seconds), _BIN_S)
    rates = {
        way: [trace.bytes_between(t, t + _BIN_S) * 0.008 / _BIN_S for t in times]
        for way, trace in (("up", up), ("down", down))
    }
    methods = {}
    for method in _DRAWN:
        drawn = [o for o in runs[method].outcomes if begin <= o.captured < begin + _DRAWN_S]
        methods[method] = {
            "at_s": [round(o.captured, 3) for o in drawn],
            "bytes": [o.sent_bytes for o in drawn],
            "latency_ms": [_milliseconds(o) for o in drawn],
        }
    return {"at_s": times.round(3).tolist(), "kbps": rates, "methods": methods}


def _milliseconds(outcome: Outcome) -> float | None:
    return round(1e3 * outcome.latency, 1) if outcome.latency == outcome.latency else None
