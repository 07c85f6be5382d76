# SPDX-License-Identifier: Apache-2.0
"""The rows of results.json beside each other: as ratios, and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nepi_ros.bench.link.methods import LABELS

_HEADER = ("method", "in time", "of oracle's", "accuracy", "of oracle's", "p50 ms", "p95 ms", "bytes", "back ms")


def compared(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each trace and deadline: the epitome's share of the oracle's, and of JPEG's under the same control."""
    found = []
    for group in _groups(rows):
        epitome, jpeg, oracle = (group[method] for method in ("epitome", "jpeg", "oracle"))
        found.append(
            {
                "trace": epitome["trace"],
                "deadline_ms": epitome["deadline_ms"],
                "in_time_of_oracle": _ratio(epitome["in_time"], oracle["in_time"]),
                "accuracy_of_oracle": _ratio(epitome["accuracy"], oracle["accuracy"]),
                "in_time_of_jpeg": _ratio(epitome["in_time"], jpeg["in_time"]),
            }
        )
    return found


def summary_text(results: Mapping[str, Any]) -> str:
    """A table for each trace and deadline."""
    two = {(entry["trace"], entry["deadline_ms"]): entry for entry in results["two_robots"]}
    parts = []
    for group in _groups(results["rows"]):
        first = group["oracle"]
        lines = [_HEADER, *(_cells(row, first) for row in group.values())]
        widths = [max(len(line[k]) for line in lines) for k in range(len(_HEADER))]
        shown = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
        fair = two[first["trace"], first["deadline_ms"]]["jain_in_time"]
        title = f"{first['trace']}, {first['deadline_ms']:g} ms (two robots: Jain index {fair:.3f})"
        parts.append("\n".join([title, *shown]))
    return "\n\n".join(parts)


def _groups(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Mapping[str, Any]]]:
    groups: dict[tuple[str, float], dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["trace"], row["deadline_ms"]), {})[row["method"]] = row
    return list(groups.values())


def _cells(row: Mapping[str, Any], oracle: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        LABELS[row["method"]],
        f"{row['in_time']:.3f}",
        _number(_ratio(row["in_time"], oracle["in_time"]), ".3f"),
        f"{row['accuracy']:.3f}",
        _number(_ratio(row["accuracy"], oracle["accuracy"]), ".3f"),
        _number(row["p50_ms"], ".0f"),
        _number(row["p95_ms"], ".0f"),
        f"{row['bytes_mean']:,.0f}",
        _number(row["recovery_p50_ms"], ".0f"),
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _ratio(value: float, other: float) -> float | None:
    return round(value / other, 4) if other else None
