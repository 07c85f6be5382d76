# SPDX-License-Identifier: Apache-2.0
"""The committed reports, and that the README says of them what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nepi_ros.bundle import Bundle

ROOT = Path(__file__).parents[1]
SETS = ("camvid", "kitchen", "trashnet")
METHODS = {"epitome", "jpeg", "jpeg_downscaled", "webp", "avif", "hevc_intra", "grace", "task_blind"}
IN_A_VIDEO, HELD = "epitome_3_back", "epitome_held"
OURS = {"epitome", "epitome_1_back", IN_A_VIDEO, HELD}
VIDEO = {"h264", "hevc", "av1"}
VIDEO_HELD = {"hevc_held", "av1_held"}

pytestmark = pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="installed without the checkout")


def report(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "reports" / name / "results.json").read_text())


def in_words(size: float | None) -> str:
    return "never" if size is None else f"{size:,.0f}" if size >= 1 else f"{size:.1f}"


def best(sizes: dict[str, float | None], methods: set[str]) -> str:
    """The smallest of some methods' sizes, where one of them was measured."""
    found = [sizes[method] for method in methods if sizes.get(method)]
    return in_words(min(found)) if found else "-"


def readme_row(name: str, task: str, row: dict[str, Any]) -> str:
    """The line of the README's table for one task of a set."""
    sizes, stills = row["bytes"], METHODS - {"epitome", "jpeg", "grace"}
    epitome, jpeg, grace = (in_words(sizes[method]) for method in ("epitome", "jpeg", "grace"))
    ours = epitome, best(sizes, {IN_A_VIDEO}), best(sizes, {HELD})
    theirs = jpeg, grace, best(sizes, stills), best(sizes, VIDEO), best(sizes, VIDEO_HELD)
    cells = [f"{name}, {task}", f"{row['target_accuracy']:.3f}", *ours, *theirs]
    return f"| {' | '.join(cells)} |"


def link_line(row: dict[str, Any]) -> str:
    """The line of the README's table for one recorded link at one deadline."""
    shares = (f"{row[name]:.2f}" for name in ("in_time_of_oracle", "accuracy_of_oracle", "in_time_of_jpeg"))
    return f"| {' | '.join((row['trace'], format(row['deadline_ms'], 'g'), *shares))} |"


def test_the_readme_says_what_was_measured_on_links() -> None:
    lines, found = (ROOT / "README.md").read_text().splitlines(), report("link")
    assert all(link_line(row) in lines for row in found["compared"])
    assert int(found["run"]["bundle"]["id"], 16) == Bundle.load(ROOT / "models/kitchen").id


@pytest.mark.parametrize("name", SETS)
def test_a_report_has_every_method(name: str) -> None:
    found = report(name)
    assert found["headline"]
    for row in found["headline"].values():
        wanted = METHODS | OURS | VIDEO | VIDEO_HELD if name == "kitchen" else METHODS
        assert {method for method in row["bytes"] if row["best"].get(method)} >= wanted
        assert row["threshold"] == pytest.approx(0.99 * row["target_accuracy"], abs=1e-6)
    assert set(found["targets"]) == {"plain", "robust"}


@pytest.mark.parametrize("name", SETS)
def test_a_report_is_of_the_committed_bundle(name: str) -> None:
    bundle, run = Bundle.load(ROOT / "models" / name), report(name)["run"]
    assert int(run["bundle"]["id"], 16) == bundle.id
    timed = json.loads((ROOT / "reports/codec/results.json").read_text())["bundles"]
    assert int(timed[name]["bundle_id"], 16) == bundle.id


@pytest.mark.parametrize("name", SETS)
def test_the_readme_says_what_was_measured(name: str) -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    for task, row in report(name)["headline"].items():
        assert readme_row(name, task, row) in lines


def test_reports_hold_no_pictures_of_the_sets() -> None:
    kinds = {path.suffix for name in SETS for path in (ROOT / "reports" / name).rglob("*") if path.is_file()}
    assert kinds == {".json", ".svg"}
