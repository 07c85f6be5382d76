# SPDX-License-Identifier: Apache-2.0
"""Fits entropy tables to latents of training frames. Floats are used here and end here: the tables are integers."""

from collections.abc import Sequence

import numpy as np

from nepi_ros.codec.contexts import ContextModel, planes_of
from nepi_ros.codec.lattice import Lattice, lattice
from nepi_ros.codec.tables import TOTAL, EntropyTables, layer_slices

REFERENCE_LEVELS = 5
NEIGHBOUR_LEVELS = 9
_SMOOTHING = 0.4  # counts added to each symbol of a channel's marginal
_BACKOFF = 30.0  # counts by which the coarser estimate enters a finer one
_SAMPLE = 200_000  # places used to choose references and thresholds


def fit_tables(
    latents: np.ndarray,
    layers: Sequence[int],
    reference_levels: int = REFERENCE_LEVELS,
    neighbour_levels: int = NEIGHBOUR_LEVELS,
) -> EntropyTables:
    """The tables that code latents like `latents` int8 [N, C, h, w] in few bytes.

    `layers` gives each layer's number of channels. Rows seldom used are mixed with the channel's row for the same
    neighbours, and that with the channel's marginal, so that few frames are enough.
    """
    count, channels, height, width = latents.shape
    if not count or latents.dtype != np.int8 or sum(layers) != channels:
        raise ValueError(f"need int8 latents of {sum(layers)} channels, got {latents.dtype} {latents.shape}")
    grid = lattice(height, width)
    planes = np.stack([_planes(latent, layers, grid.order) for latent in latents])
    symbols, sizes = _alphabets(planes[:, :channels])
    reference, reference_thresholds = _references(planes, layers, reference_levels)
    draft = EntropyTables(
        layers=np.asarray(layers, np.int32),
        sizes=sizes,
        symbols=symbols,
        reference=reference,
        reference_thresholds=reference_thresholds,
        neighbour_thresholds=_neighbour_thresholds(planes[:, :channels], grid, neighbour_levels),
        frequencies=_uniform(sizes, reference_levels * (2 * neighbour_levels + 1), symbols.shape[1] + 1),
    )
    counts = _count(planes, draft, grid)
    return EntropyTables(**{**vars(draft), "frequencies": _frequencies(counts, sizes, reference_levels)})


def _planes(latent: np.ndarray, layers: Sequence[int], order: np.ndarray) -> np.ndarray:
    return planes_of(latent.reshape(len(latent), -1)[:, order].astype(np.int16), np.asarray(layers))


def _alphabets(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each channel's values, most frequent first [C, S], and how many [C], from [N, C, places].

    Gaps between seen values are filled: a value between two seen ones is not worth an escape.
    """
    alphabets = []
    for channel in np.moveaxis(values, 1, 0):
        low = int(channel.min())
        counts = np.bincount((channel - low).ravel())
        alphabets.append(np.argsort(-counts, kind="stable") + low)
    symbols = np.zeros((len(alphabets), max(map(len, alphabets))), np.int16)
    for row, alphabet in zip(symbols, alphabets, strict=True):
        row[: len(alphabet)] = alphabet
    return symbols, np.array([len(alphabet) for alphabet in alphabets], np.int16)


def _quantiles(values: np.ndarray, levels: int) -> np.ndarray:
    """At most levels - 1 thresholds that part integer `values` into even shares, the rest out of reach."""
    found, counts = np.unique(values, return_counts=True)
    thresholds: list[int] = []
    share, total = 0.0, values.size
    for value, weight in zip(found[1:], np.cumsum(counts)[:-1], strict=True):
        left = levels - 1 - len(thresholds)
        if left and weight - share >= (total - share) / (left + 1):
            thresholds.append(int(value))
            share = float(weight)
    return np.array(thresholds + [np.iinfo(np.int16).max] * (levels - 1 - len(thresholds)), np.int16)


def _references(planes: np.ndarray, layers: Sequence[int], levels: int) -> tuple[np.ndarray, np.ndarray]:
    """For each channel the plane known before it that tells most about it (mutual information), and thresholds."""
    channels = sum(layers)
    flat = _sample(np.moveaxis(planes, 1, 0).reshape(planes.shape[1], -1))
    thresholds = np.stack([_quantiles(plane, levels) for plane in flat])
    quantised = np.stack([np.searchsorted(t, p, side="right") for t, p in zip(thresholds, flat, strict=True)])
    reference = np.empty(channels, np.int16)
    for k, own in enumerate(layer_slices(layers)):
        known = [channels + k, *range(own.start)]
        for c in range(own.start, own.stop):
            gains = [_information(flat[c], quantised[plane], levels) for plane in known]
            reference[c] = known[int(np.argmax(gains))]
    return reference, thresholds[reference]


def _sample(flat: np.ndarray) -> np.ndarray:
    return flat[:, :: -(-flat.shape[1] // _SAMPLE)]


def _information(values: np.ndarray, levels_of: np.ndarray, levels: int) -> float:
    """Mutual information in nats between values and a quantised plane."""
    low = int(values.min())
    joint = np.bincount((values.astype(np.int64) - low) * levels + levels_of).astype(np.float64)
    joint = np.pad(joint, (0, -len(joint) % levels)).reshape(-1, levels) / len(values)
    independent = joint.sum(axis=0) * joint.sum(axis=1, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / independent[seen])).sum())


def _neighbour_thresholds(values: np.ndarray, grid: Lattice, levels: int) -> np.ndarray:
    """Thresholds int16 [C, levels - 1] for sums of four neighbours."""
    around = [stage.neighbours for stage in grid.stages if stage.neighbours is not None]
    if not around:
        return np.full((values.shape[1], levels - 1), np.iinfo(np.int16).max, np.int16)
    places = np.concatenate(around)
    return np.stack([_quantiles(channel[:, places].sum(axis=2), levels) for channel in np.moveaxis(values, 1, 0)])


def _uniform(sizes: np.ndarray, contexts: int, width: int) -> np.ndarray:
    """Frequencies that favour no symbol, for tables that only choose contexts."""
    return _quantise(np.repeat((np.arange(width) <= sizes[:, None])[:, None], contexts, axis=1).astype(np.float64))


def _count(planes: np.ndarray, tables: EntropyTables, grid: Lattice) -> np.ndarray:
    """How often each symbol was met in each context, float64 [C, contexts, S + 1]."""
    model, width = ContextModel(tables), tables.frequencies.shape[2]
    symbol_of = np.zeros((tables.channels, 256), np.intp)
    for c, count in enumerate(tables.sizes):
        symbol_of[c, tables.symbols[c, :count] + 128] = np.arange(count)
    counts = np.zeros(tables.frequencies.size)
    whole, each = slice(0, tables.channels), np.arange(tables.channels)[:, None]
    for frame in planes:
        for stage in grid.stages:
            symbols = symbol_of[each, frame[whole, stage.places] + 128]
            cells = model.rows(frame, whole, stage) * width + symbols
            counts += np.bincount(cells.ravel(), minlength=counts.size)
    return counts.reshape(tables.frequencies.shape)


def _frequencies(counts: np.ndarray, sizes: np.ndarray, reference_levels: int) -> np.ndarray:
    """Integer frequencies from counts [C, contexts, S + 1], sparse contexts backed off to coarser ones."""
    channels, contexts, width = counts.shape
    used = (np.arange(width) <= sizes[:, None]).astype(np.float64)
    marginal = _normalised(counts.sum(axis=1) + _SMOOTHING * used)[:, None]
    levels = counts.reshape(channels, reference_levels, -1, width)
    by_neighbours = _normalised(levels.sum(axis=1) + _BACKOFF * marginal)[:, None]
    return _quantise((levels + _BACKOFF * by_neighbours).reshape(counts.shape))


def _normalised(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum(axis=-1, keepdims=True)


def _quantise(weights: np.ndarray) -> np.ndarray:
    """Integers uint16 [..., S] near `weights` that sum to TOTAL, at least 1 where the weight is positive."""
    used = weights > 0
    spare = TOTAL - used.sum(axis=-1, keepdims=True)
    rows = np.floor(_normalised(weights) * spare).astype(np.int64) + used
    top = rows.argmax(axis=-1)[..., None]
    missing = TOTAL - rows.sum(axis=-1, keepdims=True)
    np.put_along_axis(rows, top, np.take_along_axis(rows, top, axis=-1) + missing, axis=-1)
    return rows.astype(np.uint16)
