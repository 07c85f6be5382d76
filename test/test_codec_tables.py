# SPDX-License-Identifier: Apache-2.0
import io
import zipfile

import golden
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nepi_ros.codec import EntropyTables, LayeredCoder, LayerShape, fit_tables
from nepi_ros.codec.fitting import MOST_SYMBOLS
from nepi_ros.codec.tables import TOTAL
from nepi_ros.errors import CodecError

TABLES = fit_tables(golden.latents(40, seed=1), golden.LAYERS, pairs_by_pace=golden.film_pairs(40))
DATA = TABLES.to_npz()


def changed(name, change):
    arrays = {key: np.array(value) for key, value in vars(TABLES).items()}
    arrays[name] = change(arrays[name])
    return EntropyTables(**arrays)


def put(index, value):
    def change(array):
        array[index] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("layers", lambda a: a[:-1]),
        ("layers", lambda a: a.astype(np.int64)),
        ("layers", put(0, 0)),
        ("layers", put(0, -1)),
        ("sizes", put(0, 0)),
        ("sizes", put(0, 30_000)),
        ("sizes", lambda a: a - 1),
        ("symbols", put((0, 0), 200)),
        ("symbols", put((0, 0), -32768)),
        ("symbols", lambda a: np.zeros_like(a)),
        ("reference", put(0, 1)),
        ("reference", put(0, -1)),
        ("reference", put(5, 5)),
        ("reference", put(5, 99)),
        ("reference_thresholds", lambda a: a[:, ::-1].copy()),
        ("neighbour_thresholds", lambda a: a[:-1]),
        ("neighbour_thresholds", lambda a: a[:, :-1]),
        ("frequencies", put((0, 0, 0), 0)),
        ("frequencies", lambda a: a + np.uint16(1)),
        ("frequencies", lambda a: a[:, :-1]),
        ("frequencies", lambda a: a.astype(np.float32)),
        ("earlier", lambda a: a[:, : a.shape[2]]),
        ("earlier", lambda a: a[:, :-1]),
        ("earlier", lambda a: np.tile(a, (1, 5, 1))),
        ("earlier", put((0, 0, 0), 0)),
        ("earlier", lambda a: a + np.uint16(1)),
        ("escapes", put((0, 0), 0)),
        ("escapes", lambda a: a[:, :-1]),
        ("escapes", lambda a: a + np.uint16(1)),
    ],
)
def test_tables_a_coder_cannot_rely_on_are_refused(name, change):
    with pytest.raises(CodecError, match="entropy tables: .*restore"):
        changed(name, change)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_files_are_read_or_refused(data):
    content = bytearray(DATA)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    try:
        EntropyTables.from_npz(bytes(content))
    except CodecError:
        pass


def test_files_of_another_kind_are_refused(tmp_path):
    with pytest.raises(CodecError, match="gone.npz"):
        EntropyTables.from_npz(tmp_path / "gone.npz")
    for content in (b"", b"PK", np.arange(3).tobytes()):
        with pytest.raises(CodecError):
            EntropyTables.from_npz(content)


@pytest.mark.parametrize("entry", ["format", "sizes"])
def test_an_array_missing_or_of_another_format_is_named(entry):
    buffer = io.BytesIO()
    arrays = {"format": np.int32(3), **vars(TABLES)}
    arrays[entry] = np.int32(4)
    np.savez(buffer, **arrays)
    with pytest.raises(CodecError, match=entry):
        EntropyTables.from_npz(buffer.getvalue())


def test_tables_from_before_there_were_films_code_frames_by_themselves():
    buffer, former = io.BytesIO(), {k: v for k, v in vars(TABLES).items() if k != "earlier"}
    np.savez(buffer, **{"format": np.int32(2), **former})
    tables = EntropyTables.from_npz(buffer.getvalue())
    assert tables.paces == 0 and np.array_equal(tables.frequencies, TABLES.frequencies)


def test_tables_without_escapes_take_all_values_for_equally_likely():
    buffer = io.BytesIO()
    np.savez(buffer, **{"format": np.int32(1), **{k: v for k, v in vars(TABLES).items() if k != "escapes"}})
    assert (EntropyTables.from_npz(buffer.getvalue()).escapes == 256).all()


def test_an_array_that_is_missing_is_named():
    buffer = io.BytesIO()
    np.savez(buffer, **{"format": np.int32(3), **{k: v for k, v in vars(TABLES).items() if k != "escapes"}})
    with pytest.raises(CodecError, match="has no escapes"):
        EntropyTables.from_npz(buffer.getvalue())


def test_pickles_are_not_loaded():
    buffer = io.BytesIO()
    np.savez(buffer, **{"format": np.int32(3), **vars(TABLES), "sizes": np.array([print], object)})
    with pytest.raises(CodecError, match="pickle"):
        EntropyTables.from_npz(buffer.getvalue())


def test_files_that_unpack_to_too_much_are_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("format.npy", b"\0" * (200 << 20))
    with pytest.raises(CodecError, match="unpacks to"):
        EntropyTables.from_npz(buffer.getvalue())


def test_fitted_frequencies_favour_what_is_frequent():
    latents = np.zeros((10, 8, 8), np.int8)
    latents[:, ::4] = 1
    tables = fit_tables(latents.reshape(10, 64), (LayerShape(1, 8, 8),))
    assert tables.symbols[0].tolist() == [0, 1] and tables.sizes[0] == 2
    assert (tables.frequencies.sum(axis=2, dtype=int) == TOTAL).all()
    used = tables.frequencies[0, 1:6, :2].astype(int)  # diagonal neighbours tell the rows apart
    assert used[0, 0] > 0.7 * TOTAL and used.max(axis=1).min() > 0.5 * TOTAL


def test_rare_values_are_escaped_and_cost_what_they_are_worth():
    random, shape = np.random.default_rng(0), LayerShape(1, 16, 16)
    latents = np.rint(random.laplace(0, 6, (40, shape.size))).clip(-127, 127).astype(np.int8)
    tables = fit_tables(latents, (shape,))
    assert tables.sizes[0] == MOST_SYMBOLS
    coder = LayeredCoder(tables, (shape,))
    spent = np.mean([len(coder.code(latent).segment(0, 1).stream) for latent in latents])
    share = np.bincount(latents.ravel().astype(int) + 128) / latents.size
    entropy = -(share[share > 0] * np.log2(share[share > 0])).sum() * shape.size / 8
    assert spent < 1.03 * entropy + 1


def test_fitting_refuses_latents_that_do_not_fit():
    for latents in (np.zeros((0, 18), np.int8), np.zeros((1, 27), np.int8), np.zeros((1, 18), np.int16)):
        with pytest.raises(ValueError, match="latents"):
            fit_tables(latents, (LayerShape(1, 3, 3), LayerShape(1, 3, 3)))


def test_fitting_is_repeatable():
    latents = golden.latents(5, seed=9)
    assert fit_tables(latents, golden.LAYERS).to_npz() == fit_tables(latents, golden.LAYERS).to_npz()
