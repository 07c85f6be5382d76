# SPDX-License-Identifier: Apache-2.0
"""The bench of what an epitome costs: times, arithmetic, memory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import CHANNELS, CLASSES, make_tiny_bundle

pytest.importorskip("matplotlib")
pytest.importorskip("onnx")

import onnx
from bench_set import HEIGHT, WIDTH, write_set
from onnx import TensorProto, helper, numpy_helper

from nepi_ros import cli
from nepi_ros.bench.complexity import Complexity, complexity
from nepi_ros.bench.cutting import SHARES, cutting
from nepi_ros.bench.stopwatch import GIVEN, HOLDING, JPEG, MAKING, PICTURE, READING, jpeg, one_core
from nepi_ros.bundle import Bundle
from nepi_ros.codec import Encoder, PictureFormat
from nepi_ros.errors import BundleError
from nepi_ros.process import peak_memory_mb


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    pictures = [PictureFormat(WIDTH, HEIGHT, 95, True)]
    size = {"width": WIDTH, "height": HEIGHT}
    return make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny", **size, pictures=pictures, film=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Path:
    return write_set(tmp_path_factory.mktemp("set") / "val", bundle, 3)


def run(bundle: Bundle, data: Path, out: Path, *options: str) -> int:
    command = ["bench", "codec", "--bundle", str(bundle.path), "--data", str(data), "-o", str(out)]
    return cli.main([*command, "--rounds", "2", *options])


def test_results_hold_every_step_and_ratio(
    bundle: Bundle, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(bundle, data, tmp_path) == 0
    found = json.loads((tmp_path / "results.json").read_text())["bundles"][bundle.name]
    assert set(found["steps_ms"]) == {*MAKING, *READING, *GIVEN, *PICTURE, *JPEG, HOLDING, *bundle.tasks}
    for row in (*found["steps_ms"].values(), *found["ratios"].values()):
        assert 0 < row["p10"] <= row["median"] <= row["p90"]
    making = sum(found["steps_ms"][name]["p10"] for name in MAKING)
    ratio = found["ratios"]["making / JPEG q90 encoding"]
    assert ratio["p90"] >= making / found["steps_ms"]["JPEG encoding"]["p90"]
    assert found["frames"] == 3 and found["rounds"] == 2
    assert set(found["networks"]) == {"encoder", "decoder", *bundle.tasks}
    assert (tmp_path / f"{bundle.name}.svg").read_text().lstrip().startswith("<?xml")
    shown = capsys.readouterr().out
    assert "entropy encoding" in shown and "peak memory" in shown and "cut to budgets" in shown
    assert set(found["cut_to_budget"]) == {"unused_mean", "within_tenth"}


def test_what_a_cut_leaves_unused(bundle: Bundle) -> None:
    width, height = bundle.input_size
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    encoder = Encoder(bundle)
    frame = encoder.encode(image, len(bundle.layers))
    sizes = [len(frame.segment(0, count).stream) for count in range(1, frame.layers + 1)]
    unused = []
    for budget in SHARES * sizes[-1]:
        fitting = [size for size in sizes if size <= budget + 1e-9]
        unused.append(1 - max(fitting, default=0) / budget)
    found = cutting(encoder, [image, image])
    assert found["unused_mean"] == pytest.approx(np.mean(unused), abs=1e-4)
    assert found["within_tenth"] == pytest.approx(np.mean(np.array(unused) <= 0.1), abs=1e-4)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the system does not tell a process's memory")
def test_networks_take_memory(bundle: Bundle, data: Path, tmp_path: Path) -> None:
    assert run(bundle, data, tmp_path, "--frames", "1") == 0
    peaks = json.loads((tmp_path / "results.json").read_text())["bundles"][bundle.name]["peak_memory_mb"]
    assert 10 < peaks["libraries"] < peaks["making"] and peaks["libraries"] < peaks["reading_and_targets"]
    assert peak_memory_mb(1 << 30) is None  # no such process


def network(path: Path) -> Path:
    """A grouped convolution, a transposed one and a matrix product whose arithmetic is easily done by hand."""

    def constant(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(np.ones(shape, np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], pads=[1, 1, 1, 1], group=2),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("ConvTranspose", ["b", "w2"], ["c"], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("Gemm", ["e", "w3", "b3"], ["y"], transB=1),
    ]
    weights = [constant("w1", 8, 2, 3, 3), constant("b1", 8), constant("w2", 8, 3, 2, 2), constant("w3", 5, 3),
               constant("b3", 5)]  # fmt: skip
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, 6, 10])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y], weights), ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17)])  # fmt: skip
    path.write_bytes(model.SerializeToString())
    return path


def test_arithmetic_is_counted_as_by_hand(tmp_path: Path) -> None:
    path = network(tmp_path / "network.onnx")
    convolution = 8 * 6 * 10 * (2 * 3 * 3)
    transposed = (8 * 6 * 10) * (3 * 2 * 2)
    parameters = (8 * 2 * 9 + 8) + 8 * 3 * 4 + (5 * 3 + 5)
    assert complexity(path, (10, 6)) == Complexity(convolution + transposed + 5 * 3, parameters, path.stat().st_size)


def test_how_weights_are_stored_does_not_change_the_count() -> None:
    # Known of the architecture: both dense tasks have one trunk, the classifier has no pyramid.
    models = Path(__file__).parents[1] / "models/kitchen"
    depth, segmentation = (complexity(models / f"{task}.onnx", (320, 240)) for task in ("depth", "segmentation"))
    assert segmentation.parameters - depth.parameters == 3 * 40 + 3  # four classes instead of one depth
    assert segmentation.macs - depth.macs == 3 * 40 * 80 * 60


def test_sides_that_a_network_leaves_open_are_the_bundle_s(tmp_path: Path, bundle: Bundle) -> None:
    """The tiny bundle's networks name their sides "H" and "W"."""
    segmentation = complexity(bundle.path / "segmentation.onnx", bundle.input_size)
    assert segmentation.macs == len(CLASSES) * 3 * (WIDTH // 4) * (HEIGHT // 4)
    encoder = complexity(bundle.path / "encoder.onnx", bundle.input_size)
    assert encoder.macs == CHANNELS * 3 * WIDTH * HEIGHT


def test_bundles_of_one_name_are_refused(
    bundle: Bundle, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(bundle, data, tmp_path, "--bundle", str(bundle.path), "--data", str(data)) == 2
    assert "second bundle of the name tiny" in capsys.readouterr().err


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    with pytest.raises(BundleError, match="noise.onnx: cannot be read as a network"):
        complexity(tmp_path / "noise.onnx", (8, 8))


def test_timing_keeps_to_one_core_and_gives_the_others_back() -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system has no affinities")
    before = os.sched_getaffinity(0)
    with one_core():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_jpeg_is_one_of_quality_90() -> None:
    random = np.random.default_rng(0)
    code = jpeg(random.integers(0, 255, (16, 16, 3), np.uint8))
    first_table = code.tobytes().split(b"\xff\xdb")[1]
    assert first_table[3] == 3  # libjpeg's quality 90 has 3 for the mean (16 at quality 50)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rounds", "0"], "--frames and --rounds must be at least 1"),
        (["--bundle", "models/kitchen"], "2 --bundle, 1 --data"),
    ],
)
def test_bad_options_are_named(
    bundle: Bundle, data: Path, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    assert run(bundle, data, tmp_path, *options) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_frames_is_named(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "empty").mkdir()
    assert run(bundle, tmp_path / "empty", tmp_path / "out") == 2
    assert "holds no images" in capsys.readouterr().err
