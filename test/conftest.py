# SPDX-License-Identifier: Apache-2.0
"""What all tests share: a ROS domain of the run's own, and where the real frames are."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from nepi_ros.demo.domain import environment, isolated_domain

# A machine that has other work would wait for the slowest of many threads at every small step.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests publish camera images and wait for what becomes of each one; with Fast DDS's own settings some would be lost.
_CAMERA_PROFILES = Path(__file__).resolve().parent.parent / "config" / "fastdds_camera.xml"
_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    """Put the whole run, and every process it starts, into a ROS domain that nobody else uses, on this machine only."""
    stack = ExitStack()
    stack.enter_context(environment(stack.enter_context(isolated_domain())))
    stack.enter_context(environment({"FASTRTPS_DEFAULT_PROFILES_FILE": str(_CAMERA_PROFILES)}))
    config.add_cleanup(stack.close)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real frames and link recordings, which lies beside the checkout.

    Its README describes it; no test may copy from it into the project. Missing, it fails the test where it must be
    there (in continuous integration) and skips it elsewhere.
    """
    if _DATA.is_dir():
        return _DATA
    reason = f"real frames are not at {_DATA}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
