# SPDX-License-Identifier: Apache-2.0
"""The demo: its figures, its pictures, its supervision of processes, and a short run of the whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from nepi_ros.demo.film import HEIGHT, WIDTH, write_film
from nepi_ros.demo.pictures import Legend, choose, depth_range, write_overlay
from nepi_ros.demo.processes import NodeDiedError, NodeSpec, Supervisor
from nepi_ros.demo.record import FrameRecord
from nepi_ros.demo.summary import Quality, summarise, table

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
