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
from nepi_ros.codec import CodedLatent, Decoder, Encoder, Kind
from nepi_ros.errors import ConfigError
from nepi_ros.profile import Profile, improvements

_MOST_SETTINGS = 40


class EpitomePeer:
    """A bundle's codec. `coder` is the bundle itself, or another one with the same input size (task_blind). `back`: of
    a video each frame is coded given the one so many frames before; 0: by itself."""

    def __init__(self, name: str, coder: Bundle, judged: Bundle, back: int = 0) -> None:
        if coder.input_size != judged.input_size:
            raise ConfigError(
                f"{coder.path}: its input is {' x '.join(map(str, coder.input_size))}, that of bundle {judged.name} "
                f"{' x '.join(map(str, judged.input_size))}; both must code the same frames"
            )
        self.name, self.version = name, f"{coder.id:016x}"
        self.video, self._back, self._bundle = back > 0, back, coder
        self._codec: tuple[Encoder, Decoder] | None = None

    def problem(self) -> str | None:
        if self._back and not self._bundle.coder().takes_earlier:
            return f"bundle {self._bundle.name} codes frames by themselves alone; train it on frames of a video"
        return None

    def settings(self) -> list[Setting]:
        """Numbers of layers: of the latent's those whose sizes are about evenly spaced on a logarithmic axis, all where
        they are few; and all pictures. The same, without pictures, where layers of one kind are enough for a task.

        Given an earlier frame, which changes no results, half as many: of the latent's those with which some task
        agrees better than with any shorter one."""
        latents = len(self._bundle.layers)
        every, pictures = self._latents(self._bundle.profile), range(latents, self._bundle.layer_count)
        found: list[Setting] = [{"layers": count + 1} for count in (*every, *(() if self._back else pictures))]
        for kind, profile in self._bundle.profiles.items():
            found += [{"layers": count + 1, "alone": kind.name} for count in self._latents(profile)]
        return found

    def _latents(self, profile: Profile) -> list[int]:
        """Places of the latent's prefixes that are measured."""
        sizes = profile.bytes[: len(self._bundle.layers)]
        if not self._back:
            return _spaced(sizes, _MOST_SETTINGS)
        better = sorted({place for curve in profile.agreement.values() for place in improvements(curve[: len(sizes)])})
        return [better[place] for place in _spaced([sizes[place] for place in better], _MOST_SETTINGS // 2)]

    def code(self, run: Sequence[Frame], setting: Setting) -> Iterator[Coded]:
        if self._codec is None:
            self._codec = Encoder(self._bundle), Decoder(self._bundle)
        encoder, decoder = self._codec
        kind, layers, sent = Kind[setting.get("alone", Kind.BOTH.name)], setting["layers"], list[CodedLatent]()
        for number, frame in enumerate(run):
            earlier = sent[number - self._back].received(layers) if 0 < self._back <= number else None
            encoded = encoder.encode(frame.image, layers, kind, earlier)
            sent.append(encoded.latent)
            # What goes ahead of a picture is sent too, so it counts.
            payload = encoded.segments(encoded.layers, room=sys.maxsize)
            wire = epitome_wire(encoded.segments(encoded.layers, epitome_room()))
            size = sum(len(segment.stream) for segment in payload)
            content = decoder.read(payload, kind, earlier if encoded.latent.after else None)
            yield Coded(size, wire, *decoder.views([content]))


def _spaced(sizes: Sequence[float], most: int) -> list[int]:
    """Places of prefixes of such mean sizes: about evenly spaced on a logarithmic axis, all where they are at most so
    many; of equal sizes the first, and none that says nothing."""
    logs = np.log(np.maximum(sizes, 1.0))
    places = np.unique(np.maximum.accumulate(logs), return_index=True)[1]
    places = places[np.take(sizes, places) >= 1]
    if len(places) <= most:
        return places.tolist()
    even = np.linspace(logs[0], logs[-1], most)
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
