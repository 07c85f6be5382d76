# SPDX-License-Identifier: Apache-2.0
"""The layered entropy coder: a latent to segments of consecutive layers, and back from those that begin it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Flag, auto
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from nepi_ros.codec.arrangement import LayerShape, class_layers
from nepi_ros.codec.classmap import NOTHING, ClassMapCoder, CodedMap, MapReader
from nepi_ros.codec.classtables import ClassTables
from nepi_ros.codec.numbers import CodedNumbers, EarlierNumbers, NumberCoder, NumberReader
from nepi_ros.codec.rangecoder import SymbolDecoder, SymbolEncoder
from nepi_ros.codec.tables import EntropyTables
from nepi_ros.errors import CodecError

MAX_VALUES = 1 << 20  # values in one latent
_SYMBOL_BITS = 16 + 16  # the rarest symbol, an escape, and the rarest value after it
_MORE = 16  # bytes of a stream for its end, and for how an earlier frame is taken


class Kind(Flag):
    """Kinds of layers. A frame may be coded without one of them, where its tasks need no more than the other; then such
    layers take no bytes, and decode as if they had not been sent."""

    NUMBERS = auto()
    CLASSES = auto()
    BOTH = NUMBERS | CLASSES


class Segment(NamedTuple):
    """`count` consecutive layers from layer `first` on, in one entropy-coded stream."""

    first: int
    count: int
    stream: bytes

    @property
    def stop(self) -> int:
        return self.first + self.count


class Earlier(NamedTuple):
    """What is known of an earlier frame: its latent, flat int8 [T], as `LayeredCoder.decode` gives it, and how many of
    its layers of numbers that was told; of a map of which nothing was, the latent has `NOTHING`."""

    latent: np.ndarray
    numbers: int


class LayeredCoder:
    """Codes flat latents int8 [T]: layer by layer all numbers, and at the end, where there are layers of a map of
    classes, that map row by row. Layers of both kinds follow one another in any order; within a segment those of
    numbers come first. Safe to use from several threads: it keeps no state between calls.

    A segment's stream depends on its layers and the layers before them; and on an earlier frame, where it was coded
    given one. What it decodes to is the same either way.
    """

    def __init__(
        self, tables: EntropyTables, shapes: Sequence[LayerShape], class_tables: ClassTables | None = None
    ) -> None:
        """Raises CodecError when tables and shapes do not belong together."""
        numbers = [layer for layer in shapes if not layer.classes]
        places = [layer.channels * layer.height * layer.width for layer in shapes]
        whole = [size for size, layer in zip(places, shapes, strict=True) if not layer.part]
        if not numbers or min(places) < 1 or max(sum(whole), *places) > MAX_VALUES:
            raise CodecError(f"a latent of {sum(whole)} values is empty somewhere, or has over {MAX_VALUES}")
        self.tables, self._numbers = tables, NumberCoder(tables, numbers)
        self._map = _map_coder([layer for layer in shapes if layer.classes], class_tables)
        self.layers, self.size = len(shapes), self._numbers.size + (self._map.size if self._map else 0)
        self._sizes = [layer.size for layer in shapes]
        self._of_map = np.array([layer.classes > 0 for layer in shapes])
        # Before each layer, and after all: how many layers of numbers there are, and how many of the map.
        self._numbers_before = list(accumulate(map(int, ~self._of_map), initial=0))
        self._parts_before = list(accumulate(map(int, self._of_map), initial=0))

    def code(
        self,
        latent: np.ndarray,
        kind: Kind = Kind.BOTH,
        earlier: Earlier | None = None,
        layers: int | None = None,
    ) -> "CodedLatent":
        """A latent, ready to be written in segments, or its layers of one kind alone; given an earlier frame's, where
        its first `layers` layers (None: all) take fewer bits so."""
        if latent.shape != (self.size,) or latent.dtype != np.int8:
            raise ValueError(f"latent is {latent.dtype} {latent.shape}, not int8 {(self.size,)}")
        numbers, classes = self._kinds(latent)
        alone = CodedLatent(
            self,
            latent,
            self._numbers.code(numbers) if Kind.NUMBERS in kind else None,
            self._map.code(classes) if self._map and Kind.CLASSES in kind else None,
        )
        if earlier is None or not self.takes_earlier:
            return alone
        given, counted = self._given(alone, earlier), self.layers if layers is None else layers
        return given if given.bits[counted] < alone.bits[counted] else alone

    def _kinds(self, latent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A flat latent's numbers, and its map of classes."""
        return latent[: self._numbers.size], latent[self._numbers.size :]

    def _given(self, alone: "CodedLatent", earlier: Earlier) -> "CodedLatent":
        """A latent given an earlier frame's."""
        numbers, earlier_map = self._known_of(earlier)
        after = dict[str, CodedNumbers | CodedMap]()
        if alone.numbers is not None and numbers is not None:
            after["numbers"] = self._numbers.after(alone.numbers, numbers)
        if alone.classes is not None and earlier_map is not None:
            after["classes"] = self._map.after(alone.classes, earlier_map)
        return replace(alone, **after)

    def _known_of(self, earlier: Earlier | None) -> tuple[EarlierNumbers | None, np.ndarray | None]:
        """What an earlier frame tells of numbers, and of the map."""
        if earlier is None:
            return None, None
        numbers, classes = self._kinds(earlier.latent)
        has_numbers = earlier.numbers > 0 and self.tables.paces > 0
        has_map = self._map is not None and self._map.takes_earlier and classes[0] != NOTHING
        return EarlierNumbers(numbers, earlier.numbers) if has_numbers else None, classes if has_map else None

    @property
    def takes_earlier(self) -> bool:
        """Whether the tables can code a latent given an earlier frame's."""
        return self.tables.paces > 0 or (self._map is not None and self._map.takes_earlier)

    def received(self, latent: np.ndarray, layers: int, kind: Kind = Kind.BOTH) -> Earlier:
        """What a receiver of a flat latent's first `layers` layers of that kind knows of the frame."""
        kept = self.prefix(latent, layers).copy()
        if Kind.NUMBERS not in kind:
            kept[: self._numbers.size] = 0
        if Kind.CLASSES not in kind:
            kept[self._numbers.size :] = NOTHING
        return self.decoded(kept, layers, kind)

    def decoded(self, latent: np.ndarray, layers: int, kind: Kind = Kind.BOTH) -> Earlier:
        """What is known of a frame by a flat latent that `decode` gave of its first `layers` layers of that kind."""
        return Earlier(latent, self._numbers_before[layers] if Kind.NUMBERS in kind else 0)

    def decode(self, segments: Iterable[Segment], kind: Kind = Kind.BOTH, earlier: Earlier | None = None) -> np.ndarray:
        """The flat latent int8 [T] of segments that follow one another from layer 0, coded with layers of that kind,
        and given an earlier frame's where one is named. Numbers of the layers after them are zero; a map that ends
        early goes on with what is likeliest, and where it has not begun is `NOTHING`.

        Raises CodecError for segments that are not of this kind, or streams that lead to no latent. A damaged stream
        may as well lead to a wrong one: that it arrived whole is for a checksum to say. Time and memory depend on the
        layers' shapes only.
        """
        earlier_numbers, earlier_map = self._known_of(earlier)
        numbers, done = NumberReader(self._numbers, earlier_numbers), 0
        classes = MapReader(self._map, earlier_map) if self._map else None
        for segment in segments:
            self._check(segment, done)
            decoder = SymbolDecoder(segment.stream)
            if Kind.NUMBERS in kind:
                numbers.read(decoder, *_ends(self._numbers_before, segment.first, segment.stop))
            if classes and Kind.CLASSES in kind:
                classes.read(decoder, *_ends(self._parts_before, segment.first, segment.stop))
            done = segment.stop
        if classes is None:
            return numbers.latent()
        known = self._parts_before[done] if Kind.CLASSES in kind else 0
        return np.concatenate([numbers.latent(), classes.raster(known)])

    def prefix(self, latent: np.ndarray, layers: int | None) -> np.ndarray:
        """A flat latent as its first `layers` layers alone would decode (None: as it is)."""
        if layers is None or layers >= self.layers:
            return latent
        numbers, classes = self._kinds(latent)
        kept = self._numbers.prefix(numbers, self._numbers_before[layers])
        return np.concatenate([kept, self._map.prefix(classes, self._parts_before[layers])]) if self._map else kept

    def write(self, coded: "CodedLatent", first: int, count: int) -> bytes:
        """The stream of a latent's layers first to first + count - 1."""
        encoder, stop = SymbolEncoder(), first + count
        if coded.numbers is not None:
            self._numbers.write(encoder, coded.numbers, *_ends(self._numbers_before, first, stop))
        if coded.classes is not None:
            self._map.write(encoder, coded.classes, *_ends(self._parts_before, first, stop))
        return encoder.stream()

    def bits(self, coded: "CodedLatent") -> np.ndarray:
        """What the model says each layer takes, in bits, float64 [L]: the bound that `write` comes close to."""
        bits = np.zeros(self.layers)
        if coded.numbers is not None:
            bits[~self._of_map] = self._numbers.bits(coded.numbers)
        if coded.classes is not None:
            bits[self._of_map] = self._map.bits(coded.classes)
        return bits

    def _check(self, segment: Segment, done: int) -> None:
        """Refuse what cannot be before any work is done on it."""
        if segment.first != done or segment.count < 1 or segment.stop > self.layers:
            raise CodecError(
                f"a segment of layers {segment.first} to {segment.stop - 1} after {done} layers; "
                f"the bundle has {self.layers}"
            )
        size = sum(self._sizes[segment.first : segment.stop])
        if len(segment.stream) > size * _SYMBOL_BITS // 8 + _MORE:
            raise CodecError(f"{len(segment.stream)} bytes are more than any {segment.count} layers take")


def _ends(before: Sequence[int], first: int, stop: int) -> tuple[int, int]:
    """Of one kind of layers the first among layers first to stop - 1, and the first after them."""
    return before[first], before[stop]


def _map_coder(layers: Sequence[LayerShape], tables: ClassTables | None) -> ClassMapCoder | None:
    """What codes the layers of a map of classes; None where there are none. Raises CodecError when they are not all
    parts of one map, in order, or not the tables'."""
    if not layers:
        return None
    height, width, classes = layers[0].height, layers[0].width, layers[0].classes
    if tuple(layers) != class_layers(height, width, classes):
        raise CodecError(f"layers of a map of classes are not all parts of one of {height} x {width} places, in order")
    if tables is None or tables.classes != classes:
        raise CodecError(f"a map of {classes} classes, and tables of {tables.classes if tables else 'none'}")
    return ClassMapCoder(tables, height, width)


@dataclass(frozen=True)
class CodedLatent:
    """One `latent`, flat int8 [T], ready to be written: its numbers, and its map of classes; None is what it goes
    without."""

    coder: LayeredCoder
    latent: np.ndarray
    numbers: CodedNumbers | None
    classes: CodedMap | None

    @property
    def layers(self) -> int:
        return self.coder.layers

    @property
    def kind(self) -> Kind:
        """The kind of layers it is coded with."""
        if self.classes is None:
            return Kind.NUMBERS
        return Kind.CLASSES if self.numbers is None else Kind.BOTH

    @property
    def after(self) -> bool:
        """Whether it was coded given an earlier frame's."""
        pace, move = self.numbers and self.numbers.pace, self.classes and self.classes.move
        return pace is not None or move is not None

    @cached_property
    def bits(self) -> np.ndarray:
        """What the model says the layers before each layer take together, in bits, float64 [L + 1]."""
        return np.concatenate([[0.0], np.cumsum(self.coder.bits(self))])

    @cached_property
    def whole(self) -> Segment:
        """All layers in one stream."""
        return self.segment(0, self.layers)

    def received(self, layers: int) -> Earlier:
        """What a receiver of the first `layers` layers knows."""
        return self.coder.received(self.latent, layers, self.kind)

    def segment(self, first: int, count: int) -> Segment:
        """Layers first to first + count - 1. Raises ValueError when there are none such."""
        if not (0 <= first and 1 <= count and first + count <= self.layers):
            raise ValueError(f"layers {first} to {first + count - 1} asked of {self.layers}")
        return Segment(first, count, self.coder.write(self, first, count))
