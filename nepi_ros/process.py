# SPDX-License-Identifier: Apache-2.0
"""What the system says of a process."""

from __future__ import annotations

from pathlib import Path


def peak_memory_mb(pid: int | str = "self") -> float | None:
    """The most resident memory in MB that a process ever had; None where the system does not tell (no /proc), or when
    the process has ended (a zombie has no memory)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    peak = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), None)
    return peak and round(peak / 1024, 1)
