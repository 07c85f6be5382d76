# SPDX-License-Identifier: Apache-2.0
"""The scripts behind `make`: choosing a Python, repairing what the wheels export."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parent.parent / "tools"


@pytest.fixture(scope="module")
def wheel_prefix() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wheel_prefix", TOOLS / "wheel_prefix.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def find_python(candidate: Path | str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHON": str(candidate)}
    return subprocess.run([TOOLS / "find_python.sh"], env=environment, capture_output=True, text=True)


def pretender(path: Path, script: str) -> Path:
    """An executable that answers in the place of a Python."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


EXPORTED = """set_target_properties(sensor_msgs::sensor_msgs__rosidl_generator_py PROPERTIES
  INTERFACE_INCLUDE_DIRECTORIES "{python};{numpy};${{_IMPORT_PREFIX}}/include"
)
"""


@pytest.mark.parametrize("numpy_core", ["numpy/_core/include", "numpy/core/include"])
def test_exported_targets_get_the_headers_here(wheel_prefix: ModuleType, tmp_path: Path, numpy_core: str) -> None:
    image = "/opt/python/cp312-cp312"
    folder = tmp_path / "share/sensor_msgs/cmake"
    folder.mkdir(parents=True)
    built = EXPORTED.format(
        python=f"{image}/include/python3.12", numpy=f"{image}/lib/python3.12/site-packages/{numpy_core}"
    )
    export = folder / "export_sensor_msgs__rosidl_generator_pyExport.cmake"
    export.write_text(built)
    other = folder / "sensor_msgsConfig.cmake"
    other.write_text(built)

    assert wheel_prefix.repair_exports(tmp_path, "/here/include/python3.12", "/here/numpy") == 1
    assert export.read_text() == EXPORTED.format(python="/here/include/python3.12", numpy="/here/numpy")
    assert other.read_text() == built, "only exported targets are touched"
    assert wheel_prefix.repair_exports(tmp_path, "/here/include/python3.12", "/here/numpy") == 0, "once is enough"


def test_the_running_python_serves() -> None:
    result = find_python(sys.executable)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == sys.executable


def test_reasons_against_a_python_are_given(tmp_path: Path) -> None:
    result = find_python(pretender(tmp_path / "python3", "echo 'Python 3.9: needs Python 3.10 to 3.13'"))
    assert result.returncode == 1
    assert "Python 3.9: needs Python 3.10 to 3.13" in result.stderr
    assert "make PYTHON=" in result.stderr


def test_a_python_that_does_not_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "a place").mkdir()
    broken = pretender(tmp_path / "a place" / "python3", "exit 127")
    result = find_python(broken)
    assert result.returncode == 1
    assert f"{broken}: does not run" in result.stderr


def test_no_python_at_all_says_what_to_install() -> None:
    result = find_python("no-such-python")
    assert result.returncode == 1
    assert "apt install python3" in result.stderr


def test_missing_compiler_is_named() -> None:
    environment = {**os.environ, "CXX": "no-such-compiler"}
    result = subprocess.run([TOOLS / "find_compiler.sh"], env=environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert "no-such-compiler" in result.stderr and "apt install g++" in result.stderr


def bench(folder: Path, nepi: str) -> subprocess.CompletedProcess:
    command = [TOOLS / "bench.sh", pretender(folder / "nepi", nepi), folder / "data", folder / "out"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_bench_measures_the_bundles_that_have_frames(tmp_path: Path) -> None:
    for name in ("kitchen", "camvid", "camvid-task-blind", "patrol"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "bundle.json").touch()
    (tmp_path / "models/kitchen-robust").mkdir()
    assert "nothing to measure" in bench(tmp_path, "exit 0").stderr
    for name in ("kitchen", "camvid"):
        (tmp_path / "data" / name / "val").mkdir(parents=True)

    said = bench(tmp_path, 'echo "$@"').stdout.splitlines()
    lines = [line for line in said if line.startswith("bench rate-accuracy")]
    assert len(lines) == 2
    assert lines[0].endswith("--task-blind models/camvid-task-blind") and "--targets" not in lines[0]
    assert lines[1].endswith("--targets both") and "--bundle models/kitchen" in lines[1]

    timed = [line for line in said if line.startswith("bench codec")]
    assert len(timed) == 1 and timed[0].count("--bundle") == timed[0].count("--data") == 2

    failing = bench(tmp_path, "exit 2")
    assert failing.returncode == 2 and failing.stdout.count("measuring") == 2

    (tmp_path / "out/codec").mkdir(parents=True)
    (tmp_path / "out/codec/results.json").touch()
    assert "bench codec" not in bench(tmp_path, 'echo "$@"').stdout
    later = (tmp_path / "out/codec/results.json").stat().st_mtime + 10
    os.utime(tmp_path / "models/kitchen/bundle.json", (later, later))
    assert "bench codec" in bench(tmp_path, 'echo "$@"').stdout


def test_bench_takes_points_that_come_with_the_reports_unless_there_are_some(tmp_path: Path) -> None:
    for folder in ("models/kitchen", "data/kitchen/val", "reports/points", "points/plain"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "models/kitchen/bundle.json").touch()
    (tmp_path / "points/plain/jpeg.json").write_text("kept")
    with tarfile.open(tmp_path / "reports/points/kitchen.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "points", "points")
    found = tmp_path / "out/kitchen/points/plain/jpeg.json"
    assert bench(tmp_path, "exit 0").returncode == 0 and found.read_text() == "kept"
    found.write_text("measured here")
    assert bench(tmp_path, "exit 0").returncode == 0 and found.read_text() == "measured here"
