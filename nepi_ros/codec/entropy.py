# SPDX-License-Identifier: Apache-2.0
"""The layered entropy coder: a latent to one stream of bytes per layer, and back from any prefix of layers."""

from collections.abc import Sequence

import numpy as np

from nepi_ros.codec.arrangement import Arrangement, LayerShape
from nepi_ros.codec.contexts import ContextModel
from nepi_ros.codec.rangecoder import SymbolDecoder, SymbolEncoder, weights
from nepi_ros.codec.tables import TOTAL, EntropyTables, layer_slices
from nepi_ros.errors import CodecError

__all__ = ["EntropyTables", "LayeredCoder"]

MAX_VALUES = 1 << 20  # values in one latent
_ESCAPE = 1000  # stands for the escape symbol among decoded values; beyond any int8
_UNUSED = 2000  # a symbol that the channel's alphabet does not have
_SYMBOL_BITS = 16 + 8  # the rarest symbol, escaped


class LayeredCoder:
    """Codes flat latents int8 [T]. Safe to use from several threads: it keeps no state between calls.

    A layer's stream depends on that layer and the layers before it. Each latent has exactly one sequence of
    streams; a stream that is not the one its content would be encoded to is refused.
    """

    def __init__(self, tables: EntropyTables, shapes: Sequence[LayerShape]) -> None:
        """Raises CodecError when tables and shapes do not belong together."""
        channels = tuple(shape.channels for shape in shapes)
        if channels != tables.layer_channels:
            raise CodecError(f"entropy tables are for layers {tables.layer_channels}, not {channels}")
        size = sum(shape.size for shape in shapes)
        if min(shape.size for shape in shapes) < 1 or size > MAX_VALUES:
            raise CodecError(f"a latent of {size} values is empty somewhere, or has over {MAX_VALUES}")
        self.tables, self.shapes, self.size = tables, tuple(shapes), size
        self._arrangement = Arrangement(shapes)
        self._contexts = ContextModel(tables, self._arrangement)
        self._channels = layer_slices(channels)
        self._rows = [self._layer_rows(own) for own in self._channels]
        self._symbol_of, self._value_of = _alphabets(tables)

    @property
    def layers(self) -> int:
        return len(self.shapes)

    def encode(self, latent: np.ndarray, count: int | None = None) -> list[bytes]:
        """One stream for each of the first `count` layers (all by default)."""
        count = self.layers if count is None else count
        if not 1 <= count <= self.layers:
            raise ValueError(f"{count} layers asked of {self.layers}")
        known, rows, symbols = self._prepare(latent)
        return [self._encode_layer(k, known, rows, symbols) for k in range(count)]

    def decode(self, streams: Sequence[bytes]) -> np.ndarray:
        """The flat latent int8 [T] of the layers in `streams`; the layers after them are zero.

        Raises CodecError for streams that no latent encodes to. Time and memory depend on the layers' shapes only.
        """
        if len(streams) > self.layers:
            raise CodecError(f"{len(streams)} layers received, the bundle has {self.layers}")
        known = self._arrangement.new_known()
        for k, stream in enumerate(streams):
            self._decode_layer(k, stream, known)
        latent = np.empty(self.size, np.int8)
        latent[self._arrangement.order] = known[: self.size]
        return latent

    def ideal_bits(self, latent: np.ndarray) -> np.ndarray:
        """What the model says each layer takes, in bits, float64 [L]: the bound that `encode` comes close to."""
        _, rows, symbols = self._prepare(latent)
        frequencies = self.tables.frequencies.reshape(-1, self.tables.frequencies.shape[2])
        bits = -np.log2(frequencies[rows, symbols] / TOTAL) + 8 * self._escaped(symbols, slice(None))
        return np.array([bits[part].sum() for part in self._arrangement.layers])

    def _prepare(self, latent: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All that is known of a latent, and the rows and symbols int32 of all its values, in coding order."""
        if latent.shape != (self.size,) or latent.dtype != np.int8:
            raise ValueError(f"latent is {latent.dtype} {latent.shape}, not int8 {(self.size,)}")
        known, everything = self._arrangement.whole(latent), slice(0, self.size)
        return known, self._contexts.rows(known, everything), self._symbols_of(known, everything)

    def _symbols_of(self, known: np.ndarray, part: slice) -> np.ndarray:
        return self._symbol_of.take(known[part] + 128 + 256 * self._arrangement.channel[part])

    def _escaped(self, symbols: np.ndarray, part: slice) -> np.ndarray:
        """Which symbols stand for a value that the alphabet lacks."""
        return symbols == self.tables.sizes.take(self._arrangement.channel[part])

    def _encode_layer(self, k: int, known: np.ndarray, rows: np.ndarray, symbols: np.ndarray) -> bytes:
        coder = SymbolEncoder()
        for part in self._parts(k, symbols):
            self._encode_part(coder, k, part, known, rows[part], symbols[part])
        return coder.stream()

    def _parts(self, k: int, symbols: np.ndarray) -> list[slice]:
        """A layer's stages; or the whole at once, which gives the same stream faster, when nothing is escaped."""
        own = self._arrangement.layers[k]
        return self._arrangement.stages[k] if self._escaped(symbols[own], own).any() else [own]

    def _encode_part(
        self, coder: SymbolEncoder, k: int, part: slice, known: np.ndarray, rows: np.ndarray, symbols: np.ndarray
    ) -> None:
        """Append symbols, then the values that were escaped."""
        coder.encode(symbols, self._rows[k], rows - self._channels[k].start * self._contexts.contexts)
        escaped = self._escaped(symbols, part)
        if escaped.any():
            coder.encode_bytes(known[part][escaped].astype(np.int32) + 128)

    def _decode_layer(self, k: int, stream: bytes, known: np.ndarray) -> None:
        self._check_stream(k, stream)
        decoder, again = SymbolDecoder(stream), SymbolEncoder()
        for part in self._arrangement.stages[k]:
            rows = self._contexts.rows(known, part)
            symbols = decoder.decode(self._rows[k], rows - self._channels[k].start * self._contexts.contexts)
            self._place_values(k, part, symbols, decoder, known)
            self._encode_part(again, k, part, known, rows, symbols)
        if again.stream() != stream:
            raise CodecError(f"layer {k}: the stream is not what its content encodes to; it is damaged")
        self._arrangement.add_activity(known, k)

    def _place_values(
        self, k: int, part: slice, symbols: np.ndarray, decoder: SymbolDecoder, known: np.ndarray
    ) -> None:
        """Put the values of symbols into `known`, those escaped read from `decoder`."""
        values = self._value_of.take(symbols + self._value_of.shape[1] * self._arrangement.channel[part])
        known[part] = values
        if values.max() >= _ESCAPE:
            if values.max() == _UNUSED:
                raise CodecError(
                    f"layer {k}: the stream has a symbol that the bundle's alphabet does not; it is damaged"
                )
            escaped = values == _ESCAPE
            values[escaped] = decoder.decode_bytes(int(escaped.sum())) - 128
            known[part] = values
            if (self._symbols_of(known, part) != symbols).any():
                raise CodecError(f"layer {k}: the stream escapes a value that needs no escape; it is damaged")

    def _check_stream(self, k: int, stream: bytes) -> None:
        """Refuse what no latent encodes to before any work is done on it."""
        if len(stream) > self.shapes[k].size * _SYMBOL_BITS // 8 + 8:
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
