# SPDX-License-Identifier: Apache-2.0
"""The demo: its figures, its pictures, its supervision of processes, and a short run of the whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import IO

import av
import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.serialization import serialize_message
from std_msgs.msg import Header
from tiny_bundle import CLASSES, PLACES, make_tiny_bundle, tiny_frames

from nepi_ros.bundle import Bundle
from nepi_ros.codec import TargetNetworks, untouched
from nepi_ros.datasets import FrameSet
from nepi_ros.demo.domain import environment, isolated_domain
from nepi_ros.demo.evaluate import evaluate, jpeg_bytes
from nepi_ros.demo.film import HEIGHT, WIDTH, write_film
from nepi_ros.demo.frames import identify
from nepi_ros.demo.observer import Log, assemble, fingerprint
from nepi_ros.demo.pictures import Legend, choose, depth_range, write_overlay
from nepi_ros.demo.processes import NodeDiedError, NodeSpec, Supervisor
from nepi_ros.demo.record import FrameRecord
from nepi_ros.demo.summary import Quality, summarise, table
from nepi_ros.demo.system import CAMERA, EDGE_NODE, ENCODER, LINK, RESULT, System, config_file
from nepi_ros.errors import ConfigError
from nepi_ros.letterbox import Letterbox
from nepi_ros.msg import Classification, Epitome
from nepi_ros.nodes.results import over_source
from nepi_ros.result_image import depth_image, label_image
from nepi_ros.tasks import REGISTRY
from nepi_ros.tasks.classification import ranked

TASKS = ("segmentation", "depth", "classification")
QUALITY = Quality(
    accuracy={"segmentation": 0.7123456, "depth": 0.9, "classification": None},
    agreement={"segmentation": 0.95, "depth": 0.98, "classification": 1.0},
    target_accuracy={"segmentation": 0.73, "depth": 0.92, "classification": None},
    jpeg_q90_bytes_mean=40000.0,
    frames=3,
    notes={"accuracy.classification": "the folder has no truth for it"},
)


def record(stamp: int, latencies: tuple[float, ...], size: int = 500) -> FrameRecord:
    """A frame with one latency per task, in the order of TASKS, and plausible results."""
    results = {
        "segmentation": np.tile(np.arange(4, dtype=np.uint8), (60, 20)),
        "depth": np.linspace(0.5, 4.0, 60 * 80, dtype=np.float32).reshape(60, 80),
        "classification": [("office", 0.75), ("hall", 0.25)],
    }
    back = TASKS[: len(latencies)]
    return FrameRecord(
        stamp, stamp, size, size + 100, 4, dict(zip(back, latencies, strict=True)), {t: results[t] for t in back}
    )


def legend(tasks: tuple[str, ...] = TASKS) -> Legend:
    palette = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [200, 200, 40]], np.uint8)
    return Legend("tiny", tasks, 150.0, ("floor", "wall", "door", "shelf"), palette, 0.5, 4.0, 40000.0)


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (120, 160, 3), np.uint8)


class TestSummary:
    def test_figures(self) -> None:
        frames = [
            record(0, (80.0, 90.0, 70.0), 400),
            record(1, (80.0, 200.0, 70.0), 600),  # its depth is late
            record(2, (80.0,), 500),  # its depth and class never came
            FrameRecord(3),  # was never sent
        ]
        summary = summarise(frames, TASKS, 150.0, QUALITY)
        assert summary["frames_sent"] == 4
        assert summary["frames_with_results"] == 2
        assert summary["deadline_hit_rate"] == 0.25
        assert (summary["frames_in_time"], summary["frames_late"], summary["frames_encoded"]) == (1, 1, 3)
        assert summary["latency_ms"] == {"p50": 145.0, "p95": 194.5, "p99": 198.9}
        assert (summary["epitome_bytes_mean"], summary["wire_bytes_mean"]) == (500.0, 600.0)
        assert summary["jpeg_q90_to_epitome"] == 80.0
        assert summary["accuracy"] == {"segmentation": 0.7123, "depth": 0.9, "classification": None}
        assert summary["notes"] == {"accuracy.classification": "the folder has no truth for it"}

    def test_exactly_at_the_deadline_is_in_time(self) -> None:
        assert summarise([record(0, (150.0, 10.0, 10.0))], TASKS, 150.0, QUALITY)["deadline_hit_rate"] == 1.0

    def test_nothing_came(self) -> None:
        summary = summarise([FrameRecord(0)], TASKS, 150.0, Quality({}, {}, {}, None, 0))
        assert summary["frames_with_results"] == 0 and summary["deadline_hit_rate"] == 0.0
        assert summary["latency_ms"] == {"p50": None, "p95": None, "p99": None}
        assert summary["epitome_bytes_mean"] is None
        assert "frames sent" in table(summary)

    def test_table_is_a_box(self) -> None:
        lines = table(summarise([record(0, (80.0, 90.0, 70.0))], TASKS, 150.0, QUALITY)).splitlines()
        box = lines[: next(i for i, line in enumerate(lines) if line.startswith("└")) + 1]
        assert len({len(line) for line in box}) == 1


class TestPictures:
    def test_six_of_the_complete_frames_are_chosen(self) -> None:
        frames = [record(i, (80.0, 90.0, 70.0) if i % 2 else (80.0,)) for i in range(20)]
        assert choose(frames, TASKS) == [1, 5, 9, 11, 15, 19]
        assert choose(frames[:3], TASKS) == [0, 1, 2]
        assert choose([], TASKS) == []

    def test_depth_range_without_depth(self) -> None:
        assert depth_range([FrameRecord(0)]) == (0.0, 1.0)

    @pytest.mark.parametrize("tasks", [TASKS, ("depth",), ("classification",)])
    def test_overlay_decodes(self, tmp_path: Path, tasks: tuple[str, ...]) -> None:
        frames = [(picture(i), record(i, (80.0, 90.0, 70.0))) for i in range(5)] + [(picture(5), FrameRecord(5))]
        write_overlay(tmp_path / "overlay.png", frames, legend(tasks))
        image = cv2.imread(str(tmp_path / "overlay.png"))
        rows = 1 + len({"segmentation", "depth"} & set(tasks))
        assert image.shape[1] > 6 * 320 and image.shape[0] > rows * 240

    @pytest.mark.parametrize("tasks", [TASKS, ("classification",)])
    def test_film_decodes_at_its_rate(self, tmp_path: Path, tasks: tuple[str, ...]) -> None:
        frames = [(picture(i), record(i, (80.0, 160.0, 70.0) if i else ())) for i in range(5)]
        write_film(tmp_path / "overlay.mp4", frames, legend(tasks), 10.0)
        with av.open(str(tmp_path / "overlay.mp4")) as film:
            stream = film.streams.video[0]
            assert stream.codec_context.name == "h264" and stream.average_rate == 10
            assert [(f.width, f.height) for f in film.decode(stream)] == [(WIDTH, HEIGHT)] * 5


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


def write_frames(folder: Path, count: int, classes: Sequence[str] = CLASSES) -> FrameSet:
    """Frames with truth in the kitchen layout, registered."""
    folder.mkdir()
    for i, rgb in enumerate(tiny_frames(count, 160, 120)):
        stem = f"frame-{i:06d}"
        labels = np.full((120, 160), i % len(CLASSES), np.uint8)
        labels[:10] = 3
        cv2.imwrite(str(folder / f"{stem}.color.png"), rgb[..., ::-1])
        cv2.imwrite(str(folder / f"{stem}.depth.png"), np.full((120, 160), 1500 + i, np.uint16))
        cv2.imwrite(str(folder / f"{stem}.segmentation.png"), labels)
    rows = "".join(f"frame-{i:06d},{i % len(PLACES)}\n" for i in range(count))
    (folder / "places.csv").write_text("frame,place\n" + rows)
    about = {"registered": True, "classes": list(classes), "places": list(PLACES)}
    (folder / "set.json").write_text(json.dumps(about))
    return FrameSet.open(folder)


class TestEvaluate:
    def test_results_of_the_target_networks_agree_with_them(self, bundle: Bundle, tmp_path: Path) -> None:
        frames = write_frames(tmp_path / "frames", 4)
        records = [self.answered(bundle, frames, i) for i in range(4)]
        quality = evaluate([*records, FrameRecord(99)], frames, bundle, TASKS)
        assert quality.frames == 4 and quality.notes == {}
        assert quality.agreement == {"segmentation": 1.0, "depth": 1.0, "classification": 1.0}
        assert quality.accuracy == quality.target_accuracy
        assert all(0 <= value <= 1 for value in quality.accuracy.values())
        sizes = [jpeg_bytes(frames.load(i).rgb) for i in range(4)]
        assert quality.jpeg_q90_bytes_mean == pytest.approx(np.mean(sizes), abs=0.1)

    def test_known_errors_are_counted(self, bundle: Bundle, tmp_path: Path) -> None:
        frames = write_frames(tmp_path / "frames", 2)
        first, second = (self.answered(bundle, frames, i) for i in range(2))
        truth = frames.load(0)
        first.results["segmentation"] = cv2.resize(truth.segmentation, (80, 60), interpolation=cv2.INTER_NEAREST)
        first.results["depth"] = np.full((60, 80), 1.5, np.float32)
        first.results["depth"][:, :20] = 3.0
        first.results["classification"] = [(PLACES[0], 0.9), (PLACES[1], 0.1)]
        del second.results["segmentation"], second.results["depth"]
        second.results["classification"] = [(PLACES[0], 0.9)]
        quality = evaluate([first, second], frames, bundle, TASKS)
        assert quality.accuracy == {"segmentation": 1.0, "depth": 0.75, "classification": 0.5}

    def test_no_results(self, bundle: Bundle, tmp_path: Path) -> None:
        quality = evaluate([FrameRecord(0, 0)], write_frames(tmp_path / "frames", 1), bundle, TASKS)
        assert quality.agreement == dict.fromkeys(TASKS) and quality.accuracy == dict.fromkeys(TASKS)
        assert quality.notes["agreement.depth"] == "no frame came back"
        assert quality.jpeg_q90_bytes_mean > 0

    def test_a_folder_of_mere_images_has_no_truth(self, bundle: Bundle, tmp_path: Path) -> None:
        for i, rgb in enumerate(tiny_frames(2)):
            cv2.imwrite(str(tmp_path / f"{i}.png"), rgb[..., ::-1])
        frames = FrameSet.open(tmp_path)
        quality = evaluate([self.answered(bundle, frames, i) for i in range(2)], frames, bundle, TASKS)
        assert quality.accuracy == dict.fromkeys(TASKS)
        assert quality.agreement["segmentation"] == 1.0
        assert quality.notes["accuracy.depth"] == f"{tmp_path} has no truth for it"

    def test_truth_with_other_classes_is_not_compared(self, bundle: Bundle, tmp_path: Path) -> None:
        frames = write_frames(tmp_path / "frames", 1, classes=("sky", "road"))
        quality = evaluate([self.answered(bundle, frames, 0)], frames, bundle, TASKS)
        assert quality.accuracy["segmentation"] is None and quality.accuracy["depth"] is not None
        assert "has the classes sky, road" in quality.notes["accuracy.segmentation"]

    @staticmethod
    def answered(bundle: Bundle, frames: FrameSet, index: int) -> FrameRecord:
        """A frame for which the edge's answer is the target networks' on the untouched image."""
        rgb = frames.load(index).rgb
        source = rgb.shape[1::-1]
        images = untouched(Letterbox(source, bundle.input_size).apply(rgb)[None])
        outputs = TargetNetworks(bundle, TASKS).run(images)
        result = FrameRecord(index, index)
        for task in ("segmentation", "depth"):
            result.results[task] = over_source(task, outputs[task][0], bundle, source, 80)
        spec = bundle.tasks["classification"]
        scores = REGISTRY["classification"].result(outputs["classification"][0], (0, 0), spec)
        result.results["classification"] = ranked(scores, spec.classes, 3)
        return result


class TestIdentify:
    def test_by_content_in_either_channel_order(self, tmp_path: Path) -> None:
        paths = write_frames(tmp_path / "frames", 3).paths
        indices = identify(paths)
        for i, path in enumerate(paths):
            bgr = cv2.imread(str(path))
            for content in (bgr.tobytes(), bgr[..., ::-1].tobytes()):
                assert indices[fingerprint(content)] == i

    def test_a_missed_image_shifts_nothing(self) -> None:
        log = Log(images={10: 0xA, 30: 0xC, 40: 0xD, 70: 0xE})
        epitome = Epitome(frame_layers=3)
        for stamp in (10, 20, 30, 40, 70):
            epitome.header.stamp.nanosec = stamp
            log.epitomes.append(serialize_message(epitome))
        records = assemble(log, {0xA: 0, 0xC: 2, 0xD: 3, 0xE: 6}, lambda size: size + 160)
        assert [(r.stamp_ns, r.index) for r in records] == [(10, 0), (20, 1), (30, 2), (40, 3), (70, 6)]
        assert all(r.wire_bytes == r.epitome_bytes + 160 and r.layers == 3 for r in records)


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


def python(name: str, code: str, **options: bool) -> NodeSpec:
    return NodeSpec(name, (sys.executable, "-c", code), **options)


SLEEP = "import time; print('up', flush=True); time.sleep(60)"


def wait_for(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


class TestSupervisor:
    def test_a_dying_child_is_explained_by_its_last_lines(self, tmp_path: Path) -> None:
        with Supervisor(tmp_path / "logs") as nodes:
            nodes.start(python("steady", SLEEP))
            nodes.start(python("weak", "import sys; print('no bundle'); sys.exit(3)"))
            wait_for(lambda: nodes.finished("weak"))
            with pytest.raises(NodeDiedError, match=r"(?s)weak ended by itself with status 3.*weak\.log.*no bundle"):
                nodes.check()
            steady = nodes.pids["steady"]
        assert gone(steady)

    def test_one_that_may_finish_is_no_error_unless_it_fails(self, tmp_path: Path) -> None:
        with Supervisor(tmp_path) as nodes:
            nodes.start(python("source", "pass", may_finish=True))
            wait_for(lambda: nodes.finished("source"))
            nodes.check()
            nodes.start(python("source2", "raise SystemExit(1)", may_finish=True))
            wait_for(lambda: nodes.finished("source2"))
            with pytest.raises(NodeDiedError, match="source2"):
                nodes.check()

    def test_a_killed_child_is_named_with_its_signal(self, tmp_path: Path) -> None:
        with Supervisor(tmp_path) as nodes:
            nodes.start(python("node", SLEEP))
            os.kill(nodes.pids["node"], signal.SIGSEGV)
            wait_for(lambda: nodes.finished("node"))
            with pytest.raises(NodeDiedError, match="node was ended by SIGSEGV"):
                nodes.check()

    def test_a_deaf_child_and_its_own_children_are_stopped(self, tmp_path: Path) -> None:
        code = (
            "import signal, subprocess, sys, time\n"
            "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
            "print(child.pid, flush=True); time.sleep(60)"
        )
        nodes = Supervisor(tmp_path)
        nodes.start(python("deaf", code))
        wait_for(lambda: (tmp_path / "deaf.log").read_text().strip())
        nodes.stop(grace_s=0.3)
        assert gone(nodes.pids["deaf"])
        wait_for(lambda: gone(int((tmp_path / "deaf.log").read_text().split()[0])))

    def test_children_end_with_a_killed_parent(self, tmp_path: Path) -> None:
        code = (
            "import sys, time; from pathlib import Path; from nepi_ros.demo.processes import *\n"
            f"nodes = Supervisor(Path({str(tmp_path)!r}))\n"
            f"nodes.start(NodeSpec('node', (sys.executable, '-c', {SLEEP!r})))\n"
            "print(nodes.pids['node'], flush=True); time.sleep(60)"
        )
        root = Path(__file__).resolve().parent.parent
        parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root)
        with parent:
            child = int(parent.stdout.readline())
            parent.kill()
        wait_for(lambda: gone(child))

    def test_a_command_that_does_not_exist(self, tmp_path: Path) -> None:
        with Supervisor(tmp_path) as nodes, pytest.raises(NodeDiedError, match="cannot start /no/such/program"):
            nodes.start(NodeSpec("ghost", ("/no/such/program",)))

    def test_usage_is_measured_and_kept(self, tmp_path: Path) -> None:
        with Supervisor(tmp_path) as nodes:
            nodes.start(python("worker", "import time; print('up', flush=True); time.sleep(60)"))
            wait_for(lambda: (tmp_path / "worker.log").read_text())
            running = nodes.usage()["worker"]
            assert 3 < running.memory_mb < 200 and running.cpu_s >= 0
            nodes.stop()
            assert nodes.usage()["worker"] == running


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
        changed = system.with_overrides({ENCODER: {"deadline_ms": 80.0, "bundle": "007", "capacity_kbps": None}})
        assert changed.value(ENCODER, "deadline_ms") == 80.0
        assert changed.value(ENCODER, "capacity_kbps") == system.value(ENCODER, "capacity_kbps")
        command = changed.spec(ENCODER).command
        assert 'bundle:="007"' in command and "__ns:=/robot" in command
        with pytest.raises(ConfigError, match="needs the parameter nonsense of /robot/encoder_node"):
            changed.value(ENCODER, "nonsense")

    @pytest.mark.parametrize("text", ["", "just text", "/a/node: {}", "[1, 2", "/a/node: {ros__parameters: 3}"])
    def test_what_is_no_parameter_file(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "demo.yaml").write_text(text)
        with pytest.raises(ConfigError, match=r"demo\.yaml: not a ROS parameter file"):
            System.load(tmp_path / "demo.yaml")


def test_domains_are_of_ones_own() -> None:
    before = dict(os.environ)
    with isolated_domain() as one, isolated_domain() as another:
        assert one["ROS_DOMAIN_ID"] != another["ROS_DOMAIN_ID"]
        with environment({**one, "NEPI_TEST_VARIABLE": "x"}):
            assert os.environ["ROS_DOMAIN_ID"] == one["ROS_DOMAIN_ID"]
    assert dict(os.environ) == before


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
        assert summary["frames_with_results"] >= 20 and summary["deadline_hit_rate"] >= 0.8
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
        assert all(gone(pid) for pid in nodes)
        if how == "a node dies":
            assert "nepi demo: edge_node was ended by SIGKILL" in errors and "bundle tiny" in errors

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
        assert process.returncode == 1 and f"nepi demo: {reason}" in errors and "Traceback" not in errors
