# SPDX-License-Identifier: Apache-2.0
"""The link bench: the simulation against hand-computed cases, metrics, and the command on small traces."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import make_tiny_bundle

pytest.importorskip("matplotlib")

from bench_set import HEIGHT, WIDTH, write_set

from nepi_ros import cli
from nepi_ros.bench.link.measure import measure
from nepi_ros.bench.link.methods import METHODS, choices_of
from nepi_ros.bench.link.metrics import jain, outages, recoveries
from nepi_ros.bench.link.oracle import oracle
from nepi_ros.bench.link.payloads import Option, Payloads, make_payloads
from nepi_ros.bench.link.replay import Conditions, Outcome, Replay, Robot
from nepi_ros.bench.link.rules import NoControl
from nepi_ros.bundle import Bundle
from nepi_ros.codec import PictureFormat
from nepi_ros.link.budget import Budget
from nepi_ros.link.synthetic import LinkModel, write_trace
from nepi_ros.link.trace import ConstantRate, Trace

SECOND = Conditions(deadline_s=0.2, rtt_s=0.04, fps=10, encode_s=0.01, edge_s=0.02)
SMALL, LARGE = Option(((1000,),), (1,)), Option(((1000,), (1000,)), (1, 2))
# One frame: two prefixes; full results of 500 and 1000 bytes, small ones of 300; a report alone of 200.
PAYLOADS = Payloads(
    ((SMALL, LARGE),), ((LARGE,),), ((LARGE,),), (((((500,), (1000,))), ((300,),)),), (200,),
    ((0.0, 0.0), (0.8, 0.7), (0.9, 0.85)), ((0.0, 0.0), (0.8, 0.7), (0.9, 0.85)),
)  # fmt: skip
BYTES_PER_S = ConstantRate(800)  # 100,000


def play(options: tuple[Option, ...], seconds: float = 0.1, rule: object = None, **conditions: float) -> Robot:
    robot = Robot(rule or NoControl(), (options,), choices_of((options,), PAYLOADS.epitome_accuracy))
    Replay([robot], PAYLOADS, BYTES_PER_S, BYTES_PER_S, replace(SECOND, **conditions)).run(seconds)
    return robot


def test_latency_is_the_sum_of_its_parts() -> None:
    outcome = play((SMALL,)).outcomes[0]
    # Encode 10, 1000 bytes 10, delay 20, edge 20, 1500 bytes 15, delay 20 ms.
    assert outcome.latency == pytest.approx(0.095)
    assert (outcome.sent_bytes, outcome.result_bytes, outcome.worth, outcome.step) == (1000, 1500, 1, 0)


def test_results_are_cut_to_what_was_granted() -> None:
    class Granting(NoControl):
        def budget(self, now: float, age_s: float, least_bytes: int = 1, choices: object = None) -> Budget:
            return Budget(1 << 20, result_bytes=1)

    outcome = play((SMALL,), rule=Granting()).outcomes[0]
    assert outcome.latency == pytest.approx(0.083) and outcome.step == 1


def test_a_frame_waits_for_its_messages_but_not_for_ever() -> None:
    assert play((LARGE,)).outcomes[0].latency == pytest.approx(0.105)
    partial = play((LARGE,), assembly_s=0.005).outcomes[0]
    assert partial.worth == 1 and partial.latency == pytest.approx(0.1)


@pytest.mark.parametrize("arrived, worth", [((), 0), ((0,), 1), ((1,), 0), ((0, 1), 2)])
def test_messages_are_decoded_from_the_first_on_but_a_picture_by_itself(arrived: tuple[int, ...], worth: int) -> None:
    assert LARGE.decoded(arrived) == worth
    assert replace(LARGE, picture=True).decoded(arrived) == (2 if 1 in arrived else worth)


def test_a_picture_is_whole_without_what_went_ahead() -> None:
    picture = Option(((70_000,), (1000,)), (1, 2), picture=True)  # what goes ahead does not fit the queue
    outcome = play((picture,), assembly_s=5.0).outcomes[0]
    assert outcome.worth == 2 and outcome.latency == pytest.approx(0.095)


def test_frames_queue_behind_each_other_and_the_newest_wins() -> None:
    robot = play((Option(((15_000,),), (1,)),), seconds=0.5)
    latencies = [outcome.latency for outcome in robot.outcomes]
    # 150 ms of service every 100 ms: each frame waits 50 ms longer than the one before.
    assert np.diff(latencies)[:1] == pytest.approx([0.05])
    assert math.isnan(latencies[-1])


def test_a_full_queue_drops_the_tail() -> None:
    robot = play((Option(((1500,) * 50,), (1,)),), queue_bytes=65_536)
    assert math.isnan(robot.outcomes[0].latency)


def test_the_report_comes_with_the_last_results() -> None:
    heard = []

    class Listening(NoControl):
        def reported(self, now: float, report: object) -> bool:
            heard.append((now, report))
            return True

    play((LARGE,), rule=Listening())
    now, report = heard[0]
    assert now == pytest.approx(0.105)
    assert (report.spread_s, report.processing_s) == (pytest.approx(0.01), pytest.approx(0.02))
    assert (report.result_bytes, report.return_bytes) == (1500, 1000)
    assert report.return_spread_s == pytest.approx(0.01)


def test_the_oracle_takes_the_most_accurate_that_is_in_time() -> None:
    def best(deadline_s: float, down: float = 800) -> Outcome:
        c = replace(SECOND, deadline_s=deadline_s)
        options, accuracy = PAYLOADS.epitomes, PAYLOADS.epitome_accuracy
        return oracle(options, accuracy, PAYLOADS, BYTES_PER_S, ConstantRate(down), c, 0.1)[0]

    assert (best(0.2).worth, best(0.2).step) == (2, 0) and best(0.2).latency == pytest.approx(0.105)
    assert (best(0.1).worth, best(0.1).step) == (2, 1)  # 0.85 rather than 0.8
    assert (best(0.09).worth, best(0.09).step) == (1, 1)
    assert best(0.08).sent_bytes == 0 and math.isnan(best(0.08).latency)


def test_outages_of_both_directions_and_wrapping() -> None:
    up, down = Trace(np.array([100, 1600, 2000])), Trace(np.array([500, 3500, 4000]))
    assert outages(up, down, 4.0) == [(0.1, 1.6), (0.5, 3.5), (2.1, 3.6)]
    assert outages(up, up, 1.0) == []


def test_recovery_counts_from_the_first_frame_the_oracle_gets_through() -> None:
    frames = [Outcome(k / 10) for k in range(40)]
    best = [replace(frame, sent_bytes=0 if frame.captured < 2.05 else 1000) for frame in frames]
    ours = [replace(frame, budget=0 if frame.captured < 2.35 else 800) for frame in frames]
    assert recoveries(ours, best, [(0.5, 2.0)], SECOND) == [pytest.approx(0.3)]
    never = [replace(frame, budget=799) for frame in frames]
    assert recoveries(never, best, [(0.5, 2.0)], SECOND) == [pytest.approx(3.91 - 2.11)]
    assert recoveries(ours, best, [], SECOND) == []


def test_jain() -> None:
    assert jain([1, 1]) == 1.0 and jain([1, 0]) == 0.5 and math.isnan(jain([0, 0]))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    pictures = [PictureFormat(WIDTH, HEIGHT, quality, True) for quality in (90, 97)]
    return make_tiny_bundle(
        tmp_path_factory.mktemp("bundle") / "tiny", width=WIDTH, height=HEIGHT, pictures=pictures
    )


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_set(root / "tiny" / "val", bundle, 6)
    for name, kbps in (("thin", 400), ("fat", 4000)):
        for way, seed in (("up", 1), ("down", 2)):
            path = root / "traces" / f"{name}.{way}"
            write_trace(path, LinkModel(kbps, 0.5, 1.0, 6.0, 1.1).trace(20, seed))
    return root / "traces"


def bench(bundle: Bundle, traces: Path, out: Path, *options: str) -> int:
    return cli.main(["bench", "link", "--bundle", str(bundle.path), "--traces", str(traces), "-o", str(out), *options])


def test_measured_payloads_are_real_and_kept(tmp_path: Path, bundle: Bundle, traces: Path) -> None:
    measured = measure(bundle.path, traces.parent / "tiny/val", tmp_path, 3)
    assert measured == measure(bundle.path, traces.parent / "tiny/val", tmp_path, 3)
    payloads = make_payloads(bundle, measured)
    for options in (*payloads.epitomes, *payloads.jpegs):
        assert [option.wire for option in options] == sorted(option.wire for option in options)
    assert len(payloads.epitomes) == 3
    worth = [row[0] for row in payloads.epitome_accuracy]
    assert worth[0] == 0 and worth[-1] == pytest.approx(bundle.profile.accuracy_of(len(worth) - 1, bundle.tasks))
    assert len(worth) <= len(bundle.layers) + 1
    assert all(value <= payloads.epitome_accuracy[1][0] for value in payloads.epitome_accuracy[1])


def test_pictures_are_sent_where_they_are_asked_for(tmp_path: Path, bundle: Bundle, traces: Path) -> None:
    measured = measure(bundle.path, traces.parent / "tiny/val", tmp_path, 3)
    payloads = make_payloads(bundle, measured, pictures=True)
    assert len(payloads.epitome_accuracy) > len(bundle.layers) + 1
    for options, choices in zip(
        payloads.epitomes, choices_of(payloads.epitomes, payloads.epitome_accuracy), strict=True
    ):
        ordinary = [option.wire for option in options if option.worth[-1] <= len(bundle.layers)]
        assert options[-1].worth[-1] > len(bundle.layers) and options[-1].worth[0] <= len(bundle.layers)
        assert choices.ordinary == max(ordinary) < choices.sizes[-1] == options[-1].wire


def test_the_whole_command(
    tmp_path: Path, bundle: Bundle, traces: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench(bundle, traces, tmp_path) == 0
    assert "thin, 100 ms (two robots: Jain index" in capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())
    rows = {(row["trace"], row["deadline_ms"], row["method"]): row for row in results["rows"]}
    assert set(rows) == {(trace, d, m) for trace in ("thin", "fat") for d in (100, 200) for m in METHODS}
    for (trace, deadline, method), row in rows.items():
        best = rows[trace, deadline, "oracle"]
        assert 0 <= row["accuracy"] <= row["in_time"] <= best["in_time"] + 1e-9
        assert row["frames"] == best["frames"] == 200
        assert method == "jpeg_q50" or method == "jpeg" or row["accuracy"] <= best["accuracy"] + 1e-9
    assert rows["fat", 200, "epitome"]["in_time"] > rows["thin", 100, "epitome"]["in_time"]
    assert all((tmp_path / name).is_file() for name in ("in_time.svg", "thin-100ms.png", "fat-200ms.png"))
    # What was played is kept: only a deadline that was not there is played.
    from nepi_ros.bench.link import command

    played = []
    real = command.measure_pair
    monkeypatch.setattr(command, "measure_pair", lambda *a: played.append((a[0], a[-1].deadline_s)) or real(*a))
    assert bench(bundle, traces, tmp_path, "--deadline-ms", "100,150") == 0
    assert played == [("fat", 0.15), ("thin", 0.15)]


def test_the_whole_command_with_pictures(tmp_path: Path, bundle: Bundle, traces: Path) -> None:
    assert bench(bundle, traces, tmp_path, "--pictures", "--seconds", "5", "--deadline-ms", "200") == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["run"]["pictures"]
    rows = {(row["trace"], row["method"]): row for row in results["rows"]}
    assert bench(bundle, traces, tmp_path, "--seconds", "5", "--deadline-ms", "200") == 0
    without = {(r["trace"], r["method"]): r for r in json.loads((tmp_path / "results.json").read_text())["rows"]}
    assert rows["fat", "oracle"]["accuracy"] > without["fat", "oracle"]["accuracy"]
    assert rows["fat", "fixed_epitome"]["bytes_mean"] > without["fat", "fixed_epitome"]["bytes_mean"]


def test_what_was_measured_for_another_bundle_is_not_taken(tmp_path: Path, traces: Path, bundle: Bundle) -> None:
    """Of the same networks and frames, but of another input size."""
    small = make_tiny_bundle(tmp_path / "small", width=64, height=48)
    data = traces.parent / "tiny/val"
    measure(bundle.path, data, tmp_path / "shared", 3)
    assert measure(small.path, data, tmp_path / "shared", 3) == measure(small.path, data, tmp_path / "fresh", 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--deadline-ms", "100,inf"), "--deadline-ms must be above 0, not inf"),
        (("--deadline-ms", "100,nan"), "--deadline-ms must be above 0, not nan"),
        (("--fps", "0"), "--fps must be above 0"),
        (("--fps", "nan"), "--fps must be above 0"),
        (("--deadline-ms", "100,soon"), "--deadline-ms 100,soon"),
        (("--deadline-ms", "-5"), "--deadline-ms must be above 0"),
        (("--rtt-ms", "-1"), "--rtt-ms must not be negative"),
        (("--loss", "2"), "--loss must be 0 to 1"),
        (("--bundle", "nowhere"), "nowhere: no bundle of that path or name"),
        (("--data", "nowhere"), "nowhere: no such folder of frames"),
        (("--traces", "nowhere"), "nowhere: no such folder of traces"),
    ],
)
def test_bad_options_are_named(
    tmp_path: Path, bundle: Bundle, traces: Path, capsys: pytest.CaptureFixture[str], options: tuple, said: str
) -> None:
    assert bench(bundle, traces, tmp_path, *options) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no traces"),
        ({"a.up": "1\n2\n"}, "a.down: is missing"),
        ({"a.down": "1\n2\n"}, "a.up: is missing"),
        ({"a.up": "", "a.down": "1\n"}, "a.up: times must not"),
        ({"a.up": "1\n", "a.down": "1\nfast\n"}, "a.down: line 2 is not a time"),
    ],
)
def test_bad_traces_are_named(
    tmp_path: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str], files: dict[str, str], said: str
) -> None:
    folder = tmp_path / "traces"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    assert bench(bundle, folder, tmp_path / "out") == 2
    assert said in capsys.readouterr().err
