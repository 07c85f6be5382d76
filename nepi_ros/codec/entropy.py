# SPDX-License-Identifier: Apache-2.0
"""The layered entropy coder: int8 latents to one stream of bytes per layer, and back from any prefix of layers."""

from collections.abc import Sequence

import numpy as np

from nepi_ros.codec.contexts import MAX_ACTIVITY, ContextModel, planes_of
from nepi_ros.codec.lattice import lattice
from nepi_ros.codec.rangecoder import SymbolDecoder, SymbolEncoder, weights
from nepi_ros.codec.tables import TOTAL, EntropyTables, layer_slices
from nepi_ros.errors import CodecError

__all__ = ["EntropyTables", "LayeredCoder"]

MAX_VALUES = 1 << 20  # values in one latent
_ESCAPE = 1000  # stands for the escape symbol among decoded values; beyond any int8
_UNUSED = 2000  # a symbol that the channel's alphabet does not have
_SYMBOL_BITS = 16 + 8  # the rarest symbol, escaped


class LayeredCoder:
    """Codes latents int8 [C, h, w]. Safe to use from several threads: it keeps no state between calls.

    A layer's stream depends on that layer and the layers before it. Each latent has exactly one sequence of
    streams; a stream that is not the one its content would be encoded to is refused.
    """

    def __init__(self, tables: EntropyTables, layers: Sequence[int], latent_shape: tuple[int, int, int]) -> None:
        """Raises CodecError when tables, layers and shape do not belong together."""
        channels, height, width = latent_shape
        if tuple(layers) != tables.layer_channels or channels != tables.channels:
            raise CodecError(f"entropy tables are for layers {tables.layer_channels}, not {tuple(layers)}")
        if min(height, width) < 1 or channels * height * width > MAX_VALUES:
            raise CodecError(f"latent shape {latent_shape} is not between 1 and {MAX_VALUES} values")
        self.tables = tables
        self.latent_shape = (channels, height, width)
        self._layers = layer_slices(layers)
        self._lattice = lattice(height, width)
        self._contexts = ContextModel(tables)
        self._rows = [self._layer_rows(own) for own in self._layers]
        self._symbol_of, self._value_of = _alphabets(tables)

    @property
    def layers(self) -> int:
        return len(self._layers)

    def encode(self, latent: np.ndarray, count: int | None = None) -> list[bytes]:
        """One stream for each of the first `count` layers (all by default)."""
        count = self.layers if count is None else count
        if not 1 <= count <= self.layers:
            raise ValueError(f"{count} layers asked of {self.layers}")
        planes, symbols = self._prepare(latent)
        return [self._encode_layer(k, planes, symbols) for k in range(count)]

    def decode(self, streams: Sequence[bytes]) -> np.ndarray:
        """The latent int8 [C, h, w] of the layers in `streams`; the layers after them are zero.

        Raises CodecError for streams that no latent encodes to. Time and memory depend on the latent's shape only.
        """
        if len(streams) > self.layers:
            raise CodecError(f"{len(streams)} layers received, the bundle has {self.layers}")
        channels, height, width = self.latent_shape
        planes = np.zeros((channels + self.layers, height * width), np.int16)
        for k, stream in enumerate(streams):
            self._decode_layer(k, stream, planes)
        latent = np.empty((channels, height * width), np.int8)
        latent[:, self._lattice.order] = planes[:channels]
        return latent.reshape(self.latent_shape)

    def ideal_bits(self, latent: np.ndarray) -> np.ndarray:
        """What the model says each layer takes, in bits, float64 [L]: the bound that `encode` comes close to."""
        planes, symbols = self._prepare(latent)
        tables, bits = self.tables, np.zeros(self.layers)
        frequencies = tables.frequencies.reshape(-1, tables.frequencies.shape[2])
        for k, own in enumerate(self._layers):
            escapes = symbols[own] == tables.sizes[own, None]
            for stage in self._lattice.stages:
                rows = self._contexts.rows(planes, own, stage)
                bits[k] -= np.log2(frequencies[rows, symbols[own, stage.places]] / TOTAL).sum()
            bits[k] += 8 * escapes.sum()
        return bits

    def _prepare(self, latent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All planes and the symbols int32 [C, places] of a latent, in coding order."""
        if latent.shape != self.latent_shape or latent.dtype != np.int8:
            raise ValueError(f"latent is {latent.dtype} {latent.shape}, not int8 {self.latent_shape}")
        values = latent.reshape(len(latent), -1)[:, self._lattice.order].astype(np.int16)
        return planes_of(values, self.tables.layers), self._symbols_of(slice(None), values)

    def _symbols_of(self, channels: slice, values: np.ndarray) -> np.ndarray:
        """Symbols int32 of values [channels, places]."""
        return self._symbol_of[channels].take(values + (128 + 256 * np.arange(len(values))[:, None]))

    def _encode_layer(self, k: int, planes: np.ndarray, symbols: np.ndarray) -> bytes:
        own, coder = self._layers[k], SymbolEncoder()
        for stage in self._lattice.stages:
            which = self._contexts.rows(planes, own, stage) - own.start * self._contexts.contexts
            self._encode_stage(coder, k, which, symbols[own, stage.places], planes[own, stage.places])
        return coder.stream()

    def _encode_stage(
        self, coder: SymbolEncoder, k: int, which: np.ndarray, symbols: np.ndarray, values: np.ndarray
    ) -> None:
        """Append a stage: its symbols channel by channel, then the values that were escaped."""
        coder.encode(symbols.ravel(), self._rows[k], which.ravel())
        escaped = symbols == self.tables.sizes[self._layers[k], None]
        if escaped.any():
            coder.encode_bytes(values[escaped].astype(np.int32) + 128)

    def _decode_layer(self, k: int, stream: bytes, planes: np.ndarray) -> None:
        own = self._layers[k]
        self._check_stream(k, stream)
        decoder, again = SymbolDecoder(stream), SymbolEncoder()
        for stage in self._lattice.stages:
            which = self._contexts.rows(planes, own, stage) - own.start * self._contexts.contexts
            symbols = decoder.decode(self._rows[k], which.ravel()).reshape(which.shape)
            values = self._values(k, symbols, decoder)
            planes[own, stage.places] = values
            self._encode_stage(again, k, which, symbols, values)
        if again.stream() != stream:
            raise CodecError(f"layer {k}: the stream is not what its content encodes to; it is damaged")
        if k + 1 < self.layers:
            before = planes[self.tables.channels + k].astype(np.int32)
            before += np.abs(planes[own]).sum(axis=0, dtype=np.int32)
            planes[self.tables.channels + k + 1] = np.minimum(before, MAX_ACTIVITY)

    def _values(self, k: int, symbols: np.ndarray, decoder: SymbolDecoder) -> np.ndarray:
        """The values of symbols [channels, places], those escaped read from `decoder`."""
        own = self._layers[k]
        width = self._value_of.shape[1]
        values = self._value_of[own].take(symbols + width * np.arange(len(symbols))[:, None])
        if values.max() >= _ESCAPE:
            if values.max() == _UNUSED:
                raise CodecError(
                    f"layer {k}: the stream has a symbol that the bundle's alphabet does not; it is damaged"
                )
            escaped = values == _ESCAPE
            values[escaped] = decoder.decode_bytes(int(escaped.sum())) - 128
            if (self._symbols_of(own, values) != symbols).any():
                raise CodecError(f"layer {k}: the stream escapes a value that needs no escape; it is damaged")
        return values

    def _check_stream(self, k: int, stream: bytes) -> None:
        """Refuse what no latent encodes to before any work is done on it."""
        own, places = self._layers[k], len(self._lattice.order)
        if len(stream) > (own.stop - own.start) * places * _SYMBOL_BITS // 8 + 8:
            raise CodecError(f"layer {k}: {len(stream)} bytes are more than any latent takes")
        if stream[-1:] == b"\0":
            raise CodecError(f"layer {k}: the stream ends in a zero byte, which an encoder leaves out")

    def _layer_rows(self, own: slice) -> np.ndarray:
        """The coder's weights float32 [channels * contexts, symbols] of a layer, no wider than it needs."""
        width = int(self.tables.sizes[own].max()) + 1
        rows = weights(self.tables.frequencies[own, :, :width])
        return rows.reshape(-1, width)


def _alphabets(tables: EntropyTables) -> tuple[np.ndarray, np.ndarray]:
    """Symbol by value + 128, int32 [C, 256], and value by symbol, int16 [C, S + 1]."""
    channels, size = tables.symbols.shape
    symbol_of = np.repeat(tables.sizes.astype(np.int32)[:, None], 256, axis=1)
    value_of = np.full((channels, size + 1), _UNUSED, np.int16)
    for c, count in enumerate(tables.sizes):
        symbol_of[c, tables.symbols[c, :count] + 128] = np.arange(count)
        value_of[c, :count] = tables.symbols[c, :count]
        value_of[c, count] = _ESCAPE
    return symbol_of, value_of
