# SPDX-License-Identifier: Apache-2.0
"""From outcomes to rows of results.json."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from nepi_ros.bench.link.methods import Run
from nepi_ros.bench.link.replay import Conditions, Outcome
from nepi_ros.link.trace import Trace

OUTAGE_S = 1.0
BACK = 0.8
"""Of the oracle's budget: from there on a method counts as back."""


def in_time(outcomes: Sequence[Outcome], deadline_s: float) -> np.ndarray:
    """Which frames' results are back by the deadline: bool [frames]."""
    return np.array([outcome.latency <= deadline_s for outcome in outcomes], bool)


def row(run: Run, deadline_s: float) -> dict[str, Any]:
    """One method on one link: shares 0 to 1, milliseconds, bytes per captured frame, microseconds."""
    hits = in_time(run.outcomes, deadline_s)
    values = [run.accuracy[o.worth][o.step] if hit else 0.0 for o, hit in zip(run.outcomes, hits, strict=True)]
    back = [1e3 * o.latency for o in run.outcomes if not math.isnan(o.latency)]
    p50, p95, p99 = np.percentile(back, (50, 95, 99)) if back else (math.nan,) * 3
    sent = [o for o in run.outcomes if o.sent_bytes]
    found = {
        "in_time": float(hits.mean()),
        "accuracy": float(np.mean(values)),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "bytes_mean": float(np.mean([o.sent_bytes for o in run.outcomes])),
        "result_bytes_mean": float(np.mean([o.result_bytes for o in run.outcomes])),
        "frames": len(run.outcomes),
        "sent": len(sent) / len(run.outcomes),
        "skipped": dict(Counter(_kind(o.reason) for o in run.outcomes if not o.sent_bytes)),
    }
    if run.decision_s:
        found["decision_p50_us"], found["decision_p95_us"] = 1e6 * np.percentile(run.decision_s, (50, 95))
    return {name: _rounded(value) for name, value in found.items()}


def outages(up: Trace, down: Trace, seconds: float) -> list[tuple[float, float]]:
    """Begin and end of the times over 1 s in which a direction carries nothing."""
    spans = []
    for trace in (up, down):
        rounds = int(seconds / trace.length_s) + 1
        times = np.concatenate([trace.times_ms + k * trace.times_ms[-1] for k in range(rounds)]) / 1000
        gaps = np.flatnonzero(np.diff(times) > OUTAGE_S)
        spans += [(float(times[k]), float(times[k + 1])) for k in gaps if times[k + 1] < seconds]
    return sorted(spans)


def recoveries(
    outcomes: Sequence[Outcome], oracle: Sequence[Outcome], spans: Sequence[tuple[float, float]], c: Conditions
) -> list[float]:
    """For each outage, seconds from its end until a frame is given 80 % of what the oracle spends on it.

    They count from the first frame that the oracle gets through after the outage; an outage after which there is
    none before the next one does not count. A method that is not back before the next one counts until then.
    """
    handovers = np.array([outcome.captured + c.encode_s for outcome in outcomes])
    ends = [*(begin for begin, _ in spans[1:]), handovers[-1]][: len(spans)]
    found = []
    for (_, over), limit in zip(spans, ends, strict=True):
        places = np.flatnonzero((handovers >= over) & (handovers < limit))
        places = [k for k in places if oracle[k].sent_bytes]
        if not places:
            continue
        since = handovers[places[0]]
        # A method may be back with the very first frame: then it took as long as that frame came after the outage.
        back = next((handovers[k] for k in places if outcomes[k].budget >= BACK * oracle[k].sent_bytes), limit)
        found.append(float(back - since))
    return found


def jain(values: Sequence[float]) -> float:
    """Jain's fairness index (Jain, Chiu and Hawe, DEC-TR-301, 1984): 1 is even, 1/n is all to one."""
    squares = len(values) * sum(value * value for value in values)
    return sum(values) ** 2 / squares if squares else math.nan


def _kind(reason: str) -> str:
    """A reason for a skip without its figures."""
    words = "".join(letter for letter in reason if not (letter.isdigit() or letter in ".,"))
    return " ".join(words.split())


def _rounded(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else round(float(value), 4)
