# SPDX-License-Identifier: Apache-2.0
"""Codes the numbers of a latent: its groups of channels on grids, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nepi_ros.codec.arrangement import Arrangement, LayerShape, Run
from nepi_ros.codec.contexts import ContextModel
from nepi_ros.codec.rangecoder import SymbolDecoder, SymbolEncoder, weights
from nepi_ros.codec.tables import TOTAL, VALUES, EntropyTables
from nepi_ros.errors import CodecError

_LOWEST = -128
_ESCAPE = 1000  # stands for the escape symbol among decoded values; beyond any int8
_UNUSED = 2000  # a symbol that the channel's alphabet does not have


@dataclass(frozen=True)
class CodedNumbers:
    """T numbers in coding order: themselves, the rows of frequencies that code them, their symbols, and which of them
    their alphabets lack."""

    values: np.ndarray
    rows: np.ndarray
    symbols: np.ndarray
    escaped: np.ndarray


class NumberCoder:
    """Codes flat latents int8 [T], all of whose layers are numbers. Keeps no state between calls."""

    def __init__(self, tables: EntropyTables, shapes: Sequence[LayerShape]) -> None:
        """Raises CodecError when tables and shapes do not belong together."""
        self._arrangement = Arrangement(shapes)
        channels = tuple(group.channels for group in self._arrangement.groups)
        if channels != tables.group_channels:
            raise CodecError(f"entropy tables are for layers of {tables.group_channels} channels, not {channels}")
        self.tables, self.layers, self.size = tables, len(shapes), self._arrangement.size
        self._contexts = ContextModel(tables, self._arrangement)
        self._models = [_RunModel(run, tables) for run in self._arrangement.runs]
        self._symbol_of, self._value_of = tables.symbol_of(), _values(tables)
        self._escape_symbol = tables.sizes.take(self._arrangement.channel)
        self._escapes = weights(tables.escapes)
        self._bits, self._escape_bits = _bits(tables.frequencies), _bits(tables.escapes)

    def code(self, latent: np.ndarray) -> CodedNumbers:
        """A latent, ready to be written."""
        everything = slice(0, self.size)
        known = self._arrangement.whole(latent)
        symbols = self._symbol_of.take(self._numbered(known, everything))
        escaped = symbols == self._escape_symbol
        return CodedNumbers(known[everything], self._contexts.rows(known, everything), symbols, escaped)

    def new_known(self) -> np.ndarray:
        """What `read` fills: nothing is known yet."""
        return self._arrangement.new_known()

    def latent(self, known: np.ndarray) -> np.ndarray:
        """The flat latent int8 [T] of what is known; what is not is zero."""
        latent = np.empty(self.size, np.int8)
        latent[self._arrangement.order] = known[: self.size]
        return latent

    def prefix(self, latent: np.ndarray, layers: int) -> np.ndarray:
        """A flat latent with zeros in place of all but its first `layers` layers."""
        kept = np.empty(self.size, bool)
        kept[self._arrangement.order] = self._arrangement.layer < layers
        return np.where(kept, latent, 0).astype(np.int8)

    def write(self, encoder: SymbolEncoder, coded: CodedNumbers, first: int, stop: int) -> None:
        """Append layers first to stop - 1 to a stream."""
        for model in self._models:
            for step in model.run.steps(first, stop):
                encoder.encode(coded.symbols[step], model.weights, coded.rows[step] - model.first_row)
                escaped = coded.escaped[step]
                if escaped.any():
                    values = coded.values[step][escaped].astype(np.int32) - _LOWEST
                    encoder.encode(values, self._escapes, self._arrangement.channel[step][escaped])

    def read(self, decoder: SymbolDecoder, known: np.ndarray, first: int, stop: int) -> None:
        """Make layers first to stop - 1 known, those before being so."""
        for model in self._models:
            for step in model.run.steps(first, stop):
                if step.start == model.run.values.start:
                    self._arrangement.begin_run(known, model.run)
                rows = self._contexts.rows(known, step)
                known[step] = self._values(decoder.decode(model.weights, rows - model.first_row), step, decoder)
                self._arrangement.end_step(known, step)

    def bits(self, coded: CodedNumbers) -> np.ndarray:
        """What the model says each layer takes, in bits, float64 [L]: the bound that `write` comes close to."""
        bits = self._bits.take(coded.rows * self.tables.frequencies.shape[2] + coded.symbols)
        escaped = np.flatnonzero(coded.escaped)
        bits[escaped] += self._escape_bits.take(self._numbered(coded.values, slice(None))[escaped])
        return np.bincount(self._arrangement.layer, bits, minlength=self.layers)

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
