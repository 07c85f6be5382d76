# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nepi_ros.codec.rangecoder import SymbolDecoder, SymbolEncoder, weights
from nepi_ros.codec.tables import TOTAL
from nepi_ros.errors import CodecError


def random_rows(random, count, used, width):
    rows = np.zeros((count, width), np.uint16)
    for row in rows:
        cuts = np.sort(random.choice(np.arange(1, TOTAL), used - 1, replace=False))
        row[:used] = np.diff(np.concatenate([[0], cuts, [TOTAL]]))
    return rows


@given(st.integers(2, 257), st.integers(0, 20), st.integers(0, 99))
def test_weights_leave_constriction_nothing_to_round(used, unused, seed):
    rows = random_rows(np.random.default_rng(seed), 3, used, used + unused)
    made = weights(rows)
    assert made.dtype == np.float32 and (made >= 0).all()
    assert (made.astype(np.int64).sum(axis=1) == (1 << 24) - made.shape[1]).all()
    assert np.array_equal(made, made.astype(np.int64))
    least = made.astype(np.int64) + 1 - (rows.astype(np.int64) << 8)
    assert (np.abs(least).sum(axis=1) == 2 * unused).all()  # 2^-24 for each unused symbol, taken from one other


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 400), st.integers(2, 30), st.integers(0, 10_000))
def test_streams_are_shortest_and_survive_whatever_zeros_follow(count, used, seed):
    random = np.random.default_rng(seed)
    rows = random_rows(random, 5, used, used)
    which = random.integers(0, 5, count)
    symbols = np.array([random.choice(used, p=rows[i] / TOTAL) for i in which], np.int32)
    coder = SymbolEncoder()
    coder.encode(symbols, weights(rows), which)
    stream = coder.stream()
    ideal = -np.log2(rows[which, symbols] / TOTAL).sum() / 8
    assert len(stream) <= ideal + 1.01 and not stream.endswith(b"\0")
    for zeros in (0, 1, 5) if count else ():
        assert np.array_equal(SymbolDecoder(stream + bytes(zeros)).decode(weights(rows), which), symbols)


BYTES = weights(np.full((1, 256), TOTAL // 256))


def test_bytes_take_eight_bits():
    coder, values, same = SymbolEncoder(), np.arange(256, dtype=np.int32)[::-1].copy(), np.zeros(256, np.intp)
    coder.encode(values, BYTES, same)
    assert 255 <= len(coder.stream()) <= 257
    assert np.array_equal(SymbolDecoder(coder.stream()).decode(BYTES, same), values)


def test_the_last_of_all_intervals_ends_without_overflow():
    coder, same = SymbolEncoder(), np.zeros(9, np.intp)
    coder.encode(np.full(9, 255, np.int32), BYTES, same)
    assert SymbolDecoder(coder.stream()).decode(BYTES, same).tolist() == [255] * 9


def test_damage_that_constriction_notices_is_a_codec_error():
    decoder = SymbolDecoder(b"\xff" * 8)
    with pytest.raises(CodecError, match="damaged"):
        for _ in range(1000):
            decoder.decode(BYTES, np.zeros(3, np.intp))
            decoder.decode(weights(np.array([[TOTAL // 3, TOTAL - TOTAL // 3]])), np.zeros(50, np.intp))
