# SPDX-License-Identifier: Apache-2.0
"""What a method of coding frames is to the bench."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from nepi_ros.bench.frames import Frame
from nepi_ros.bench.wire import image_wire
from nepi_ros.codec import View
from nepi_ros.motion import Motion

Setting = dict[str, Any]
"""One point of a method's range, as it goes into results.json: names and JSON values."""


@dataclass(frozen=True, eq=False)
class Coded:
    """A frame coded and decoded: bytes of the code, bytes on the wire, and what there is to see or is answered. With a
    `motion`, that is an earlier frame's, whose results have moved so since."""

    size: int
    wire: int
    view: View
    motion: Motion | None = None


class Peer(Protocol):
    """A method. `version` changes when its figures may change. `video` methods take a run of frames at once."""

    name: str
    version: str
    video: bool

    def problem(self) -> str | None:
        """Why this method cannot run here; None when it can."""
        ...

    def settings(self) -> list[Setting]:
        """The method's whole range, coarsest first."""
        ...

    def code(self, run: Sequence[Frame], setting: Setting) -> Iterator[Coded]:
        """Code and decode consecutive frames."""
        ...


class PixelPeer:
    """A method that codes pictures: the letterbox's bars are not sent."""

    name = ""
    version = "1"
    video = False

    def problem(self) -> str | None:
        return None

    def code(self, run: Sequence[Frame], setting: Setting) -> Iterator[Coded]:
        contents = (frame.content for frame in run)
        for frame, (size, content) in zip(run, self.transcode(contents, setting), strict=True):
            yield Coded(size, image_wire(size, self.name), View.of(frame.with_content(content)))

    def transcode(self, pictures: Iterator[np.ndarray], setting: Setting) -> Iterator[tuple[int, np.ndarray]]:
        """Bytes and decoded picture of each picture, uint8 [h, w, 3] RGB."""
        raise NotImplementedError


SWEPT = ("quality", "bound", "layers", "qp", "crf")
"""What methods are swept over. Settings that differ in nothing else are one family: one curve."""

T = TypeVar("T")


def family(setting: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What a setting has in common with the others of its curve.

    >>> family({"quality": 30, "subsampling": "4:2:0"})
    (('subsampling', '4:2:0'),)
    """
    return tuple((name, value) for name, value in setting.items() if name not in SWEPT)


def families(items: Iterable[T], setting_of: Callable[[T], Mapping[str, Any]]) -> list[list[T]]:
    """Items with settings, grouped into curves."""
    groups: dict[tuple[tuple[str, Any], ...], list[T]] = {}
    for item in items:
        groups.setdefault(family(setting_of(item)), []).append(item)
    return list(groups.values())


def thinned(settings: Sequence[Setting], count: int) -> list[Setting]:
    """At most `count` settings of each family, spread evenly, both ends among them (0: all).

    >>> [setting["qp"] for setting in thinned([{"qp": qp} for qp in range(9)], 3)]
    [0, 4, 8]
    """
    kept: list[Setting] = []
    for group in families(settings, lambda setting: setting):
        few = 0 < count < len(group)
        kept += [group[int(i)] for i in np.linspace(0, len(group) - 1, count).round()] if few else group
    return kept
