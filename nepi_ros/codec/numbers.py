# SPDX-License-Identifier: Apache-2.0
"""Codes the numbers of a latent: its groups of channels on grids, layer by layer.

Those of an earlier frame, where they are known, are what a number is likeliest to be again. How likely depends on what
the camera did since: of several sets of frequencies, paces, the one that takes fewest bits is named in the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nepi_ros.codec.arrangement import Arrangement, LayerShape, Run
from nepi_ros.codec.contexts import UNKNOWN, ContextModel
from nepi_ros.codec.rangecoder import SymbolDecoder, SymbolEncoder, weights
from nepi_ros.codec.tables import TOTAL, VALUES, EntropyTables
from nepi_ros.errors import CodecError

_LOWEST = -128
_ESCAPE = 1000  # stands for the escape symbol among decoded values; beyond any int8
_UNUSED = 2000  # a symbol that the channel's alphabet does not have
_ONE = np.zeros(1, np.intp)  # the only row


@dataclass(frozen=True)
class CodedNumbers:
    """T numbers in coding order: themselves, the rows of frequencies that code them, their symbols, and which of them
    their alphabets lack. `pace`: which set of frequencies codes those that are known of an earlier frame; None: they
    are coded by themselves."""

    values: np.ndarray
    rows: np.ndarray
    symbols: np.ndarray
    escaped: np.ndarray
    pace: int | None = None


@dataclass(frozen=True)
class EarlierNumbers:
    """A flat latent int8 [T] of an earlier frame, of which the first `layers` layers, at least one, are known."""

    latent: np.ndarray
    layers: int


class NumberCoder:
    """Codes flat latents int8 [T], all of whose layers are numbers. Keeps no state between calls."""

    def __init__(self, tables: EntropyTables, shapes: Sequence[LayerShape]) -> None:
        """Raises CodecError when tables and shapes do not belong together."""
        self.arrangement = Arrangement(shapes)
        channels = tuple(group.channels for group in self.arrangement.groups)
        if channels != tables.group_channels:
            raise CodecError(f"entropy tables are for layers of {tables.group_channels} channels, not {channels}")
        self.tables, self.layers, self.size = tables, len(shapes), self.arrangement.size
        self.contexts = ContextModel(tables, self.arrangement)
        frequencies = np.concatenate([tables.frequencies, tables.earlier], axis=1)
        self.models = [_RunModel(run, tables, frequencies) for run in self.arrangement.runs]
        self._symbol_of, self._value_of = tables.symbol_of(), _values(tables)
        self._escape_symbol = tables.sizes.take(self.arrangement.channel)
        self._escapes = weights(tables.escapes)
        self._bits, self._escape_bits = _bits(frequencies), _bits(tables.escapes)
        self.pace_weights = weights(_even(max(tables.paces, 1)))

    def code(self, latent: np.ndarray) -> CodedNumbers:
        """A latent, ready to be written."""
        everything = slice(0, self.size)
        known = self.arrangement.whole(latent)
        symbols = self._symbol_of.take(self._numbered(known, everything))
        escaped = symbols == self._escape_symbol
        return CodedNumbers(known[everything], self.contexts.rows(known, everything), symbols, escaped)

    def after(self, coded: CodedNumbers, earlier: EarlierNumbers) -> CodedNumbers:
        """The same latent given an earlier one, at the pace that takes fewest bits."""
        slowest = self.given(earlier)
        paces = slowest + self.contexts.symbols * np.arange(self.tables.paces)[:, None]
        rows = np.where(slowest == UNKNOWN, coded.rows, paces)
        pace = int(self._symbol_bits(rows, coded.symbols).sum(axis=1).argmin())
        return replace(coded, rows=rows[pace], pace=pace)

    def given(self, earlier: EarlierNumbers, pace: int = 0) -> np.ndarray:
        """The row of each value by an earlier frame's, `UNKNOWN` where that is not known."""
        values = earlier.latent[self.arrangement.order].astype(np.int16)
        rows = self.contexts.given(self._symbol_of.take(self._numbered(values, slice(None))), pace)
        return np.where(self.arrangement.layer < earlier.layers, rows, UNKNOWN)

    def prefix(self, latent: np.ndarray, layers: int) -> np.ndarray:
        """A flat latent with zeros in place of all but its first `layers` layers."""
        kept = np.empty(self.size, bool)
        kept[self.arrangement.order] = self.arrangement.layer < layers
        return np.where(kept, latent, 0).astype(np.int8)

    def write(self, encoder: SymbolEncoder, coded: CodedNumbers, first: int, stop: int) -> None:
        """Append layers first to stop - 1 to a stream."""
        if coded.pace is not None and first == 0 < stop:
            encoder.encode(np.array([coded.pace], np.int32), self.pace_weights, _ONE)
        for model in self.models:
            for step in model.run.steps(first, stop):
                encoder.encode(coded.symbols[step], model.weights, coded.rows[step] - model.first_row)
                escaped = coded.escaped[step]
                if escaped.any():
                    values = coded.values[step][escaped].astype(np.int32) - _LOWEST
                    encoder.encode(values, self._escapes, self.arrangement.channel[step][escaped])

    def bits(self, coded: CodedNumbers) -> np.ndarray:
        """What the model says each layer takes, in bits, float64 [L]: the bound that `write` comes close to."""
        bits = self._symbol_bits(coded.rows, coded.symbols)
        escaped = np.flatnonzero(coded.escaped)
        bits[escaped] += self._escape_bits.take(self._numbered(coded.values, slice(None))[escaped])
        layers = np.bincount(self.arrangement.layer, bits, minlength=self.layers)
        layers[0] += 0.0 if coded.pace is None else np.log2(self.tables.paces)
        return layers

    def _symbol_bits(self, rows: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """Bits of each symbol [T] in its row [..., T]."""
        return self._bits.take(rows * self.tables.frequencies.shape[2] + symbols)

    def values(self, symbols: np.ndarray, step: slice, decoder: SymbolDecoder) -> np.ndarray:
        """The values of symbols, those escaped read from `decoder`."""
        values = self._value_of.take(symbols + self._value_of.shape[1] * self.arrangement.channel[step])
        if values.max() >= _ESCAPE:
            if values.max() == _UNUSED:
                raise CodecError("a stream has a symbol that the bundle's alphabet does not; it is damaged")
            escaped = values == _ESCAPE
            values[escaped] = decoder.decode(self._escapes, self.arrangement.channel[step][escaped]) + _LOWEST
        return values

    def _numbered(self, values: np.ndarray, part: slice) -> np.ndarray:
        """The number among all values of all channels of each of `values` [T], of a part of them."""
        return values[part] - _LOWEST + VALUES * self.arrangement.channel[part]


class NumberReader:
    """Reads one latent's layers of numbers in their order."""

    def __init__(self, coder: NumberCoder, earlier: EarlierNumbers | None = None) -> None:
        """`earlier`: what the latent was coded given."""
        self._coder, self._earlier = coder, earlier
        self._arrangement, self._known = coder.arrangement, coder.arrangement.new_known()
        self._given: np.ndarray | None = None

    def read(self, decoder: SymbolDecoder, first: int, stop: int) -> None:
        """Make layers first to stop - 1 known, those before being so. Raises CodecError for a damaged stream."""
        if self._earlier is not None and first == 0 < stop:
            self._given = self._coder.given(self._earlier, int(decoder.decode(self._coder.pace_weights, _ONE)[0]))
        for model in self._coder.models:
            for step in model.run.steps(first, stop):
                if step.start == model.run.values.start:
                    self._arrangement.begin_run(self._known, model.run)
                rows = self._coder.contexts.rows(self._known, step, self._given)
                symbols = decoder.decode(model.weights, rows - model.first_row)
                self._known[step] = self._coder.values(symbols, step, decoder)
                self._arrangement.end_step(self._known, step)

    def latent(self) -> np.ndarray:
        """The flat latent int8 [T] of what is known; what is not is zero."""
        latent = np.empty(self._coder.size, np.int8)
        latent[self._arrangement.order] = self._known[: self._coder.size]
        return latent


class _RunModel:
    """What the coder needs for one run: weights float32 [rows, symbols], no wider than needed, and its first row."""

    def __init__(self, run: Run, tables: EntropyTables, frequencies: np.ndarray) -> None:
        self.run = run
        first, stop = (int(tables.layers[:k].sum()) for k in (run.first, run.stop))
        width = int(tables.sizes[first:stop].max()) + 1
        self.weights = weights(frequencies[first:stop, :, :width]).reshape(-1, width)
        self.first_row = first * frequencies.shape[1]


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


def _even(count: int) -> np.ndarray:
    """Frequencies [1, count] that favour nothing."""
    shares = np.full((1, count), TOTAL // count, np.int64)
    shares[0, 0] += TOTAL - shares.sum()
    return shares
