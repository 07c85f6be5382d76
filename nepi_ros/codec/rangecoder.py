# SPDX-License-Identifier: Apache-2.0
"""Range coding of symbols with integer frequencies, to the byte, on top of `constriction`.

constriction takes a model as floats and turns them into integers: with `perfect=False`, n symbols of weights F
get the cumulative frequencies floor(sum(F before) * (2^24 - n) / sum(F)) + index. The weights made here
(`weights`) are integers that sum to exactly 2^24 - n. The quotient is then exactly 1, and every sum and product is
an integer below 2^24, exact in float32 whatever the order or fusion of operations: the symbol's probability is
(F + 1) / 2^24 = frequency / 2^16 on every machine. No rounding takes place anywhere.
"""

from collections.abc import Sequence

import constriction
import numpy as np

from nepi_ros.codec.tables import TOTAL
from nepi_ros.errors import CodecError

_PRECISION = 1 << 24  # fixed-point one of constriction's default coders
_SCALE = _PRECISION // TOTAL
_FAMILY = constriction.stream.model.Categorical(perfect=False)
_CHUNK = 1 << 21  # floats gathered at once: 8 MiB


def weights(frequencies: np.ndarray) -> np.ndarray:
    """The rows that make constriction use `frequencies` (integers [..., n], rows summing to 2^16, 0 = unused).

    An unused symbol keeps constriction's least weight, 2^-24, taken from the most frequent one.
    Returns float32 [..., n].
    """
    scaled = frequencies.astype(np.int64) * _SCALE
    unused = (scaled == 0).sum(axis=-1)
    rows = np.maximum(scaled - 1, 0)
    top = rows.argmax(axis=-1)[..., None]
    np.put_along_axis(rows, top, np.take_along_axis(rows, top, axis=-1) - unused[..., None], axis=-1)
    return rows.astype(np.float32)


class SymbolEncoder:
    """Encodes symbols into one stream."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def encode(self, symbols: np.ndarray, rows: np.ndarray, which: np.ndarray) -> None:
        """Append `symbols` int32 [n], symbol i with the weights rows[which[i]]."""
        for part in _parts(len(symbols), rows):
            self._coder.encode(symbols[part], _FAMILY, rows.take(which[part], axis=0))

    def stream(self) -> bytes:
        """The shortest bytes that decode to what was encoded, whatever number of zero bytes follows.

        The coder is left with an interval of numbers that all decode alike; constriction writes one of whole
        32-bit words. We write the one with the most zero bytes at its end, and not those.
        """
        words = self._coder.get_compressed()
        position, (lower, width) = self._coder.pos()  # the interval starts at `lower` mod 2^64, 64 bits past `position`
        spare = max(len(words) - (position + 2), 0)
        code = int.from_bytes(words.astype(">u4").tobytes(), "big") << 32 * (position + 2 + spare - len(words))
        code >>= 32 * spare
        start = code - (code - lower) % (1 << 64)
        code = _roundest(start, start + width)
        return code.to_bytes(4 * (position + 2), "big").rstrip(b"\0")


class SymbolDecoder:
    """Decodes symbols from one stream; bytes past its end are taken as zeros."""

    def __init__(self, stream: bytes) -> None:
        padded = stream.ljust(-(-len(stream) // 4) * 4, b"\0")
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, ">u4").astype(np.uint32))

    def decode(self, rows: np.ndarray, which: np.ndarray) -> np.ndarray:
        """The next len(which) symbols, int32. Raises CodecError when no symbols lead to such a stream."""
        return _join([self._decode(rows.take(which[part], axis=0)) for part in _parts(len(which), rows)])

    def _decode(self, rows: np.ndarray) -> np.ndarray:
        try:
            return self._coder.decode(_FAMILY, rows)
        except (AssertionError, ValueError) as error:  # how constriction reports invalid data
            raise CodecError("a layer's stream is damaged: no symbols lead to it") from error


def _roundest(start: int, end: int) -> int:
    """The number in [start, end) with the most zero bytes at its end."""
    for zeros in range(9, 0, -1):
        unit = 1 << 8 * zeros
        candidate = -(-start // unit) * unit
        if candidate < end:
            return candidate
    return start


def _parts(count: int, rows: np.ndarray) -> list[slice]:
    step = max(_CHUNK // rows.shape[1], 1)
    return [slice(start, start + step) for start in range(0, count, step)]


def _join(parts: Sequence[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
