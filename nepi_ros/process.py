# SPDX-License-Identifier: Apache-2.0
"""Processes: what the system says of one, and others that do not outlive this one."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have this process told to end when its parent does, however that ends; on Linux, elsewhere nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def worker_pool(count: int, prepare: Callable[..., None], *arguments: Any) -> Iterator[ProcessPoolExecutor]:
    """A pool of `count` processes, each of which first calls `prepare` with the arguments. When the block is left by an
    exception they are ended at once, whatever they are doing.

    Spawned, not forked: this process may have threads.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, context, _begin, (prepare, arguments))
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    pool.shutdown()


def _begin(prepare: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    end_with_parent()
    prepare(*arguments)


def peak_memory_mb(pid: int | str = "self") -> float | None:
    """The most resident memory in MB that a process ever had; None where the system does not tell (no /proc), or when
    the process has ended (a zombie has no memory)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    peak = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), None)
    return peak and round(peak / 1024, 1)
