# SPDX-License-Identifier: Apache-2.0
"""The layered entropy coder: a latent to segments of consecutive layers, and back from those that begin it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from nepi_ros.codec.arrangement import Arrangement, LayerShape, Run
from nepi_ros.codec.contexts import ContextModel
from nepi_ros.codec.rangecoder import SymbolDecoder, SymbolEncoder, weights
from nepi_ros.codec.tables import TOTAL, VALUES, EntropyTables
from nepi_ros.errors import CodecError

__all__ = ["CodedLatent", "EntropyTables", "LayeredCoder", "Segment"]

MAX_VALUES = 1 << 20  # values in one latent
_LOWEST = -128
_ESCAPE = 1000  # stands for the escape symbol among decoded values; beyond any int8
_UNUSED = 2000  # a symbol that the channel's alphabet does not have
_SYMBOL_BITS = 16 + 16  # the rarest symbol, an escape, and the rarest value after it


class Segment(NamedTuple):
    """`count` consecutive layers from layer `first` on, in one entropy-coded stream."""

    first: int
    count: int
    stream: bytes

    @property
    def stop(self) -> int:
        return self.first + self.count


class LayeredCoder:
    """Codes flat latents int8 [T]. Safe to use from several threads: it keeps no state between calls.

    A segment's stream depends on its layers and the layers before them.
    """

    def __init__(self, tables: EntropyTables, shapes: Sequence[LayerShape]) -> None:
        """Raises CodecError when tables and shapes do not belong together."""
        sizes = [layer.channels * layer.height * layer.width for layer in shapes]
        total = sum(size for size, layer in zip(sizes, shapes, strict=True) if not layer.part)
        if min(sizes, default=0) < 1 or max(total, *sizes) > MAX_VALUES:
            raise CodecError(f"a latent of {total} values is empty somewhere, or has over {MAX_VALUES}")
        self._arrangement = Arrangement(shapes)
        channels = tuple(group.channels for group in self._arrangement.groups)
        if channels != tables.group_channels:
            raise CodecError(f"entropy tables are for layers of {tables.group_channels} channels, not {channels}")
        self.tables, self.layers, self.size = tables, len(shapes), self._arrangement.size
        self._sizes = np.bincount(self._arrangement.layer, minlength=self.layers)
        self._contexts = ContextModel(tables, self._arrangement)
        self._models = [_RunModel(run, tables) for run in self._arrangement.runs]
        self._symbol_of, self._value_of = tables.symbol_of(), _values(tables)
        self._escape_symbol = tables.sizes.take(self._arrangement.channel)
        self._escapes = weights(tables.escapes)
        self._bits, self._escape_bits = _bits(tables.frequencies), _bits(tables.escapes)

    def code(self, latent: np.ndarray) -> "CodedLatent":
        """A latent, ready to be written in segments."""
        if latent.shape != (self.size,) or latent.dtype != np.int8:
            raise ValueError(f"latent is {latent.dtype} {latent.shape}, not int8 {(self.size,)}")
        everything = slice(0, self.size)
        known = self._arrangement.whole(latent)
        symbols = self._symbol_of.take(self._numbered(known, everything))
        escaped = symbols == self._escape_symbol
        return CodedLatent(self, known[everything], self._contexts.rows(known, everything), symbols, escaped)

    def decode(self, segments: Iterable[Segment]) -> np.ndarray:
        """The flat latent int8 [T] of segments that follow one another from layer 0; the layers after them are zero.

        Raises CodecError for segments that are not of this kind, or streams that lead to no latent. A damaged stream
        may as well lead to a wrong one: that it arrived whole is for a checksum to say. Time and memory depend on the
        layers' shapes only.
        """
        known, done = self._arrangement.new_known(), 0
        for segment in segments:
            self._check(segment, done)
            self._decode_segment(segment, known)
            done = segment.stop
        latent = np.empty(self.size, np.int8)
        latent[self._arrangement.order] = known[: self.size]
        return latent

    def prefix(self, latent: np.ndarray, layers: int | None) -> np.ndarray:
        """A flat latent with zeros in place of all but its first `layers` layers (None: as it is)."""
        kept = np.empty(self.size, bool)
        kept[self._arrangement.order] = self._arrangement.layer < (self.layers if layers is None else layers)
        return np.where(kept, latent, 0).astype(np.int8)

    def write(self, coded: "CodedLatent", first: int, count: int) -> bytes:
        """The stream of a latent's layers first to first + count - 1."""
        coder = SymbolEncoder()
        for model in self._models:
            for step in model.run.steps(first, first + count):
                coder.encode(coded.symbols[step], model.weights, coded.rows[step] - model.first_row)
                escaped = coded.escaped[step]
                if escaped.any():
                    values = coded.values[step][escaped].astype(np.int32) - _LOWEST
                    coder.encode(values, self._escapes, self._arrangement.channel[step][escaped])
        return coder.stream()

    def bits(self, coded: "CodedLatent") -> np.ndarray:
        """What the model says each layer takes, in bits, float64 [L]: the bound that `write` comes close to."""
        bits = self._bits.take(coded.rows * self.tables.frequencies.shape[2] + coded.symbols)
        escaped = np.flatnonzero(coded.escaped)
        bits[escaped] += self._escape_bits.take(self._numbered(coded.values, slice(None))[escaped])
        return np.bincount(self._arrangement.layer, bits, minlength=self.layers)

    def _decode_segment(self, segment: Segment, known: np.ndarray) -> None:
        decoder = SymbolDecoder(segment.stream)
        for model in self._models:
            for step in model.run.steps(segment.first, segment.stop):
                if step.start == model.run.values.start:
                    self._arrangement.begin_run(known, model.run)
                rows = self._contexts.rows(known, step)
                known[step] = self._values(decoder.decode(model.weights, rows - model.first_row), step, decoder)
                self._arrangement.end_step(known, step)

    def _values(self, symbols: np.ndarray, step: slice, decoder: SymbolDecoder) -> np.ndarray:
        """The values of symbols, those escaped read from `decoder`."""
        values = self._value_of.take(symbols + self._value_of.shape[1] * self._arrangement.channel[step])
        if values.max() >= _ESCAPE:
            if values.max() == _UNUSED:
                raise CodecError("a stream has a symbol that the bundle's alphabet does not; it is damaged")
            escaped = values == _ESCAPE
            values[escaped] = decoder.decode(self._escapes, self._arrangement.channel[step][escaped]) + _LOWEST
        return values

    def _numbered(self, values: np.ndarray, part: slice) -> np.ndarray:
        """The number among all values of all channels of each of `values` [T], of a part of them."""
        return values[part] - _LOWEST + VALUES * self._arrangement.channel[part]

    def _check(self, segment: Segment, done: int) -> None:
        """Refuse what cannot be before any work is done on it."""
        if segment.first != done or segment.count < 1 or segment.stop > self.layers:
            raise CodecError(
                f"a segment of layers {segment.first} to {segment.stop - 1} after {done} layers; "
                f"the bundle has {self.layers}"
            )
        size = int(self._sizes[segment.first : segment.stop].sum())
        if len(segment.stream) > size * _SYMBOL_BITS // 8 + 8:
            raise CodecError(f"{len(segment.stream)} bytes are more than any {segment.count} layers take")


@dataclass(frozen=True)
class CodedLatent:
    """One latent, all of its T values in coding order: themselves, the rows of frequencies that code them, their
    symbols, and which of them their alphabets lack.
    """

    coder: LayeredCoder
    values: np.ndarray
    rows: np.ndarray
    symbols: np.ndarray
    escaped: np.ndarray

    @property
    def layers(self) -> int:
        return self.coder.layers

    @cached_property
    def bits(self) -> np.ndarray:
        """What the model says the layers before each layer take together, in bits, float64 [L + 1]."""
        return np.concatenate([[0.0], np.cumsum(self.coder.bits(self))])

    def segment(self, first: int, count: int) -> Segment:
        """Layers first to first + count - 1. Raises ValueError when there are none such."""
        if not (0 <= first and 1 <= count and first + count <= self.layers):
            raise ValueError(f"layers {first} to {first + count - 1} asked of {self.layers}")
        return Segment(first, count, self.coder.write(self, first, count))


class _RunModel:
    """What the coder needs for one run: weights float32 [rows, symbols], no wider than needed, and its first row."""

    def __init__(self, run: Run, tables: EntropyTables) -> None:
        self.run = run
        first, stop = (int(tables.layers[:k].sum()) for k in (run.first, run.stop))
        width = int(tables.sizes[first:stop].max()) + 1
        self.weights = weights(tables.frequencies[first:stop, :, :width]).reshape(-1, width)
        self.first_row = first * tables.frequencies.shape[1]


def _bits(frequencies: np.ndarray) -> np.ndarray:
    """Bits of every symbol in every row, float32, flat; unused symbols count as never coded."""
    return -np.log2(np.maximum(frequencies, 1).ravel() / np.float32(TOTAL))


def _values(tables: EntropyTables) -> np.ndarray:
    """Value by symbol, int16 [C, S + 1]."""
    channels, size = tables.symbols.shape
    value_of = np.full((channels, size + 1), _UNUSED, np.int16)
    for c, count in enumerate(tables.sizes):
        value_of[c, :count] = tables.symbols[c, :count]
        value_of[c, count] = _ESCAPE
    return value_of
