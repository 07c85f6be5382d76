# SPDX-License-Identifier: Apache-2.0
"""Maps of classes: their lattice, their tables, and their place among the layers of a latent."""

import io
import tracemalloc
import zipfile
from itertools import pairwise

import golden
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nepi_ros.codec import (
    ClassTables,
    Kind,
    LayeredCoder,
    LayerShape,
    Segment,
    class_layers,
    fit_class_tables,
    fit_tables,
)
from nepi_ros.codec.classlattice import class_lattice
from nepi_ros.codec.classmap import NOTHING, ClassMapCoder, MapReader
from nepi_ros.codec.rangecoder import SymbolDecoder, SymbolEncoder
from nepi_ros.errors import CodecError

HEIGHT, WIDTH, CLASSES = 23, 30, 6
NUMBERS = (LayerShape(3, 1, 1), LayerShape(1, 3, 4), LayerShape(2, 6, 8))


MAPS = golden.maps(80, 0, HEIGHT, WIDTH, CLASSES)
TABLES = fit_class_tables(MAPS[:60], CLASSES)
CODER = ClassMapCoder(TABLES, HEIGHT, WIDTH)


def mixed_coder() -> tuple[LayeredCoder, np.ndarray]:
    """A coder whose layers of numbers lie between those of a map, and latents for it."""
    random = np.random.default_rng(1)
    numbers = random.integers(-3, 4, (80, sum(layer.size for layer in NUMBERS))).astype(np.int8)
    parts = class_layers(HEIGHT, WIDTH, CLASSES)
    shapes = (NUMBERS[0], *parts[:4], *NUMBERS[1:], *parts[4:])
    latents = np.concatenate([numbers, MAPS.reshape(len(MAPS), -1)], axis=1)
    return LayeredCoder(fit_tables(numbers, NUMBERS), shapes, TABLES), latents


MIXED, LATENTS = mixed_coder()
STREAM = MIXED.code(LATENTS[-1]).segment(0, MIXED.layers).stream


def test_golden_epitomes_decode_to_their_latents():
    coder, latents, frames = golden.load_mapped()
    for latent, epitomes in zip(latents, frames, strict=True):
        for segments in epitomes:
            assert np.array_equal(coder.decode(segments), latent)
            assert [coder.code(latent).segment(s.first, s.count) for s in segments] == segments


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (2, 2), (3, 5), (HEIGHT, WIDTH), (92, 120)])
def test_every_place_comes_once_and_after_its_neighbours(size):
    lattice = class_lattice(*size)
    assert sorted(lattice.order) == list(range(size[0] * size[1]))
    for begin, end in list(pairwise(lattice.stages))[1:]:
        assert lattice.around[:, begin:end].max() < begin
    assert lattice.parts[0] == 0 and lattice.parts[-1] == len(lattice.order)
    assert all(a < b for a, b in pairwise(lattice.parts))


def test_neighbours_are_the_nearest_known_places():
    lattice = class_lattice(33, 33)
    y, x = np.divmod(lattice.order, 33)
    for begin, end in list(pairwise(lattice.stages))[-2:]:
        far = np.hypot(y[lattice.around[:, begin:end]] - y[begin:end], x[lattice.around[:, begin:end]] - x[begin:end])
        assert np.unique(far.round(3)).size == 1


def test_grids_are_complete_where_they_say():
    lattice = class_lattice(92, 120)
    for distance, parts in lattice.grids.items():
        y, x = np.divmod(lattice.order[: lattice.parts[parts]], 120)
        grid = {(a, b) for a in range(0, 92, distance) for b in range(0, 120, distance)}
        assert not parts or grid <= set(zip(y.tolist(), x.tolist(), strict=True))
    assert lattice.grids[1] == len(lattice.parts) - 1


def test_maps_like_those_fitted_take_few_bytes_and_come_back():
    sizes = []
    for one in MAPS[60:]:
        coded, encoder = CODER.code(one.ravel()), SymbolEncoder()
        CODER.write(encoder, coded, 0, CODER.parts)
        stream, reader = encoder.stream(), MapReader(CODER)
        reader.read(SymbolDecoder(stream), 0, CODER.parts)
        assert np.array_equal(reader.raster(CODER.parts), one.ravel())
        assert len(stream) <= CODER.bits(coded).sum() / 8 + 1
        sizes.append(len(stream))
    assert np.mean(sizes) < 0.15 * CODER.size * np.log2(CLASSES) / 8


def test_what_is_missing_is_what_is_likeliest():
    right = []
    for one in MAPS[60:]:
        near = [(CODER.prefix(one.ravel(), part) == one.ravel()).mean() for part in range(1, CODER.parts + 1)]
        right.append(near)
        assert near[-1] == 1.0
    right = np.mean(right, axis=0)
    assert right[0] > 0.6 and right[len(right) // 2] > 0.85 and (np.diff(right) > -0.01).all()
    assert (CODER.prefix(MAPS[0].ravel(), 0) == NOTHING).all()


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(2, 32), st.integers(0, 99))
def test_every_map_survives(height, width, classes, seed):
    random = np.random.default_rng(seed)
    maps = random.integers(0, classes, (3, height, width)).astype(np.int8)
    coder = ClassMapCoder(fit_class_tables(maps[:2], classes), height, width)
    encoder, reader = SymbolEncoder(), MapReader(coder)
    coder.write(encoder, coder.code(maps[2].ravel()), 0, coder.parts)
    reader.read(SymbolDecoder(encoder.stream()), 0, coder.parts)
    assert np.array_equal(reader.raster(coder.parts), maps[2].ravel())


def test_what_is_no_class_is_refused():
    for wrong in (-1, CLASSES):
        with pytest.raises(ValueError, match="of 6"):
            CODER.code(np.full(CODER.size, wrong, np.int8))


@settings(deadline=None, max_examples=60)
@given(st.sets(st.integers(1, MIXED.layers - 1), max_size=4), st.integers(60, 79))
def test_layers_of_both_kinds_decode_however_they_are_cut(cuts, frame):
    coded, bounds = MIXED.code(LATENTS[frame]), [0, *sorted(cuts), MIXED.layers]
    segments = [coded.segment(a, b - a) for a, b in pairwise(bounds)]
    assert np.array_equal(MIXED.decode(segments), LATENTS[frame])
    for count in range(1, len(segments)):
        assert np.array_equal(MIXED.decode(segments[:count]), MIXED.prefix(LATENTS[frame], bounds[count]))


@pytest.mark.parametrize("kind", [Kind.NUMBERS, Kind.CLASSES])
def test_layers_of_one_kind_alone_cost_no_more_than_they_must(kind):
    count = sum(layer.size for layer in NUMBERS)
    for latent in LATENTS[60:65]:
        both, alone = MIXED.code(latent), MIXED.code(latent, kind)
        got = MIXED.decode([alone.segment(0, 5), alone.segment(5, MIXED.layers - 5)], kind)
        wanted = latent.copy()
        if kind is Kind.NUMBERS:
            wanted[count:] = NOTHING
        else:
            wanted[:count] = 0
        assert np.array_equal(got, wanted)
        assert 0 < alone.bits[-1] < both.bits[-1]
    halves = [MIXED.code(LATENTS[60], kind).bits for kind in (Kind.NUMBERS, Kind.CLASSES)]
    assert sum(halves) == pytest.approx(MIXED.code(LATENTS[60]).bits)


def test_coded_size_is_close_to_the_model():
    for latent in LATENTS[60:]:
        coded = MIXED.code(latent)
        excess = [len(coded.segment(0, k).stream) - coded.bits[k] / 8 for k in range(1, MIXED.layers + 1)]
        assert max(excess) <= 1.01


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=500), st.data())
def test_damaged_streams_are_decoded_or_refused_within_their_memory(noise, data):
    stream = bytearray(STREAM)
    for place in data.draw(st.lists(st.integers(0, len(stream) - 1), max_size=5)):
        stream[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(stream)))
    tracemalloc.start()
    try:
        for damaged in (bytes(stream), bytes(stream[:cut]), noise):
            try:
                latent = MIXED.decode([Segment(0, MIXED.layers, damaged)])
            except CodecError:
                continue
            assert latent.shape == (MIXED.size,) and latent.dtype == np.int8
            places = latent[-HEIGHT * WIDTH :]
            assert places.min() >= 0 and places.max() < CLASSES
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_tables_survive_their_file_and_equal_ones_give_equal_bytes():
    again = ClassTables.from_npz(TABLES.to_npz())
    assert np.array_equal(again.contexts, TABLES.contexts) and np.array_equal(again.frequencies, TABLES.frequencies)
    assert again.to_npz() == fit_class_tables(MAPS[:60], CLASSES).to_npz()


def test_contexts_that_are_listed_have_the_rows_that_are_found_otherwise(monkeypatch):
    random = np.random.default_rng(3)
    around, stage = random.integers(0, CLASSES, (4, 5000)), random.integers(0, TABLES.stages, 5000)
    listed = TABLES.rows(around, stage)
    monkeypatch.setattr("nepi_ros.codec.classtables._MAX_LISTED", 0)
    assert np.array_equal(ClassTables(TABLES.contexts, TABLES.frequencies).rows(around, stage), listed)
    assert (listed < len(TABLES.contexts)).any() and (listed >= len(TABLES.contexts)).any()


def test_many_classes_in_disorder_still_give_tables_that_are_read():
    maps = np.random.default_rng(0).integers(0, 32, (130, 92, 120)).astype(np.int8)
    tables = fit_class_tables(maps, 32)
    assert ClassTables.from_npz(tables.to_npz()).classes == 32
    coder = ClassMapCoder(tables, 92, 120)
    assert coder.bits(coder.code(maps[0].ravel())).sum() / coder.size == pytest.approx(5.0, rel=0.1)


def changed(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    whole = {"format": np.int32(1), "contexts": TABLES.contexts, "frequencies": TABLES.frequencies}
    np.savez(buffer, **whole | arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "arrays",
    [
        {"format": np.int32(9)},
        {"contexts": TABLES.contexts[::-1].copy()},
        {"contexts": TABLES.contexts.astype(np.int32)},
        {"frequencies": TABLES.frequencies[:-1]},
        {"frequencies": TABLES.frequencies[:, :-1]},
        {"frequencies": np.zeros_like(TABLES.frequencies)},
        {"frequencies": TABLES.frequencies[:0]},
        {"format": np.array([1, 1])},
    ],
)
def test_broken_tables_are_refused(arrays):
    with pytest.raises(CodecError, match="restore or re-export"):
        ClassTables.from_npz(changed(**arrays))


@pytest.mark.parametrize("header", [b"{'descr': (", b"\xff" * 30])
def test_a_file_that_numpy_cannot_parse_is_refused(header):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("format.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(CodecError, match="restore or re-export"):
        ClassTables.from_npz(buffer.getvalue())


def test_layers_that_make_up_no_map_are_refused():
    numbers, parts = fit_tables(LATENTS[:, : -HEIGHT * WIDTH], NUMBERS), class_layers(HEIGHT, WIDTH, CLASSES)
    for layers, tables in ((parts[1:], TABLES), (parts[::-1], TABLES), (parts, None)):
        with pytest.raises(CodecError, match="map of"):
            LayeredCoder(numbers, (*NUMBERS, *layers), tables)
    with pytest.raises(CodecError, match="stages"):
        LayeredCoder(numbers, (*NUMBERS, *class_layers(9, 9, CLASSES)), TABLES)
