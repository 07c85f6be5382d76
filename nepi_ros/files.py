# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from nepi_ros.errors import ConfigError


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file (text as UTF-8) beside its place and then move it there, so that a stop leaves no half of it.

    Raises ConfigError, naming the folder, when that cannot be done.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data.encode() if isinstance(data, str) else data)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ConfigError(
                f"{path.parent}: the disk is full; make room and run the same command again: what is measured is kept"
            ) from error
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); choose another folder with --out") from error
