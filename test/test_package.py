# SPDX-License-Identifier: Apache-2.0
"""The package as a package: one version, complete dependency lists, rooms that keep to themselves, its installation."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

import nepi_ros

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "messages"
MESSAGES = sorted((ROOT / "msg").glob("*.msg"))

# Import names that differ from the names of the PyPI packages.
DISTRIBUTIONS = {"cv2": "opencv-python-headless", "yaml": "PyYAML", "PIL": "pillow", "cv_bridge": "cv-bridge"}
ROSDEP_KEYS = {
    "numpy": "python3-numpy", "opencv-python-headless": "python3-opencv", "onnxruntime": "python3-onnxruntime-pip",
    "PyYAML": "python3-yaml", "pillow": "python3-pil", "tqdm": "python3-tqdm",
    "pytest": "python3-pytest", "pytest-timeout": "python3-pytest-timeout", "hypothesis": "python3-hypothesis",
    "matplotlib": "python3-matplotlib",
}  # fmt: skip
# Without a rosdep key: the build warns when they are missing. ruff is not needed to run the tests; those that need
# onnx say so when it is not there.
PIP_ONLY = {"constriction", "av", "embreex", "onnx", "ruff"}
# Not installed by any list: whoever needs it is told its name.
OPTIONAL = {"onnx2torch"}
# What the rooms may not import. Each line is one promise of the design.
FORBIDDEN = {
    "codec": {"rclpy", "torch", "nodes", "link", "training", "bench", "demo"},
    "link": {"rclpy", "torch", "nodes", "codec", "tasks", "training", "bench", "demo"},
    "tasks": {"rclpy", "torch", "nodes", "codec", "link", "training", "bench", "demo"},
    "scenes": {"rclpy", "torch", "nodes", "codec", "link", "training", "bench", "demo"},
    "nodes": {"torch", "training", "bench", "demo"},
    "demo": {"torch", "training"},
    "bench": {"rclpy", "torch", "nodes", "training"},
    "bench/path": {"torch", "training"},  # the real nodes are what it measures
}


@lru_cache
def setup_arguments() -> dict[str, Any]:
    """What setup.py passes to setuptools."""
    setuptools = pytest.importorskip("setuptools")
    captured: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", captured.update)
        patch.chdir(ROOT)
        exec(compile((ROOT / "setup.py").read_text(), "setup.py", "exec"), {"__file__": str(ROOT / "setup.py")})
    return captured


def names_of(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", requirement)[0] for requirement in requirements}


def manifest() -> ET.Element:
    return ET.parse(ROOT / "package.xml").getroot()


def manifest_dependencies() -> set[str]:
    return {element.text for element in manifest() if element.tag.endswith("depend")}


@lru_cache
def imports_of(path: Path) -> frozenset[str]:
    """Dotted names of the modules a file imports, wherever in the file."""
    found = set()
    for statement in ast.walk(ast.parse(path.read_text())):
        if isinstance(statement, ast.Import):
            found.update(alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            found.add(statement.module)
            found.update(f"{statement.module}.{alias.name}" for alias in statement.names)
    return frozenset(found)


def foreign_imports(folder: Path) -> set[str]:
    """Top-level modules imported under a folder that are neither Python's nor this package's."""
    tops = {name.split(".")[0] for path in folder.rglob("*.py") for name in imports_of(path)}
    return tops - set(sys.stdlib_module_names) - {"nepi_ros"}


def test_one_version_everywhere() -> None:
    changelog = re.search(r"^(\d+\.\d+\.\d+) \(.+\)\n-+$", (ROOT / "CHANGELOG.rst").read_text(), re.M)
    versions = {manifest().findtext("version"), setup_arguments()["version"], nepi_ros.__version__, changelog[1]}
    assert versions == {nepi_ros.__version__}


def test_both_package_files_agree() -> None:
    arguments, package = setup_arguments(), manifest()
    assert package.findtext("name") == arguments["name"] == "nepi_ros"
    assert package.findtext("license") == arguments["license"] == "Apache-2.0"
    assert package.findtext("description") == arguments["description"]
    assert package.get("format") == "3"
    assert package.findtext("member_of_group") == "rosidl_interface_packages"


def test_every_requirement_is_pinned() -> None:
    arguments = setup_arguments()
    requirements = sum(arguments["extras_require"].values(), arguments["install_requires"])
    loose = [r for r in requirements if not re.fullmatch(r"[\w.-]+(\[[\w,]+\])?==[\w.]+(; python_version .+)?", r)]
    assert not loose


def test_rosdep_knows_what_pip_installs() -> None:
    arguments = setup_arguments()
    wanted = names_of(arguments["install_requires"]) | names_of(arguments["extras_require"]["test"])
    assert wanted - PIP_ONLY - set(ROSDEP_KEYS) == set()
    assert {ROSDEP_KEYS[name] for name in wanted - PIP_ONLY} <= manifest_dependencies()


def test_every_import_is_declared() -> None:
    arguments = setup_arguments()
    extras = arguments["extras_require"]
    for_pip = names_of(arguments["install_requires"]).union(*(names_of(extras[e]) for e in ("ros", "train", "bench")))
    for_ros = manifest_dependencies()
    undeclared = []
    for module in foreign_imports(ROOT / "nepi_ros") - OPTIONAL:
        distribution = DISTRIBUTIONS.get(module, module)
        ros_wheel = "ros-" + module.replace("_", "-")
        # launch is not on PyPI: only an installed ROS 2 has it.
        if not {distribution, ros_wheel} & for_pip and not module.startswith("launch"):
            undeclared.append(f"{module} in setup.py")
        if (ros_wheel in for_pip or module.startswith("launch")) and module not in for_ros:
            undeclared.append(f"{module} in package.xml")
    assert not undeclared


@pytest.mark.parametrize("room", FORBIDDEN)
def test_rooms_import_downwards_only(room: str) -> None:
    folder = ROOT / "nepi_ros" / room
    inner = [ROOT / "nepi_ros" / other for other in FORBIDDEN if other.startswith(f"{room}/")]
    files = [path for path in sorted(folder.rglob("*.py")) if not any(path.is_relative_to(place) for place in inner)]
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in sorted(imports_of(path))
        if set(name.removeprefix("nepi_ros.").split(".")[:1]) & FORBIDDEN[room]
    ]
    assert not wrong


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_every_message_field_is_explained(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# "), "a message opens with its purpose"
    for number, (above, line) in enumerate(zip(lines, lines[1:], strict=False), start=2):
        # Fields in consecutive lines share the comment above the first.
        if line and not line.startswith("#"):
            assert above, f"{path.name}:{number} has no comment above it: {line}"


def test_generated_messages_match_their_definitions() -> None:
    for path in MESSAGES:
        message = getattr(pytest.importorskip("nepi_ros.msg"), path.stem)
        defined = re.findall(r"^[\w/\[\]<=]+ +(\w+)$", path.read_text(), re.M)
        assert list(message.get_fields_and_field_types()) == defined, f"{path.name} was changed; run: make"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole package installed with CMake into a folder of its own, as colcon would."""
    if not (BUILD / "CMakeCache.txt").exists():
        pytest.skip("no CMake build of the messages here (make leaves one; colcon has its own)")
    prefix = tmp_path_factory.mktemp("prefix")
    environment = {**os.environ, "AMENT_PREFIX_PATH": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    for command in (["--build", BUILD], ["--install", BUILD, "--prefix", prefix]):
        subprocess.run(["cmake", *map(str, command)], env=environment, check=True, capture_output=True)
    return prefix


def files_in(folder: Path) -> set[Path]:
    """Relative paths of the files under a folder, without compiled Python."""
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def for_the_bench_alone(path: Path) -> bool:
    return path.parts[0].endswith(("-robust", "-task-blind"))


def test_everything_is_installed_where_ros_looks(installed: Path) -> None:
    share, programs = installed / "share/nepi_ros", installed / "lib/nepi_ros"
    for folder in ("launch", "config", "models"):
        expected = {path for path in files_in(ROOT / folder) if not for_the_bench_alone(path)}
        assert expected and files_in(share / folder) == expected
    nodes = {path.stem for path in (ROOT / "nepi_ros/nodes").glob("*_node.py")}
    assert {path.name for path in programs.iterdir()} == nodes | {"nepi"}
    assert all(os.access(path, os.X_OK) for path in [*programs.iterdir(), *(BUILD / "programs").iterdir()])
    assert (installed / "share/ament_index/resource_index/packages/nepi_ros").exists()


def test_installed_package_has_modules_and_messages(installed: Path) -> None:
    python = next(installed.glob("lib/python3*/site-packages"))
    code = "import nepi_ros.errors; from nepi_ros.msg import Epitome; print(nepi_ros.__file__, Epitome())"
    environment = {
        **os.environ,
        "PYTHONPATH": str(python),
        "LD_LIBRARY_PATH": f"{installed}/lib:{os.environ.get('LD_LIBRARY_PATH', '')}",
    }
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=installed, env=environment, check=True, capture_output=True, text=True
    )
    assert result.stdout.startswith(str(python / "nepi_ros/__init__.py"))


@pytest.mark.parametrize("target", ["demo", "test", "bench"])
def test_make_leaves_an_installed_ros_alone(target: str) -> None:
    environment = {**os.environ, "ROS_DISTRO": "jazzy", "AMENT_PREFIX_PATH": "/opt/ros/jazzy"}
    result = subprocess.run(["make", target], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 2
    assert "colcon build" in result.stderr


def test_make_passes_on_what_the_demo_understands() -> None:
    pytest.importorskip("rclpy")
    import argparse

    from nepi_ros.demo.main import add_arguments

    declared = re.search(r"^DEMO_OPTIONS := ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text(), re.M)[1]
    options = dict(pair.split(":") for pair in declared.replace("\\", " ").split())
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert {f"--{option}" for option in options.values()} <= set(parser._option_string_actions)

    foreign = ("ROS_DISTRO", "AMENT_PREFIX_PATH", "MAKEFLAGS", "MAKELEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    environment["TRACE"] = "not for us: it does not stand on the command line"
    command = ["make", "--dry-run", "demo", "FRAMES=my frames", "BUNDLE=models/kitchen"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    expected = '.venv/bin/nepi demo --frames-dir "my frames" --bundle "models/kitchen"'
    assert " ".join(result.stdout.splitlines()[-1].split()) == expected
