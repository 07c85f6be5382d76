# SPDX-License-Identifier: Apache-2.0
"""Progress bars that neither flicker on a terminal nor fill a log file."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress_bar(iterable: Iterable[Any] | None = None, **options: Any) -> tqdm:
    """A bar over frames (or another `unit`); in a log file a line every few seconds."""
    interval = 0.2 if sys.stderr.isatty() else 5.0
    return tqdm(iterable, mininterval=interval, **{"unit": "frame", **options})
