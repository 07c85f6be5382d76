# SPDX-License-Identifier: Apache-2.0
"""The demo's figures and pictures."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from demo_help import TASKS, write_frames
from tiny_bundle import CLASSES, PLACES, make_tiny_bundle, tiny_frames

from nepi_ros.bundle import Bundle
from nepi_ros.codec import TargetNetworks, untouched
from nepi_ros.datasets import FrameSet
from nepi_ros.demo.canvas import BAD, GOOD
from nepi_ros.demo.evaluate import evaluate, jpeg_bytes
from nepi_ros.demo.film import HEIGHT, WIDTH, write_film
from nepi_ros.demo.link_picture import BAND, LinkRun, write_link_picture
from nepi_ros.demo.links import carried, made
from nepi_ros.demo.pictures import Legend, choose, depth_range, write_overlay
from nepi_ros.demo.record import FrameRecord, Status
from nepi_ros.demo.summary import Quality, summarise, table
from nepi_ros.letterbox import Letterbox
from nepi_ros.nodes.results import over_source
from nepi_ros.tasks import REGISTRY
from nepi_ros.tasks.classification import ranked

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
        assert depth_range([FrameRecord(0)]) == (0.1, 1.0)

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

    def test_one_class_more_than_the_bundle_has_is_nothing(self, bundle: Bundle, tmp_path: Path) -> None:
        """As in CamVid, whose last class is void."""
        frames = write_frames(tmp_path / "frames", 1)
        label = tmp_path / "frames" / f"{frames.entries[0].name}.segmentation.png"
        truth = cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
        truth[:20] = len(CLASSES)
        cv2.imwrite(str(label), truth)
        frames = FrameSet.open(tmp_path / "frames")
        quality = evaluate([self.answered(bundle, frames, 0)], frames, bundle, TASKS)
        assert quality.accuracy["segmentation"] is not None
        truth[:20] = len(CLASSES) + 1
        cv2.imwrite(str(label), truth)
        quality = evaluate([self.answered(bundle, frames, 0)], frames, bundle, TASKS)
        assert f"has class {len(CLASSES) + 1}" in quality.notes["accuracy.segmentation"]

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


class TestLinkPicture:
    def drawn(self, path: Path, frames: list[FrameRecord], statuses: list[Status]) -> np.ndarray:
        rates = carried({"up_trace": "", "up_kbps": 500.0})
        write_link_picture(path, LinkRun("tiny", TASKS, 150.0, frames, statuses, rates))
        return cv2.imread(str(path))[..., ::-1]

    def test_a_late_frame_and_one_not_sent_show(self, tmp_path: Path) -> None:
        nan = float("nan")
        statuses = [Status(k * 10**8, *((400.0, 300.0, 600.0) if k > 3 else (nan, nan, nan)), 900) for k in range(20)]
        frames = [record(k * 10**8, (80.0, 90.0, 70.0)) for k in range(20)]
        good = self.drawn(tmp_path / "good.png", frames, statuses)
        frames[5] = record(5 * 10**8, (80.0, 290.0, 70.0))
        frames[7] = FrameRecord(7 * 10**8, 7)
        bad = self.drawn(tmp_path / "bad.png", frames, statuses)
        red, green = (lambda picture, colour=c: int((picture == colour).all(-1).sum()) for c in (BAD, GOOD))
        assert red(bad) > red(good) and green(bad) < green(good)

    def test_an_estimate_shows_where_there_is_one(self, tmp_path: Path) -> None:
        frames, nan = [record(k * 10**8, (80.0, 90.0, 70.0)) for k in range(9)], float("nan")
        for name, known in (("known", (400.0, 300.0, 600.0)), ("unknown", (nan, nan, nan))):
            picture = self.drawn(tmp_path / f"{name}.png", frames, [Status(k * 10**8, *known, 900) for k in range(9)])
            assert (picture == BAND).all(-1).any() == (name == "known")

    def test_without_anything_sent_or_told(self, tmp_path: Path) -> None:
        assert self.drawn(tmp_path / "link.png", [FrameRecord(5)], []).any()

    def test_the_same_seed_makes_the_same_link(self, tmp_path: Path) -> None:
        links = [made(tmp_path / name, 5.0, seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
        first, again, other = (link.up.read_bytes() for link in links)
        assert first == again != other
        assert carried({"up_trace": str(links[0].up)})(0.0, 5.0) > 0
