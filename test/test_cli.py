# SPDX-License-Identifier: Apache-2.0
"""The command line: help, errors in one line, and a picture that goes through files to results."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from nepi_ros import cli
from nepi_ros.errors import NepiError

pytest.importorskip("onnx")
from tiny_bundle import CLASSES, PICTURES, PLACES, make_tiny_bundle, tiny_frames  # noqa: E402

SMALL_COMMANDS = ("inspect", "encode", "decode", "params")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny").path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """An image that does not have the bundle's shape: the letterbox must come and go."""
    path = tmp_path / "scene.png"
    cv2.imwrite(str(path), tiny_frames(1, 256, 128)[0])
    return path


@pytest.fixture
def epitome(bundle: Path, picture: Path, tmp_path: Path) -> Path:
    assert cli.main(["encode", str(picture), "--bundle", str(bundle), "--out", str(tmp_path)]) == 0
    return tmp_path / "scene.epitome"


def test_help_names_every_command(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    output = capsys.readouterr().out
    assert all(command in output for command in cli.COMMANDS)


@pytest.mark.parametrize("command", SMALL_COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    assert f"usage: nepi {command}" in capsys.readouterr().out


def test_only_the_commands_own_module_is_imported() -> None:
    code = (
        "import sys; from nepi_ros import cli; assert cli.main(['inspect', 'no-such-bundle']) == 2; "
        "print(sorted({'torch', 'rclpy', 'nepi_ros.demo.main'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_what_the_user_can_put_right_is_one_line(capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["inspect", "no-such-bundle"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("nepi: no-such-bundle: ") and error.count("\n") == 1


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def no_torch(name: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(cli, "import_module", no_torch)
    assert cli.main(["train", "config.yaml"]) == 2
    assert "train needs the Python module torch" in capsys.readouterr().err


def test_bundle_is_described(bundle: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["inspect", str(bundle)]) == 0
    output = capsys.readouterr().out
    assert "bundle  tiny" in output and ", ".join(CLASSES) in output and "agreement" in output


def test_a_bundle_for_videos_says_so(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    film = make_tiny_bundle(tmp_path / "film", film=True).path
    for path, says in ((bundle, False), (film, True)):
        capsys.readouterr()
        assert cli.main(["inspect", str(path)]) == 0
        assert ("frames of a video are coded given earlier ones" in capsys.readouterr().out) == says


def test_epitome_is_described(epitome: Path, capsys: pytest.CaptureFixture) -> None:
    capsys.readouterr()
    assert cli.main(["inspect", str(epitome)]) == 0
    assert "256 x 128 image" in capsys.readouterr().out


def test_results_lie_over_the_picture(
    bundle: Path, picture: Path, epitome: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert cli.main(["decode", str(epitome), "--bundle", str(bundle), "--out", str(tmp_path)]) == 0
    assert any(place in capsys.readouterr().out for place in PLACES)
    shown = cv2.imread(str(picture))
    decoded = cv2.imread(str(tmp_path / "scene.decoded.png"))
    expected = cv2.resize(shown, decoded.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert abs(decoded.shape[1] / decoded.shape[0] - 2) < 0.05, "the bars are gone"
    assert np.abs(decoded.astype(int) - expected).mean() < 20
    labels = cv2.imread(str(tmp_path / "scene.segmentation.png"), cv2.IMREAD_UNCHANGED)
    depth = cv2.imread(str(tmp_path / "scene.depth.png"), cv2.IMREAD_UNCHANGED)
    assert labels.shape == depth.shape == decoded.shape[:2]
    assert labels.dtype == np.uint8 and depth.dtype == np.uint16


def test_fewer_layers_are_fewer_bytes(bundle: Path, picture: Path, epitome: Path, tmp_path: Path) -> None:
    short = tmp_path / "short"
    arguments = ["encode", str(picture), "--bundle", str(bundle), "--out", str(short), "--layers", "1"]
    assert cli.main(arguments) == 0
    assert (short / "scene.epitome").stat().st_size < epitome.stat().st_size


def test_layers_out_of_range_are_refused(bundle: Path, picture: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["encode", str(picture), "--bundle", str(bundle), "--layers", "99"]) == 2
    assert "has 1 to" in capsys.readouterr().err


def test_pictures_are_encoded_when_asked_for(tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture) -> None:
    made = make_tiny_bundle(tmp_path / "pictured", pictures=PICTURES)
    common = ["--bundle", str(made.path), "--out", str(tmp_path)]
    assert cli.main(["encode", str(picture), *common]) == 0
    assert f"{len(made.layers)} layers, " in capsys.readouterr().out
    assert cli.main(["encode", str(picture), *common, "--layers", str(made.layer_count)]) == 0
    assert f"{made.layer_count} layers, a picture, " in capsys.readouterr().out
    assert cli.main(["decode", str(tmp_path / "scene.epitome"), *common]) == 0
    assert cli.main(["decode", str(tmp_path / "scene.epitome"), *common, "--layers", "3"]) == 2
    assert "is a picture" in capsys.readouterr().err
    assert cli.main(["inspect", str(made.path)]) == 0
    assert "160 x 120 4:4:4 at quality 95" in capsys.readouterr().out


def test_a_picture_that_a_latent_comes_with_can_be_left_out(
    tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture
) -> None:
    together = [replace(PICTURES[0], beside=0.5)]
    made = make_tiny_bundle(tmp_path / "together", mapped=True, pictures=together)
    common = ["--bundle", str(made.path), "--out", str(tmp_path)]
    assert cli.main(["inspect", str(made.path)]) == 0
    assert "at quality 80 beside the latent" in capsys.readouterr().out
    assert cli.main(["encode", str(picture), *common, "--layers", str(made.layer_count)]) == 0
    results = tmp_path / "scene.segmentation.png", tmp_path / "scene.decoded.png"
    seen = []
    for layers in ([], ["--layers", "3"]):
        assert cli.main(["decode", str(tmp_path / "scene.epitome"), *common, *layers]) == 0
        seen.append([file.read_bytes() for file in results])
    assert all(whole != first for whole, first in zip(*seen, strict=True))


def test_files_of_one_name_are_not_written_over_each_other(
    tmp_path: Path, bundle: Path, picture: Path, capsys: pytest.CaptureFixture
) -> None:
    other = tmp_path / "other" / picture.name
    other.parent.mkdir()
    other.write_bytes(picture.read_bytes())
    for command in ("encode", "decode"):
        assert cli.main([command, str(picture), str(other), "--bundle", str(bundle), "-o", str(tmp_path)]) == 2
        assert "would be written under one name" in capsys.readouterr().err


def test_what_cannot_be_written_is_said(
    tmp_path: Path, bundle: Path, epitome: Path, picture: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "scene.decoded.png").mkdir()
    assert cli.main(["decode", str(epitome), "--bundle", str(bundle), "--out", str(tmp_path)]) == 2
    assert "scene.decoded.png: cannot be written" in capsys.readouterr().err
    assert cli.main(["encode", str(picture), "--bundle", str(bundle), "--out", "/dev/null/x"]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-3],
        lambda data: b"\x89PNG" + data,
        lambda data: b"",
        lambda data: b"[" * 1020 + b"\n" + data,
        lambda data: re.sub(rb'"width": \d+', b'"width": Infinity', data, count=1),
        lambda data: re.sub(rb'"width": \d+', b'"width": 1e300', data, count=1),
        lambda data: re.sub(rb'"layers": \d+', b'"layers": -3', data, count=1),
    ],
)
def test_damaged_epitome_is_refused(damage, bundle: Path, epitome: Path, capsys: pytest.CaptureFixture) -> None:
    epitome.write_bytes(damage(epitome.read_bytes()))
    assert cli.main(["decode", str(epitome), "--bundle", str(bundle)]) == 2
    assert "scene.epitome: is not an epitome file" in capsys.readouterr().err


def test_foreign_bundle_is_refused(epitome: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    other = make_tiny_bundle(tmp_path / "other", name="other", seed=1).path
    assert cli.main(["decode", str(epitome), "--bundle", str(other)]) == 2
    assert "--bundle" in capsys.readouterr().err


def test_unreadable_image_is_named(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "no.png").write_text("not a picture")
    assert cli.main(["encode", str(tmp_path / "no.png"), "--bundle", str(bundle)]) == 2
    assert "no.png: not a readable image" in capsys.readouterr().err


def test_errors_of_modules_reach_the_user(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def refuse(arguments: object) -> int:
        raise NepiError("the reason")

    monkeypatch.setattr("nepi_ros.commands.inspect.main", refuse)
    assert cli.main(["inspect", "anything"]) == 2
    assert capsys.readouterr().err == "nepi: the reason\n"


def test_unknown_node_is_refused(capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("rclpy")
    assert cli.main(["params", "camera_node"]) == 2
    assert "encoder_node" in capsys.readouterr().err


def test_parameter_page_is_what_the_nodes_declare(capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("rclpy")
    assert cli.main(["params"]) == 0
    page = Path(__file__).resolve().parent.parent / "doc/parameters.md"
    assert capsys.readouterr().out == page.read_text(), "parameters changed: nepi params > doc/parameters.md"


def test_a_reader_that_has_seen_enough_is_no_error(bundle: Path) -> None:
    code = f"import sys; from nepi_ros.cli import main; sys.exit(main(['inspect', {str(bundle)!r}]))"
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert process.stderr.read() == "" and process.wait() == 141
