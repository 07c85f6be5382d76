# SPDX-License-Identifier: Apache-2.0
"""Entropy tables: the integer model of a bundle's latents, and the file they live in.

Everything the entropy coder multiplies, compares or looks up is in here as integers, so that robot and edge,
whatever their processors, compute the same model (Balle et al., Integer Networks, ICLR 2019).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np

from nepi_ros.codec.npz import demand, read_npz, write_npz

FORMAT = 3
_WITHOUT_ESCAPES = 1  # the format in which all escaped values were equally likely
_FORMATS = (_WITHOUT_ESCAPES, 2, FORMAT)  # before 3 no value was coded given an earlier frame's
TOTAL = 1 << 16  # every row of frequencies sums to this
VALUES = 256
"""Values that an int8 may have, -128 to 127."""
MAX_CHANNELS = 1024
MAX_LAYERS = 255
MAX_PACES = 8
_MAX_ENTRIES = 1 << 22  # frequencies in all; 8 MiB as uint16

_demand = partial(demand, "entropy tables")


@dataclass(frozen=True, eq=False)
class EntropyTables:
    """The model of C channels in consecutive groups: layers, or layers that are the stages of one.

    A channel's alphabet is its values seen most in training, most frequent first, then an escape symbol, after which
    the value is coded by itself: short alphabets are fast. The row of frequencies for a symbol is chosen by two integer
    contexts:

    - what is known of the place from earlier groups: the value there of the plane `reference[c]`, compared with
      `reference_thresholds[c]`. Planes 0 to C-1 are the channels; plane C+k is the activity before group k, the
      sum of magnitudes over all earlier groups, at most 127;
    - what is known of the channel around the place: the sum of the four neighbours already coded, compared with
      `neighbour_thresholds[c]`.

    Context number = reference level * (2 B + 1) + j, where j is 0 without neighbours, 1 + level with diagonal
    ones and 1 + B + level with direct ones, B being the number of neighbour levels.

    Where the value that an earlier frame has at the same place is known, it is all the context there is: the row is
    number pace * (S + 1) + symbol of that value of `earlier`, whose P paces are for frames that are little or much like
    the earlier one.
    """

    layers: np.ndarray  # int32 [G], channels of each group
    sizes: np.ndarray  # int16 [C], values in the channel's alphabet; the escape symbol has this number
    symbols: np.ndarray  # int16 [C, S], the values by symbol
    reference: np.ndarray  # int16 [C], plane
    reference_thresholds: np.ndarray  # int16 [C, A-1], ascending; level = number of thresholds <= value
    neighbour_thresholds: np.ndarray  # int16 [C, B-1], likewise
    frequencies: np.ndarray  # uint16 [C, A * (2 B + 1), S + 1]; symbols past the escape have 0
    escapes: np.ndarray  # uint16 [C, 256], how often each value, from -128 on, is the one escaped
    earlier: np.ndarray  # uint16 [C, P * (S + 1), S + 1], like frequencies; P may be 0, not 1

    def __post_init__(self) -> None:
        _check(self)

    @property
    def channels(self) -> int:
        return len(self.sizes)

    @property
    def group_channels(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.layers)

    @property
    def neighbour_levels(self) -> int:
        return self.neighbour_thresholds.shape[1] + 1

    @property
    def reference_levels(self) -> int:
        return self.reference_thresholds.shape[1] + 1

    @property
    def paces(self) -> int:
        """How many kinds of likeness to an earlier frame there are; 0: values cannot be coded given one."""
        return self.earlier.shape[1] // self.earlier.shape[2]

    def symbol_of(self) -> np.ndarray:
        """The symbol, int32 [C, 256], of each value from -128 on; the escape symbol for those an alphabet lacks."""
        found = np.repeat(self.sizes.astype(np.int32)[:, None], VALUES, axis=1)
        for row, values, size in zip(found, self.symbols, self.sizes, strict=True):
            row[values[:size] + 128] = np.arange(size)
        return found

    def to_npz(self) -> bytes:
        """The tables as the bytes of an .npz file; equal tables give equal bytes."""
        return write_npz(vars(self), FORMAT)

    @classmethod
    def from_npz(cls, source: bytes | str | Path) -> "EntropyTables":
        """Read and check tables from a file or its bytes. Raises CodecError saying what is wrong."""
        arrays = read_npz(source, _FORMATS)
        if arrays["format"] == _WITHOUT_ESCAPES and "sizes" in arrays:
            arrays["escapes"] = np.full((arrays["sizes"].size, VALUES), TOTAL // VALUES, np.uint16)
        if arrays["format"] < FORMAT and {"sizes", "symbols"} <= set(arrays):
            arrays["earlier"] = nothing_earlier(arrays["sizes"], arrays["symbols"])
        wanted = [field.name for field in fields(cls)]
        missing = ", ".join(name for name in wanted if name not in arrays)
        _demand(not missing, f"the file has no {missing}")
        return cls(**{name: arrays[name] for name in wanted})


_TYPES = {
    "layers": (np.int32, 1), "sizes": (np.int16, 1), "symbols": (np.int16, 2), "reference": (np.int16, 1),
    "reference_thresholds": (np.int16, 2), "neighbour_thresholds": (np.int16, 2), "frequencies": (np.uint16, 3),
    "escapes": (np.uint16, 2), "earlier": (np.uint16, 3),
}  # fmt: skip


def _check(tables: EntropyTables) -> None:
    """Raise CodecError unless a coder can rely on every array."""
    for name, (dtype, rank) in _TYPES.items():
        array = getattr(tables, name)
        _demand(array.dtype == dtype and array.ndim == rank, f"{name} is {array.dtype} of rank {array.ndim}")
        array.flags.writeable = False
    channels, levels = len(tables.sizes), tables.reference_levels * (2 * tables.neighbour_levels + 1)
    _demand(0 < channels <= MAX_CHANNELS, f"{channels} channels")
    _demand(0 < len(tables.layers) <= MAX_LAYERS and (tables.layers > 0).all(), f"layers {tables.layers}")
    _demand(int(tables.layers.sum()) == channels, f"layers add up to {tables.layers.sum()}, not {channels}")
    values = tables.symbols.shape[1]
    _demand(tables.frequencies.shape == (channels, levels, values + 1), f"frequencies {tables.frequencies.shape}")
    _demand(tables.frequencies.size <= _MAX_ENTRIES and values <= 256, "too many frequencies")
    earlier = (channels, tables.earlier.shape[1], values + 1)
    _demand(tables.earlier.shape == earlier and earlier[1] % earlier[2] == 0, f"earlier {tables.earlier.shape}")
    _demand(tables.paces in (0, *range(2, MAX_PACES + 1)), f"{tables.paces} paces")
    _demand(tables.earlier.size <= _MAX_ENTRIES, "too many frequencies given an earlier frame")
    for name in ("symbols", "reference", "reference_thresholds", "neighbour_thresholds"):
        _demand(len(getattr(tables, name)) == channels, f"{name} is not for {channels} channels")
    _demand(bool(((tables.sizes > 0) & (tables.sizes <= values)).all()), "an alphabet is empty or too long")
    _demand(bool((np.abs(tables.symbols.astype(np.int32)) <= 128).all()), "symbols out of range")
    _demand(tables.escapes.shape == (channels, VALUES) and bool((tables.escapes > 0).all()), "an escape is impossible")
    _check_rows(tables)
    _check_references(tables)


def _check_rows(tables: EntropyTables) -> None:
    used = np.arange(tables.frequencies.shape[2]) <= tables.sizes[:, None]  # the escape included
    for rows in (tables.frequencies, tables.earlier):
        _demand(bool(((rows > 0) == used[:, None]).all()), "a frequency is zero, or set for no symbol")
    for rows in (tables.frequencies, tables.earlier, tables.escapes):
        _demand(bool((rows.sum(axis=-1, dtype=np.int64) == TOTAL).all()), f"a row does not sum to {TOTAL}")
    for values, size in zip(tables.symbols, tables.sizes, strict=True):
        alphabet = values[:size]
        _demand(len(np.unique(alphabet)) == size and alphabet.max() <= 127, "an alphabet repeats or exceeds int8")


def _check_references(tables: EntropyTables) -> None:
    first = 0
    for k, count in enumerate(tables.layers):
        own = tables.reference[first : first + count]
        known = ((own >= 0) & (own < first)) | (own == tables.channels + k)
        _demand(bool(known.all()), f"layer {k} refers to a plane that is not known before it")
        first += int(count)
    for name in ("reference_thresholds", "neighbour_thresholds"):
        _demand(
            bool((np.diff(getattr(tables, name).astype(np.int32), axis=1) >= 0).all()),
            f"{name} do not ascend",
        )


def nothing_earlier(sizes: np.ndarray, symbols: np.ndarray) -> np.ndarray:
    """`earlier` of channels whose values are never coded given an earlier frame's."""
    return np.zeros((sizes.size, 0, (symbols.shape or (0,))[-1] + 1), np.uint16)


def layer_slices(layers: Sequence[int]) -> list[slice]:
    """The channels of each layer."""
    ends = np.cumsum([int(n) for n in layers])
    return [slice(int(end) - int(n), int(end)) for n, end in zip(layers, ends, strict=True)]
