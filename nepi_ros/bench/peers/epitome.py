# SPDX-License-Identifier: Apache-2.0
"""Epitomes themselves: prefixes of a bundle's layers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from nepi_ros.bench.frames import Frame
from nepi_ros.bench.peers.base import Coded, Setting
from nepi_ros.bench.wire import epitome_room, epitome_wire
from nepi_ros.bundle import Bundle
from nepi_ros.codec import Decoder, Encoder, Kind
from nepi_ros.errors import ConfigError

_MOST_SETTINGS = 40


class EpitomePeer:
    """A bundle's codec. `coder` is the bundle itself, or another one with the same input size (task_blind)."""

    video = False

    def __init__(self, name: str, coder: Bundle, judged: Bundle) -> None:
        if coder.input_size != judged.input_size:
            raise ConfigError(
                f"{coder.path}: its input is {' x '.join(map(str, coder.input_size))}, that of bundle {judged.name} "
                f"{' x '.join(map(str, judged.input_size))}; both must code the same frames"
            )
        self.name, self.version = name, f"{coder.id:016x}"
        self._bundle = coder
        self._codec: tuple[Encoder, Decoder] | None = None

    def problem(self) -> str | None:
        return None

    def settings(self) -> list[Setting]:
        """Numbers of layers: of the latent's those whose sizes are about evenly spaced on a logarithmic axis, all where
        they are few; and all pictures. The same, without pictures, where layers of one kind are enough for a task."""
        latents = len(self._bundle.layers)
        chosen = [*_spaced(self._bundle.profile.bytes[:latents]), *range(latents, self._bundle.layer_count)]
        found: list[Setting] = [{"layers": count + 1} for count in chosen]
        for kind, profile in self._bundle.profiles.items():
            found += [{"layers": count + 1, "alone": kind.name} for count in _spaced(profile.bytes[:latents])]
        return found

    def code(self, run: Sequence[Frame], setting: Setting) -> Iterator[Coded]:
        if self._codec is None:
            self._codec = Encoder(self._bundle), Decoder(self._bundle)
        encoder, decoder = self._codec
        kind = Kind[setting.get("alone", Kind.BOTH.name)]
        for frame in run:
            encoded = encoder.encode(frame.image, setting["layers"], kind)
            # What goes ahead of a picture is sent too, so it counts.
            payload = encoded.segments(encoded.layers, room=sys.maxsize)
            wire = epitome_wire(encoded.segments(encoded.layers, epitome_room()))
            size = sum(len(segment.stream) for segment in payload)
            yield Coded(size, wire, *decoder.decode([payload], kind))


def _spaced(sizes: Sequence[float]) -> list[int]:
    """Places of prefixes of such mean sizes: about evenly spaced on a logarithmic axis, all where they are few; of
    equal sizes the first, and none that says nothing."""
    logs = np.log(np.maximum(sizes, 1.0))
    places = np.unique(np.maximum.accumulate(logs), return_index=True)[1]
    places = places[np.take(sizes, places) >= 1]
    if len(places) <= _MOST_SETTINGS:
        return places.tolist()
    even = np.linspace(logs[0], logs[-1], _MOST_SETTINGS)
    return sorted({*(int(places[np.abs(logs[places] - size).argmin()]) for size in even), int(places[-1])})


class MissingPeer:
    """A method that cannot run here, and why."""

    version, video = "", False

    def __init__(self, name: str, why: str) -> None:
        self.name, self._why = name, why

    def problem(self) -> str | None:
        return self._why

    def settings(self) -> list[Setting]:
        return []

    def code(self, run: Sequence[Frame], setting: Setting) -> Iterator[Coded]:
        raise RuntimeError(self._why)


def task_blind(folder: Path | None, judged: Bundle) -> EpitomePeer | MissingPeer:
    """The task-blind autoencoder, from the bundle in `folder`."""
    if folder is None:
        return MissingPeer("task_blind", "no task-blind bundle; name one with --task-blind")
    return EpitomePeer("task_blind", Bundle.load(folder), judged)
