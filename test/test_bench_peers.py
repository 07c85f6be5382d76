# SPDX-License-Identifier: Apache-2.0
"""Every method codes a frame to something like it, larger codes are better, and quantisation tables arrive."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny_bundle import make_tiny_bundle

pytest.importorskip("matplotlib")

from bench_set import HEIGHT, WIDTH, write_set

from nepi_ros.bench.frames import BenchFrames, Frame, load_frames
from nepi_ros.bench.judge import Judge
from nepi_ros.bench.peers import PEERS, VIDEO, Peer, make_peers
from nepi_ros.bench.peers import video as video_module
from nepi_ros.bench.peers.grace import Grace, measure_sensitivity, pattern, quantisation
from nepi_ros.bench.peers.video import VideoPeer, without_units
from nepi_ros.bench.peers.yuv420 import from_planes, to_planes
from nepi_ros.bundle import Bundle
from nepi_ros.codec import Encoder, PictureFormat, TargetNetworks, untouched
from nepi_ros.letterbox import Letterbox

FLAT = [[1.0] * 64] * 3
TABLES = {"segmentation": {"4:2:0": FLAT, "4:4:4": FLAT}}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny", width=WIDTH, height=HEIGHT, film=True)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> BenchFrames:
    return load_frames(write_set(tmp_path_factory.mktemp("set") / "val", bundle, 6), bundle)


def peer(name: str, bundle: Bundle) -> Peer:
    made = make_peers([name], bundle, bundle.path, TABLES, is_video=True)[name]
    if made.problem():
        pytest.skip(made.problem())
    return made


def error(frame: Frame, image: np.ndarray) -> float:
    assert image.shape == (3, HEIGHT, WIDTH) and image.dtype == np.float32
    return float(np.sqrt(np.mean((image - untouched(frame.image[None])[0]) ** 2)))


@pytest.mark.parametrize("name", PEERS)
def test_more_bytes_are_a_better_picture(name: str, bundle: Bundle, frames: BenchFrames) -> None:
    method, run = peer(name, bundle), frames.frames[:3]
    settings = method.settings()
    coarse, fine = (list(method.code(run, setting)) for setting in (settings[0], settings[-1]))
    assert sum(c.size for c in coarse) < sum(c.size for c in fine)
    assert np.mean([error(f, c.view.image) for f, c in zip(run, coarse, strict=True)]) > np.mean(
        [error(f, c.view.image) for f, c in zip(run, fine, strict=True)]
    )
    assert max(error(f, c.view.image) for f, c in zip(run, fine, strict=True)) < 0.08
    assert all(c.size < c.wire < c.size + 300 * (1 + c.size // 1000) for c in fine)


@pytest.mark.parametrize("back", [1, 3])
def test_given_an_earlier_frame_the_same_is_seen_in_fewer_bytes(
    back: int, bundle: Bundle, frames: BenchFrames
) -> None:
    run = [frames.frames[0]] * 6
    for setting in peer(f"epitome_{back}_back", bundle).settings():
        alone = list(peer("epitome", bundle).code(run, setting))
        given = list(peer(f"epitome_{back}_back", bundle).code(run, setting))
        assert [c.size for c in given[:back]] == [c.size for c in alone[:back]]
        assert all(g.size < a.size and g.wire < a.wire for g, a in zip(given[back:], alone[back:], strict=True))
        assert all(np.array_equal(g.view.image, a.view.image) for g, a in zip(given, alone, strict=True))


def test_held_frames_cost_nothing_and_those_between_are_coded_as_if_there_were_no_others(
    bundle: Bundle, frames: BenchFrames
) -> None:
    coarse = np.random.default_rng(3).integers(0, 256, (12, 20, 3), np.uint8)
    wide = cv2.resize(coarse, (WIDTH + 32, HEIGHT), interpolation=cv2.INTER_CUBIC)
    pan = [replace(frames.frames[0], image=np.ascontiguousarray(wide[:, 2 * i : 2 * i + WIDTH])) for i in range(8)]
    run = [*pan, frames.frames[0]]
    held, inner = peer("epitome_held", bundle), peer("epitome_1_back", bundle)
    assert {setting["hold"] for setting in held.settings()} == {2, 5, 9}
    coded = list(held.code(run, {"layers": len(bundle.layers), "hold": 2}))
    sent = [0, 3, 6, 8]
    for place, alone in zip(sent, inner.code([run[i] for i in sent], {"layers": len(bundle.layers)}), strict=True):
        assert (coded[place].size, coded[place].wire, coded[place].motion) == (alone.size, alone.wire, None)
        assert np.array_equal(coded[place].view.image, alone.view.image)
    judge = Judge(bundle)
    for place in (1, 2, 4, 5, 7):
        last, now = coded[place // 3 * 3], coded[place]
        assert (now.size, now.wire) == (0, 0) and now.view is last.view
        assert now.motion.matrix[0, 2] == pytest.approx(-2 * (place % 3) / WIDTH, abs=0.006)
        before, after = judge.results(run[place], last.view), judge.results(run[place], now.view, now.motion)
        for task in bundle.tasks:
            moved = before[task] if task == "classification" else now.motion.moved(before[task])
            assert np.array_equal(after[task], moved)


def test_a_bundle_that_codes_frames_by_themselves_alone_says_so(tmp_path) -> None:
    bundle = make_tiny_bundle(tmp_path / "tiny", width=WIDTH, height=HEIGHT)
    method = make_peers(["epitome_1_back"], bundle, None, {}, is_video=True)["epitome_1_back"]
    assert "codes frames by themselves alone; train it on frames of a video" in method.problem()


@pytest.mark.parametrize("name", PEERS)
def test_a_frame_coded_twice_is_the_same(name: str, bundle: Bundle, frames: BenchFrames) -> None:
    method, run = peer(name, bundle), frames.frames[:2]
    setting = method.settings()[len(method.settings()) // 2]
    first, second = list(method.code(run, setting)), list(method.code(run, setting))
    assert [c.size for c in first] == [c.size for c in second]
    assert all(np.array_equal(a.view.image, b.view.image) for a, b in zip(first, second, strict=True))


def test_what_goes_ahead_of_a_picture_counts(tmp_path: Path, frames: BenchFrames) -> None:
    pictures = [PictureFormat(WIDTH, HEIGHT, 97, True)]
    pictured = make_tiny_bundle(tmp_path / "pictured", width=WIDTH, height=HEIGHT, pictures=pictures)
    found = make_peers(["epitome"], pictured, None, {}, is_video=True)["epitome"]
    assert found.settings()[-1] == {"layers": pictured.layer_count}
    (coded,) = found.code(frames.frames[:1], found.settings()[-1])
    encoded = Encoder(pictured).encode(frames.frames[0].image)
    ahead, picture = encoded.segments(pictured.layer_count, 10**6)
    assert coded.size == len(ahead.stream) + len(picture.stream) > len(pictures[0].write(frames.frames[0].image))
    assert error(frames.frames[0], coded.view.image) < 0.01


def test_bars_are_not_coded(bundle: Bundle, frames: BenchFrames) -> None:
    square = frames.frames[0].image[:, :HEIGHT].copy()
    box = Letterbox((HEIGHT, HEIGHT), (WIDTH, HEIGHT))
    boxed = Frame(frames.frames[0].sample, box.apply(square), box)
    method = peer("jpeg", bundle)
    coded = next(iter(method.code([boxed], {"quality": 30, "subsampling": "4:2:0"})))
    assert boxed.content.shape == (HEIGHT, HEIGHT, 3)
    assert (coded.view.image[:, :, :16] == np.float32(127 / 255)).all()
    assert error(boxed, coded.view.image) < 0.1


def test_video_is_refused_without_runs(bundle: Bundle) -> None:
    made = make_peers(VIDEO, bundle, None, {}, is_video=False)
    assert all("no video" in method.problem() for method in made.values())


def test_a_codec_that_is_not_built_in_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = video_module.CODECS["hevc"].__class__("libnone", "none", "crf", (30,), {})
    monkeypatch.setitem(video_module.CODECS, "hevc", missing)
    assert "without libnone" in VideoPeer("hevc").problem()


def test_planes_and_back() -> None:
    picture = np.full((7, 5, 3), (200, 90, 30), np.uint8)
    assert np.abs(from_planes(to_planes(picture), (5, 7)).astype(int) - picture).max() <= 2


def test_units_of_other_types_stay() -> None:
    data = b"\x00\x00\x00\x01\x06abc\x00\x00\x00\x01\x65xyz"
    assert without_units(data, frozenset({6})) == b"\x00\x00\x01\x65xyz"


def test_grace_writes_its_tables_into_the_jpeg() -> None:
    sensitivity = np.random.default_rng(3).uniform(0.1, 5, (3, 64))
    tables = {"depth": {"4:4:4": sensitivity.tolist()}}
    setting = {"bound": 12, "fit": "depth", "subsampling": "4:4:4"}
    picture = np.random.default_rng(4).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    file = Image.open(io.BytesIO(Grace(tables).encode(picture, setting)))
    assert [list(file.quantization[i]) for i in range(3)] == quantisation(sensitivity, 12).tolist()


def test_steps_are_inverse_to_sensitivity() -> None:
    table = quantisation(np.array([[1.0, 2.0, 4.0], [1.0, 1.0, 0.0]]), 16)
    assert table[0, 0] == 2 * table[0, 1] == 4 * table[0, 2] or abs(table[0, 0] - 2 * table[0, 1]) <= 1
    assert table[1, 2] == 255


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_patterns_are_what_jpeg_would_lose(subsampling: str) -> None:
    shape, random = (16, 32), np.random.default_rng(1)
    luma = pattern(0, 9, shape, subsampling, random)
    assert luma.shape == (3, *shape) and np.allclose(luma[0], luma[2])
    assert np.mean(luma[0] ** 2) == pytest.approx(1 / 64, rel=1e-3)  # orthonormal: unit energy per block of 64
    assert pattern(2, 1, shape, subsampling, random).shape == (3, *shape)


def test_sensitivity_finds_what_a_network_looks_at(bundle: Bundle, frames: BenchFrames) -> None:
    """The tiny network averages over 4 x 4 pixels, so it cannot see the highest frequencies."""
    networks = TargetNetworks(bundle, ["depth"])
    table = np.array(measure_sensitivity(networks, "depth", frames.frames[:1], "4:4:4")).reshape(3, 8, 8)
    assert table[0, 0, 0] > 20 * table[0, 4, 4]
    assert table[0, 0, 0] > 5 * table[0, 7, 0]


def test_task_blind_must_code_the_same_frames(tmp_path: Path, bundle: Bundle) -> None:
    other = make_tiny_bundle(tmp_path / "other", width=64, height=48)
    with pytest.raises(Exception, match="64 x 48"):
        make_peers(["task_blind"], bundle, other.path, {}, is_video=False)
    assert "--task-blind" in make_peers(["task_blind"], bundle, None, {}, False)["task_blind"].problem()
