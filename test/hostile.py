# SPDX-License-Identifier: Apache-2.0
"""Streams that were damaged on their way, and what may come of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from nepi_ros.codec import Earlier, LayeredCoder, Segment
from nepi_ros.errors import CodecError


def mutated(segments: Sequence[Segment], data: st.DataObject, least: int = 1) -> list[Segment]:
    """Segments of which `least` to 4 bytes of one are changed."""
    which = data.draw(st.integers(0, len(segments) - 1))
    content = bytearray(segments[which].stream)
    for _ in range(data.draw(st.integers(least, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    changed = list(segments)
    changed[which] = segments[which]._replace(stream=bytes(content))
    return changed


def refused_or_shaped(coder: LayeredCoder, segments: Sequence[Segment], earlier: Earlier | None = None) -> None:
    """Decode; the outcome must be a latent, or a CodecError."""
    try:
        latent = coder.decode(segments, earlier=earlier)
    except CodecError:
        return
    assert latent.shape == (coder.size,) and latent.dtype == np.int8
