# SPDX-License-Identifier: Apache-2.0
"""A bundle at work: frames to segments, segments to images or answers, images to the target networks' outputs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nepi_ros.codec.layered import CodedLatent, Earlier, Kind, Segment
from nepi_ros.codec.picture import Album, separated
from nepi_ros.codec.sessions import Network, Port
from nepi_ros.errors import CodecError, ConfigError
from nepi_ros.tasks import REGISTRY

if TYPE_CHECKING:
    from nepi_ros.bundle import Bundle

_IMAGE = "image"
_AHEAD = 16
"""Share of a picture's bytes, one in so many, that latents ahead of it may take."""


@dataclass(frozen=True)
class EncodedFrame:
    """One frame's first `layers` layers, most important first, ready to be cut and written: those of its latent, then
    those of its `album`."""

    latent: CodedLatent
    layers: int
    album: Album | None = None

    @cached_property
    def least(self) -> int:
        """The fewest layers that say anything: before them may come some of a kind that the frame goes without."""
        return int(np.argmax(self.latent.bits[1:] > 0)) + 1

    def sizes_about(self, room: int) -> list[list[int]]:
        """What `segments` makes of the first 1, 2, ... layers: bytes of each, true to a byte or two, pictures about."""
        latents = self._latents_about(min(self.layers, self.latent.layers), room)
        if self.album is None:
            return latents
        pictures = self.album.bytes_about()[: self.layers - len(latents)]
        return latents + [[math.ceil(self.latent.bits[self._ahead(size, room)] / 8), size] for size in pictures]

    def _ahead(self, size: int, room: int) -> int:
        """How many layers of the latent go ahead of a picture of so many bytes."""
        return self._fitting(0, self.latent.layers, min(size // _AHEAD, room))

    def _latents_about(self, layers: int, room: int) -> list[list[int]]:
        """`sizes_about` by the entropy coder's model."""
        bits, first, before, found = self.latent.bits.tolist(), 0, [], []
        for count in range(1, layers + 1):
            if bits[count] - bits[first] > 8 * room and count - first > 1:
                before, first = found[-1], count - 1
            found.append([*before, math.ceil((bits[count] - bits[first]) / 8)])
        return found

    def segment(self, first: int = 0, count: int | None = None) -> Segment:
        """Layers first to first + count - 1 (all from `first` on by default) in one stream.

        Where the last of them is a picture, the stream is that picture, and the latent where that comes with it; it
        must say all, so `first` must be 0.
        """
        count = self.layers - first if count is None else count
        if first + count <= self.latent.layers:
            return self.latent.segment(first, count)
        if first or count > self.latent.layers + len(self.album or ()):
            raise ValueError(f"layers {first} to {first + count - 1} asked; the last is no picture of the frame")
        return Segment(0, count, self.album.stream(count - self.latent.layers - 1))

    def segments(self, count: int, room: int) -> list[Segment]:
        """The first `count` layers in segments of at most `room` bytes.

        A layer longer than `room` on its own gets a segment to itself: layers are the smallest unit that decodes, so
        the network must fragment it. That goes for most pictures. A few layers of the latent go ahead of one: something
        arrives when a fragment is lost, and the time between the two tells what the link carries.
        """
        if count > self.latent.layers:
            picture = self.segment(0, count)
            return [self.segment(0, self._ahead(len(picture.stream), room)), picture]
        parts: list[Segment] = []
        while not parts or parts[-1].stop < count:
            parts.append(self._longest(parts[-1].stop if parts else 0, count, room))
        return parts

    def _longest(self, first: int, stop: int, room: int) -> Segment:
        """As many layers from `first` on, and before `stop`, as fit `room`; at least one."""
        count = self._fitting(first, stop, room)
        segment = self.latent.segment(first, count)
        while len(segment.stream) > room and count > 1:
            count -= 1
            segment = self.latent.segment(first, count)
        return segment

    def _fitting(self, first: int, stop: int, room: int) -> int:
        """How many layers from `first` on, and before `stop`, fit `room` as the model has it; at least one."""
        sizes = self.latent.bits[first + 1 : stop + 1] - self.latent.bits[first]
        return max(int(np.searchsorted(sizes, 8 * room, side="right")), 1)


class Encoder:
    """Turns images into layers: the robot's side of a bundle."""

    def __init__(self, bundle: "Bundle", threads: int = 1, providers: Sequence[str] | None = None) -> None:
        width, height = bundle.input_size
        self.coder = bundle.coder()
        self._layers, self._pictures = bundle.layer_count, bundle.pictures
        self._usual = bundle.profile.bytes[len(bundle.layers) :]
        self._shape = (height, width, 3)
        source, results = ("image", np.uint8, self._shape), [("latent", np.int8, (self.coder.size,))]
        self._network = Network(bundle.path / "encoder.onnx", source, results, providers, threads)

    def latents(self, images: np.ndarray) -> np.ndarray:
        """Flat latents int8 [N, T] of RGB images uint8 [N, H, W, 3] at the bundle's input size."""
        if images.shape[1:] != self._shape or images.dtype != np.uint8:
            raise ValueError(f"images are {images.dtype} {images.shape}, not uint8 (N, {self._shape})")
        return self._network.run(np.ascontiguousarray(images))[0]

    def encode(
        self, rgb: np.ndarray, layers: int | None = None, kind: Kind = Kind.BOTH, earlier: Earlier | None = None
    ) -> EncodedFrame:
        """The first `layers` layers (all by default) of an RGB image uint8 [H, W, 3] at the bundle's input size, with
        latents of that kind (`Bundle.kind`), given an `earlier` frame's where all of these take fewer bytes so."""
        count = self._layers if layers is None else layers
        if not 1 <= count <= self._layers:
            raise ValueError(f"{count} layers asked of {self._layers}")
        latent = self.coder.code(self.latents(rgb[None])[0], kind, earlier, min(count, self.coder.layers))
        album = Album(rgb, self._pictures, self._usual, latent) if count > self.coder.layers else None
        return EncodedFrame(latent, count, album)


@dataclass(frozen=True)
class Content:
    """What a frame's segments say: a `latent`, flat int8 [T], or a `picture`, uint8 [H, W, 3], or both: then the
    latent's answers count as much as `beside` says beside those of networks that look at the picture. `received`: what
    of the latent a later frame can be coded given."""

    latent: np.ndarray | None = None
    picture: np.ndarray | None = None
    beside: float = 0.0
    received: Earlier | None = None


@dataclass(frozen=True)
class View:
    """What the edge makes of a frame's content: answers, task -> output without batch dimension, and for the target
    networks of other tasks, if there are any, an image float32 [3, H, W], about 0 to 1.

    beside: where it is not 0, all networks look at the image, and answers count so much beside what they say."""

    image: np.ndarray | None = None
    answers: Mapping[str, np.ndarray] = field(default_factory=dict)
    beside: float = 0.0

    @classmethod
    def of(cls, picture: np.ndarray, answers: Mapping[str, np.ndarray] | None = None, beside: float = 0.0) -> "View":
        """Of a picture, RGB uint8 [H, W, 3], that all networks look at, with answers beside it."""
        return cls(untouched(picture[None])[0], answers or {}, beside)

    def settles(self, task: str) -> bool:
        """Whether its answer is all there is to say of a task, whose network need not look."""
        return task in self.answers and not self.beside

    def with_answer(self, task: str, output: np.ndarray) -> np.ndarray:
        """What the output of a task's network that looked and the answer, where there is one, say together."""
        return REGISTRY[task].blend(output, self.answers[task], self.beside) if task in self.answers else output

    @property
    def picture(self) -> np.ndarray | None:
        """The image as RGB uint8 [H, W, 3], where there is one."""
        if self.image is None:
            return None
        return np.ascontiguousarray((self.image.transpose(1, 2, 0).clip(0, 1) * 255).round().astype(np.uint8))


class Decoder:
    """Turns layers back into images or answers: the edge's side of a bundle."""

    def __init__(self, bundle: "Bundle", providers: Sequence[str] | None = None, threads: int = 1) -> None:
        self._size = width, height = bundle.input_size
        self.coder = bundle.coder()
        self._pictures = bundle.pictures
        results: list[Port] = [(task, np.float32, bundle.output_of(task)[1]) for task in bundle.answers]
        if len(results) < len(bundle.tasks):
            results.append((_IMAGE, np.float32, (3, height, width)))
        self._outputs = [name for name, _, _ in results]
        source = ("latent", np.int8, (self.coder.size,))
        self._network = Network(bundle.path / "decoder.onnx", source, results, providers, threads)

    @property
    def providers(self) -> list[str]:
        """The execution providers in use, the preferred one first."""
        return self._network.providers

    def read(
        self, segments: Sequence[Segment], kind: Kind = Kind.BOTH, earlier: Earlier | None = None
    ) -> Content:
        """What a frame's segments from layer 0 on say. `kind`: of layers that it was encoded with; `earlier`: the frame
        that its latent was coded given.

        Raises CodecError when they are damaged.
        """
        last, layers = segments[-1] if segments else None, self.coder.layers
        if last is None or last.stop <= layers:
            latent = self.coder.decode(segments, kind, earlier)
            return Content(latent, received=self.coder.decoded(latent, last.stop, kind) if last else None)
        number = last.stop - layers - 1
        if last.first or number >= len(self._pictures):
            raise CodecError(f"a segment of layers {last.first} to {last.stop - 1} holds no picture of the bundle")
        format_ = self._pictures[number]
        if not format_.beside:
            return Content(picture=format_.read(last.stream, self._size))
        stream, picture = separated(last.stream)
        latent = self.coder.decode([Segment(0, layers, stream)], kind, earlier)
        received = self.coder.decoded(latent, layers, kind)
        return Content(latent, format_.read(picture, self._size), format_.beside, received)

    def views(self, contents: Sequence[Content]) -> list[View]:
        """What there is to see, or is answered, in N frames' contents as `read` gives them."""
        latents = [content.latent for content in contents if content.latent is not None]
        seen = iter(self._seen(np.stack(latents)) if latents else ())
        views = [View() if content.latent is None else next(seen) for content in contents]
        return [
            view if content.picture is None else View.of(content.picture, view.answers, content.beside)
            for view, content in zip(views, contents, strict=True)
        ]

    def _seen(self, latents: np.ndarray) -> list[View]:
        found = (dict(zip(self._outputs, one, strict=True)) for one in zip(*self._network.run(latents), strict=True))
        return [View(one.pop(_IMAGE, None), one) for one in found]

    def decode(self, frames: Sequence[Sequence[Segment]], kind: Kind = Kind.BOTH) -> list[View]:
        """What there is to see, or is answered, in N frames' segments (any prefix each).

        Raises CodecError when one is damaged; to lose that frame alone, `read` each and call `views`.
        """
        return self.views([self.read(segments, kind) for segments in frames])


class TargetNetworks:
    """The target networks of some tasks of a bundle, or `others` of the same names (`Bundle.network_file`)."""

    def __init__(
        self,
        bundle: "Bundle",
        tasks: Iterable[str],
        providers: Sequence[str] | None = None,
        threads: int = 1,
        others: str = "",
    ) -> None:
        """Raises ConfigError when the bundle lacks one of `tasks`, BundleError when a network is not as it must be."""
        width, height = bundle.input_size
        self._networks: dict[str, Network] = {}
        for name in tasks:
            if name not in bundle.tasks:
                raise ConfigError(f"bundle {bundle.name} has no task {name!r}, only {', '.join(bundle.tasks)}")
            output, shape = bundle.output_of(name)
            source, results = ("image", np.float32, (3, height, width)), [(output, np.float32, shape)]
            self._networks[name] = Network(bundle.network_file(name, others), source, results, providers, threads)

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self._networks)

    def run(self, images: np.ndarray, tasks: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Each task's output [N, ...] for RGB images float32 [N, 3, H, W]; `tasks` limits it to some of them."""
        return {name: self._networks[name].run(images)[0] for name in (self.tasks if tasks is None else tasks)}

    def see(self, views: Sequence[View], tasks: Iterable[str] | None = None) -> dict[str, list[np.ndarray]]:
        """Each task's output, without batch dimension, for every one of N views: the answer where there is one, else
        what the network puts out, or what both say together. `tasks` limits it to some of them."""
        found: dict[str, list[np.ndarray]] = {}
        for name in self.tasks if tasks is None else tasks:
            images = [view.image for view in views if not view.settles(name)]
            outputs = iter(self._networks[name].run(np.stack(images))[0] if images else ())
            found[name] = [
                view.answers[name] if view.settles(name) else view.with_answer(name, next(outputs)) for view in views
            ]
        return found


def untouched(images: np.ndarray) -> np.ndarray:
    """RGB images uint8 [N, H, W, 3] as the target networks take them: float32 [N, 3, H, W], 0 to 1."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / np.float32(255)
