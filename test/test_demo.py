# SPDX-License-Identifier: Apache-2.0
"""The demo as a whole: what it starts, what it sees, and runs of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO

import av
import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from demo_help import TASKS, gone, wait_for, write_frames
from rclpy.serialization import serialize_message
from std_msgs.msg import Header
from tiny_bundle import make_tiny_bundle

from nepi_ros.bundle import Bundle
from nepi_ros.demo import frames
from nepi_ros.demo.ending import Ending
from nepi_ros.demo.frames import identify
from nepi_ros.demo.link_picture import HEIGHT, WIDTH
from nepi_ros.demo.observer import Log, assemble, fingerprint
from nepi_ros.demo.system import CAMERA, EDGE_NODE, ENCODER, LINK, RESULT, System, config_file
from nepi_ros.errors import ConfigError
from nepi_ros.link.trace import Trace
from nepi_ros.msg import Classification, Epitome
from nepi_ros.result_image import depth_image, label_image


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny", film=True)


class TestIdentify:
    def test_by_content_in_either_channel_order(self, tmp_path: Path) -> None:
        paths = write_frames(tmp_path / "frames", 3).paths
        indices = identify(paths)
        for i, path in enumerate(paths):
            bgr = cv2.imread(str(path))
            for content in (bgr.tobytes(), bgr[..., ::-1].tobytes()):
                assert indices[fingerprint(content)] == i

    def test_a_damaged_file_is_passed_over(self, tmp_path: Path) -> None:
        paths = write_frames(tmp_path / "frames", 3).paths
        paths[1].write_bytes(b"damaged")
        assert set(identify(paths).values()) == {0, 2}

    def test_a_missed_image_shifts_nothing(self) -> None:
        log = Log(images={10: 0xA, 30: 0xC, 40: 0xD, 70: 0xE})
        epitome = Epitome(frame_layers=3)
        for stamp in (10, 20, 30, 40, 70):
            epitome.header.stamp.nanosec = stamp
            log.epitomes.append((100 + stamp, serialize_message(epitome)))
        records = assemble(log, {0xA: 0, 0xC: 2, 0xD: 3, 0xE: 6}, lambda size: size + 160)
        assert [(r.stamp_ns, r.index) for r in records] == [(10, 0), (20, 1), (30, 2), (40, 3), (70, 6)]
        assert all(r.wire_bytes == r.epitome_bytes + 160 and r.layers == 3 for r in records)
        assert all(r.sent_ns == r.stamp_ns + 100 for r in records)


class TestPatrol:
    def test_is_drawn_once_and_again_for_another_rate_or_building(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn = []

        def draw(folder: Path, wanted: list[int], seed: int, workers: int) -> None:
            drawn.append((len(wanted), seed))
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / "set.json").write_text(json.dumps({"seed": seed, "registered": True}))
            for index in wanted:
                (folder / f"frame-{index:06d}.color.jpg").write_bytes(b"not looked at")
            (folder / "places.csv").write_text("frame,place\n")

        monkeypatch.setattr(frames, "_draw", draw)
        folder = tmp_path / "patrol"
        names = [path.name for path in frames.render_patrol(folder, 4, 10.0, seed=0).paths]
        assert names == [f"frame-{index:06d}.color.jpg" for index in (360, 363, 366, 369)]
        assert len(frames.render_patrol(folder, 4, 10.0, seed=0)) == 4 and len(drawn) == 1
        assert len(frames.render_patrol(folder, 2, 10.0, seed=0)) == 2 and len(drawn) == 1
        assert len(frames.render_patrol(folder, 2, 15.0, seed=0)) == 2 and len(drawn) == 2
        assert len(frames.render_patrol(folder, 2, 15.0, seed=1)) == 2 and drawn[2:] == [(2, 1)]

    @pytest.mark.parametrize("stranger", ["bundle.json", "thesis/chapter.txt"])
    def test_what_is_not_the_patrol_s_is_left_alone(self, tmp_path: Path, stranger: str) -> None:
        folder = tmp_path / "patrol"
        (folder / stranger).parent.mkdir(parents=True)
        (folder / stranger).write_text("years of work")
        (folder / "frame-000000.color.jpg").write_text("an old frame")
        with pytest.raises(ConfigError, match=f"{stranger.split('/')[0]} lies in it"):
            frames.render_patrol(folder, 2, 10.0, seed=0, workers=1)
        assert (folder / stranger).read_text() == "years of work" and (folder / "frame-000000.color.jpg").exists()

    def test_a_frame_has_its_truth_beside_it(self, tmp_path: Path) -> None:
        frame_set = frames.render_patrol(tmp_path / "patrol", 2, 10.0, seed=0, workers=1)
        sample = frame_set.load(1)
        assert sample.name == "frame-000363" and sample.rgb.shape == (240, 320, 3)
        assert sample.depth.shape == sample.segmentation.shape == (240, 320) and sample.place is not None
        assert frame_set.registered and frame_set.info["classes"][0] == "floor"


class TestAssemble:
    def test_results_find_their_frames(self) -> None:
        header = Header(stamp=Time(sec=1, nanosec=0))
        labels, depth = np.eye(6, 8, dtype=np.uint8), np.full((6, 8), 2.5, np.float32)
        ranking = Classification(header=header, names=["hall", "lab"], scores=[0.75, 0.25])
        log = Log(images={10**9: 1})
        log.results = {
            "segmentation": [(10**9 + 50_000_000, serialize_message(label_image(labels, header)))],
            "depth": [(10**9 + 60_000_000 + i, serialize_message(depth_image(depth + i, header))) for i in range(2)],
            "classification": [(10**9 + 40_000_000, serialize_message(ranking))],
        }
        assert log.results_of(TASKS) == {10**9: set(TASKS)}
        (frame,) = assemble(log, {1: 7}, lambda size: size)
        assert frame.index == 7 and frame.completed_ms(TASKS) == 60.0
        np.testing.assert_array_equal(frame.results["segmentation"], labels)
        np.testing.assert_array_equal(frame.results["depth"], depth)
        assert frame.results["classification"] == [("hall", 0.75), ("lab", 0.25)]

    def test_a_result_of_no_frame_is_left_out(self) -> None:
        log = Log(results={"classification": [(5, serialize_message(Classification()))]})
        assert assemble(log, {}, lambda size: size) == []


class TestSystem:
    def test_the_parameter_file_says_what_the_nodes_take(self) -> None:
        system = System.load(config_file("demo.yaml"))
        assert set(system.parameters) == {CAMERA, ENCODER, EDGE_NODE, RESULT, LINK}
        for node, values in system.parameters.items():
            module = import_module(f"nepi_ros.nodes.{node.rpartition('/')[2]}")
            table = {parameter.name: parameter for parameter in module.PARAMETERS}
            for name, value in values.items():
                table[name].accept(value)
        assert system.value(ENCODER, "deadline_ms") == system.value(RESULT, "deadline_ms")
        assert system.value(ENCODER, "bundle") == system.value(EDGE_NODE, "bundle")

    def test_the_command_line_wins_and_text_stays_text(self) -> None:
        system = System.load(config_file("demo.yaml"))
        changed = system.with_overrides({ENCODER: {"deadline_ms": 80.0, "bundle": "007"}, LINK: {"up_kbps": None}})
        assert changed.value(ENCODER, "deadline_ms") == 80.0
        assert changed.value(LINK, "up_kbps") == system.value(LINK, "up_kbps")
        command = changed.spec(ENCODER).command
        assert 'bundle:="007"' in command and "__ns:=/robot" in command
        with pytest.raises(ConfigError, match="needs the parameter nonsense of /robot/encoder_node"):
            changed.value(ENCODER, "nonsense")

    @pytest.mark.parametrize("text", ["", "just text", "/a/node: {}", "[1, 2", "/a/node: {ros__parameters: 3}"])
    def test_what_is_no_parameter_file(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "demo.yaml").write_text(text)
        with pytest.raises(ConfigError, match=r"demo\.yaml: not a ROS parameter file"):
            System.load(tmp_path / "demo.yaml")


def demo(*arguments: str | Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "nepi_ros.cli", "demo", *map(str, arguments)]
    root = Path(__file__).resolve().parent.parent
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def read_until(stream: IO[str], words: str) -> str:
    text = ""
    while words not in text and (character := stream.read(1)):
        text += character
    return text


def children(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return found


def child_running(process: subprocess.Popen, module: str) -> int | None:
    for pid in children(process.pid):
        if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


class TestDemo:
    def test_a_short_run_from_frames_to_report(self, bundle: Bundle, tmp_path: Path) -> None:
        write_frames(tmp_path / "frames", 30)
        out = tmp_path / "out"
        options = ("--frames-dir", tmp_path / "frames", "--bundle", bundle.path, "--out", out, "--rate", "10")
        process = demo(*options, "--frames", 25, "--deadline-ms", "900", "--tasks", "depth,segmentation")
        printed, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        summary = json.loads((out / "summary.json").read_text())
        assert summary["frames_sent"] == 25 and summary["tasks"] == ["segmentation", "depth"]
        assert summary["frames_with_results"] >= 15 and summary["deadline_hit_rate"] >= 0.6
        assert summary["deadline_ms"] == 900 and summary["rate_hz"] == 10
        assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p95"] <= summary["latency_ms"]["p99"]
        assert 0 < summary["epitome_bytes_mean"] < summary["wire_bytes_mean"] < summary["jpeg_q90_bytes_mean"]
        assert set(summary["accuracy"]) == set(summary["agreement"]) == {"segmentation", "depth"}
        assert min(summary["agreement"].values()) > 0.8
        assert summary["bundle"] == {"name": "tiny", "id": f"{bundle.id:016x}"}
        assert 0 < summary["nodes"]["encoder_node"]["memory_mb"] < 600
        assert "frames sent" in printed and "playing" in errors
        indices = [line.split(",")[1] for line in (out / "frames.csv").read_text().splitlines()[1:]]
        assert indices == [str(i) for i in range(25)]
        assert cv2.imread(str(out / "overlay.png")) is not None
        assert cv2.imread(str(out / "link.png")).shape == (HEIGHT, WIDTH, 3)
        assert Trace.load(out / "cellular-0.up").mean_kbps < Trace.load(out / "cellular-0.down").mean_kbps
        with av.open(str(out / "overlay.mp4")) as film:
            assert len(list(film.decode(video=0))) == 25

    @pytest.mark.parametrize("how", ["interrupted", "terminated", "a node dies"])
    def test_an_early_end_leaves_nothing_running(self, bundle: Bundle, tmp_path: Path, how: str) -> None:
        write_frames(tmp_path / "frames", 10)
        options = ("--frames-dir", tmp_path / "frames", "--bundle", bundle.path, "--out", tmp_path / "out")
        process = demo(*options, "--rate", "0.5")
        wait_for(lambda: child_running(process, "image_source_node"), 60)
        nodes = children(process.pid)
        if how != "interrupted":  # that may also happen while they come up
            assert "playing" in read_until(process.stderr, "playing")
        assert len(nodes) == 5
        if how == "a node dies":
            os.kill(child_running(process, "edge_node"), signal.SIGKILL)
        else:
            process.send_signal(signal.SIGINT if how == "interrupted" else signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == {"interrupted": 130, "terminated": 143, "a node dies": 1}[how]
        wait_for(lambda: all(gone(pid) for pid in nodes), 5)
        if how == "a node dies":
            assert "nepi demo: edge_node was ended by SIGKILL" in errors and "bundle tiny" in errors

    def test_an_interrupt_that_got_lost_is_raised_again(self) -> None:
        with Ending() as ending:
            ending.check()
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                ending.check()

    def test_a_link_too_thin_for_any_frame_is_a_failure(self, bundle: Bundle, tmp_path: Path) -> None:
        write_frames(tmp_path / "frames", 3)
        options = ("--frames-dir", tmp_path / "frames", "--bundle", bundle.path, "--out", tmp_path / "out")
        process = demo(*options, "--capacity-kbps", "2")
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1 and "no frame came back" in errors
        summary = json.loads((tmp_path / "out/summary.json").read_text())
        assert summary["frames_sent"] == 3 and summary["frames_with_results"] == 0
        assert summary["deadline_hit_rate"] == 0.0

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (("--bundle", "nowhere"), "nowhere: no bundle of that path or name"),
            (("--frames-dir", "nowhere"), "nowhere: no such folder of frames"),
            (("--trace", "nowhere"), "nowhere: the trace cannot be read"),
            (("--trace", "nowhere.down"), "nowhere.up: the trace cannot be read"),
        ],
    )
    def test_what_the_user_can_put_right(
        self, bundle: Bundle, tmp_path: Path, options: tuple[str, ...], reason: str
    ) -> None:
        write_frames(tmp_path / "frames", 2)
        given = {"--bundle": str(bundle.path), "--frames-dir": str(tmp_path / "frames"), "--out": str(tmp_path / "out")}
        given |= dict([options])
        process = demo(*(word for pair in given.items() for word in pair))
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1 and "nepi demo: " in errors and reason in errors and "Traceback" not in errors
