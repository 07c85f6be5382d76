# SPDX-License-Identifier: Apache-2.0
"""What a measured figure must be read with: when, on what, and with which versions it was measured."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import nepi_ros

_PACKAGES = (
    "ros-rclpy", "ros-fastrtps", "onnxruntime", "numpy", "opencv-python-headless", "pillow", "av", "constriction",
)  # fmt: skip


def provenance() -> dict[str, Any]:
    """date (UTC), versions (of what is installed as a Python package), machine; to be written beside results."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": _versions(),
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
    }


def _versions() -> dict[str, str]:
    found = {"nepi_ros": nepi_ros.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # an installed ROS 2 is no pip package
    return found
