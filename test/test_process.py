# SPDX-License-Identifier: Apache-2.0
"""Pools of processes end when they should."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nepi_ros.process import worker_pool

# A program of its own: what spawned processes run must be importable.
PROGRAM = """
import sys, time
from nepi_ros.process import worker_pool

def prepare(folder):
    pass

def work(folder):
    import os
    open(f"{folder}/{os.getpid()}", "w").close()
    time.sleep(60)

if __name__ == "__main__":
    with worker_pool(2, prepare, sys.argv[1]) as pool:
        list(pool.map(work, [sys.argv[1]] * 2))
"""


def gone(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def wait_for(condition, seconds: float = 20.0) -> bool:  # noqa: ANN001
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent ended")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_process_that_has_them(tmp_path: Path, number: int) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "pids").mkdir()
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "pids")], stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert wait_for(lambda: len(list((tmp_path / "pids").iterdir())) == 2)
    process.send_signal(number)
    process.wait(20)
    pids = [int(path.name) for path in (tmp_path / "pids").iterdir()]
    assert wait_for(lambda: all(map(gone, pids)))


def test_leaving_by_an_exception_does_not_wait_for_the_work() -> None:
    began = time.monotonic()
    with pytest.raises(KeyError), worker_pool(1, int) as pool:
        pool.submit(time.sleep, 60)
        raise KeyError
    assert time.monotonic() - began < 30
    assert wait_for(lambda: not multiprocessing.active_children())
