# SPDX-License-Identifier: Apache-2.0
"""A whole run of the bench: results, what is kept, what goes wrong."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_bundle import make_tiny_bundle, segmentation_network

pytest.importorskip("matplotlib")

from bench_set import HEIGHT, WIDTH, write_set

from nepi_ros import cli
from nepi_ros.bench import runner
from nepi_ros.bench.frames import load_frames
from nepi_ros.bench.peers import PEERS, stills
from nepi_ros.bench.points import PointStore
from nepi_ros.bench.workbench import Bench, Setup
from nepi_ros.bundle import Bundle
from nepi_ros.datasets import consecutive
from nepi_ros.errors import ConfigError
from nepi_ros.files import write_atomic

QUICK = ("epitome", "jpeg", "grace", "h264")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny", width=WIDTH, height=HEIGHT, film=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Path:
    folder = tmp_path_factory.mktemp("set")
    write_set(folder / "train", bundle, 2, seed=6)
    return write_set(folder / "val", bundle, 6)


def bench(bundle: Bundle, data: Path, out: Path, *options: str, peers: tuple[str, ...] = QUICK) -> int:
    command = ["bench", "rate-accuracy", "--bundle", str(bundle.path), "--data", str(data), "-o", str(out)]
    return cli.main([*command, "--points", "3", "--workers", "1", "--peers", *peers, *options])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle, data: Path) -> Path:
    out = tmp_path_factory.mktemp("out")
    assert bench(bundle, data, out, "--task-blind", str(bundle.path), peers=PEERS) == 0
    return out


def results(out: Path) -> dict[str, Any]:
    return json.loads((out / "results.json").read_text())


def test_answers_count_as_what_networks_see_does(data: Path, tmp_path: Path) -> None:
    answering = make_tiny_bundle(tmp_path / "answering", width=WIDTH, height=HEIGHT, mapped=True)
    assert bench(answering, data, tmp_path / "out", peers=("epitome", "jpeg")) == 0
    found = results(tmp_path / "out")
    assert found["run"]["bundle"]["answers"] == ["segmentation", "depth"]
    points = found["targets"]["plain"]["methods"]["epitome"]
    for task in answering.tasks:
        assert max(p[task]["agreement"] for p in points if p[task]["agreement"] is not None) > 0.9
    text = (tmp_path / "out" / "index.html").read_text()
    assert "bring some answers themselves" in text


def test_every_method_has_a_row_for_every_task(finished: Path, bundle: Bundle) -> None:
    found = results(finished)
    assert list(found["headline"]) == list(bundle.tasks)
    for row in found["headline"].values():
        assert set(row["bytes"]) == set(row["ratio"]) == set(PEERS)
        assert row["threshold"] == pytest.approx(row["target_accuracy"] * 0.99)
        assert row["target_accuracy"] == pytest.approx(1, abs=0.02)  # the truth is what the networks see
        ours = row["bytes"]["epitome"]
        for method, size in row["bytes"].items():
            known = size is not None and ours is not None
            assert row["ratio"][method] == (pytest.approx(size / ours, rel=1e-4) if known else None)
    assert found["headline"]["depth"]["ratio"]["jpeg"] is not None
    asked = {(row["task"], row["by"], row["drop"], row["counted"]) for row in found["beside"]}
    assert len(asked) == 3 * 2 * 3 * 2
    assert {"agreement", "accuracy", "absolute relative error", "RMSE in metres"} == set(
        found["targets"]["plain"]["untouched"]["depth"]
    )


def test_the_headline_lies_on_the_methods_own_curve(finished: Path) -> None:
    found = results(finished)
    row, points = found["headline"]["segmentation"], found["targets"]["plain"]["methods"]["jpeg"]
    good = [p["bytes"] for p in points if p["segmentation"]["accuracy"] >= row["threshold"]]
    bad = [p["bytes"] for p in points if p["segmentation"]["accuracy"] < row["threshold"]]
    assert max([b for b in bad if b < min(good)], default=0) <= row["bytes"]["jpeg"] <= min(good)
    low, high = row["bytes_interval"]["jpeg"]
    assert low <= row["bytes"]["jpeg"] and (high is None or row["bytes"]["jpeg"] <= high)


def test_the_page_shows_what_is_there(finished: Path) -> None:
    text = (finished / "index.html").read_text()
    pictures = {part.split('"')[0] for part in text.split('src="')[1:]}
    assert len(pictures) > 30 and all((finished / picture).is_file() for picture in pictures)
    assert (finished / "segmentation.svg").read_text().count("epitome")
    for word in ("GRACE", "task-blind autoencoder", "AV1, low delay"):
        assert word in text


def test_a_second_run_measures_nothing_and_says_the_same(
    finished: Path, bundle: Bundle, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = results(finished)
    monkeypatch.setattr(runner.Bench, "point", lambda *_: pytest.fail("measured again"))
    assert bench(bundle, data, finished, "--task-blind", str(bundle.path), peers=PEERS) == 0
    after = results(finished)
    before["run"].pop("date"), after["run"].pop("date")
    assert before == after


def test_a_stopped_run_goes_on(tmp_path: Path, bundle: Bundle, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, measure = [], runner.Bench.point

    def stop(self: runner.Bench, *arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return measure(self, *arguments)

    monkeypatch.setattr(runner.Bench, "point", stop)
    assert bench(bundle, data, tmp_path, peers=("jpeg",)) == 130
    assert bench(bundle, data, tmp_path, peers=("jpeg",)) == 0
    assert len(calls) == 1 + 3 + 2 * 3 + 1  # untouched, epitome, JPEG with both subsamplings, the one that was stopped


def test_other_frames_are_other_points(tmp_path: Path, bundle: Bundle, data: Path) -> None:
    assert bench(bundle, data, tmp_path, peers=("jpeg",)) == 0
    assert bench(bundle, data, tmp_path, "--frames", "3", peers=("jpeg",)) == 0
    assert results(tmp_path)["run"]["frames"] == 3
    assert len(list((tmp_path / "points/plain/jpeg").iterdir())) == 2 * 2 * 3


def test_other_probes_are_other_tables(tmp_path: Path, bundle: Bundle) -> None:
    """Under the same path."""
    val, train = write_set(tmp_path / "val", bundle, 2), write_set(tmp_path / "train", bundle, 2, seed=6)
    setup = Setup(bundle.path, val, tmp_path / "out", probes=train)
    before = Bench(setup).probes_id()
    assert Bench(setup).probes_id() == before
    cv2.imwrite(str(train / "frame-000001.color.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert Bench(setup).probes_id() != before


def test_probes_are_other_frames_than_those_measured(
    tmp_path: Path, bundle: Bundle, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(bundle, data, tmp_path, "--probes", str(data)) == 2
    assert "name a folder of other frames" in capsys.readouterr().err


def test_processes_measure_the_same_as_one(tmp_path: Path, finished: Path, bundle: Bundle, data: Path) -> None:
    assert bench(bundle, data, tmp_path, "--workers", "2", peers=("jpeg", "grace")) == 0
    alone, together = (results(out)["targets"]["plain"]["methods"] for out in (finished, tmp_path))
    assert together["jpeg"] == alone["jpeg"] and together["grace"] == alone["grace"]


def test_a_missing_library_costs_a_row_only(
    tmp_path: Path, bundle: Bundle, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stills.features, "check", lambda name: name != "avif")
    assert bench(bundle, data, tmp_path, peers=("avif", "jpeg")) == 0
    found = results(tmp_path)
    assert "without AVIF" in found["problems"]["avif"] and found["headline"]["depth"]["bytes"]["avif"] is None
    assert found["headline"]["depth"]["bytes"]["jpeg"]
    assert "not measured: this Pillow" in capsys.readouterr().out
    assert "not measured, this Pillow" in (tmp_path / "index.html").read_text()


def test_robust_networks_judge_beside_the_plain_ones(tmp_path: Path, data: Path) -> None:
    made = make_tiny_bundle(tmp_path / "bundle", width=WIDTH, height=HEIGHT)
    assert bench(made, data, tmp_path / "out", "--targets", "robust") == 2  # there are none yet
    others = tmp_path / "bundle-robust"
    others.mkdir()
    for task in made.tasks:
        (others / f"{task}.onnx").write_bytes((made.path / f"{task}.onnx").read_bytes())
    (others / "segmentation.onnx").write_bytes(segmentation_network(np.random.default_rng(8)))
    assert bench(made, data, tmp_path / "out", "--targets", "both", peers=("jpeg",)) == 0
    found = results(tmp_path / "out")
    assert {row["targets"] for row in found["beside"]} == {"plain", "robust"}
    plain, robust = (found["targets"][name]["untouched"] for name in ("plain", "robust"))
    assert plain["depth"] == robust["depth"] and plain["segmentation"] != robust["segmentation"]


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda folder: [file.unlink() for file in folder.glob("*.png")], "holds no images"),
        (lambda folder: [file.unlink() for file in folder.glob("*") if ".color." not in file.name], "no labels"),
        (
            lambda folder: cv2.imwrite(str(folder / "frame-000001.segmentation.png"), np.zeros((96, 96), np.uint8)),
            "frame frame-000001 is 128 x 96, its segmentation labels are 96 x 96",
        ),
        (
            lambda folder: cv2.imwrite(str(folder / "frame-000000.depth.png"), np.zeros((96, 128, 3), np.uint8)),
            "with colours",
        ),
    ],
)
def test_what_is_wrong_with_the_data_is_said(
    tmp_path: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str], break_it: Any, said: str
) -> None:
    folder = write_set(tmp_path / "val", bundle, 2)
    break_it(folder)
    assert bench(bundle, folder, tmp_path / "out") == 2
    assert said in capsys.readouterr().err


def test_classes_must_be_the_bundles(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "glass").mkdir()
    cv2.imwrite(str(tmp_path / "glass/a.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ConfigError, match="glass.*hall, office"):
        load_frames(tmp_path, bundle)


def test_a_full_disk_is_said_and_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConfigError, match="disk is full.*what is measured is kept"):
        write_atomic(tmp_path / "a" / "point.json", b"{}")
    assert not list((tmp_path / "a").iterdir())


def test_a_damaged_point_is_measured_again(tmp_path: Path) -> None:
    store = PointStore(tmp_path)
    store.save_json("jpeg/quality-1-abc.json", {"key": "abc"})
    assert store.load_json("jpeg/quality-1-abc.json", "abc") is not None
    assert store.load_json("jpeg/quality-1-abc.json", "xyz") is None
    assert store.load("jpeg", {"quality": 1}, "abc") is None
    (tmp_path / "jpeg/quality-1-abc.json").write_text('{"key": "ab')
    assert store.load("jpeg", {"quality": 1}, "abc") is None


def test_runs_end_where_numbers_or_sizes_do() -> None:
    assert consecutive(["f1", "f2", "f4", "g5", "g6"]) == ((0, 1), (2,), (3, 4))
    assert consecutive(["f1", "f2", "f3"], [1, 1, 2]) == ((0, 1), (2,))
    assert consecutive(["office", "hall"]) == ((0,), (1,))


def test_a_part_of_a_video_is_made_of_runs(tmp_path: Path, bundle: Bundle) -> None:
    folder = write_set(tmp_path / "val", bundle, 16)
    assert load_frames(folder, bundle, 7).runs == (tuple(range(7)),)
    assert load_frames(folder, bundle).is_video
