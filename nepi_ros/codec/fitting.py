# SPDX-License-Identifier: Apache-2.0
"""Fits entropy tables to latents of training frames. Floats are used here and end here: the tables are integers."""

from collections.abc import Sequence

import numpy as np

from nepi_ros.codec.arrangement import NO_NEIGHBOURS, Arrangement, LayerShape
from nepi_ros.codec.contexts import ContextModel
from nepi_ros.codec.tables import TOTAL, VALUES, EntropyTables, nothing_earlier

REFERENCE_LEVELS = 5
NEIGHBOUR_LEVELS = 9
MOST_SYMBOLS = 24
"""Values of an alphabet: the time to code a symbol grows with it, and rarer values hardly cost more escaped."""
_SMOOTHING = 0.4  # counts added to each symbol of a channel's marginal
_BACKOFF = 30.0  # counts by which the coarser estimate enters a finer one
_SELDOM = 1 / 16  # counts added to each value of a channel's escaped ones
_SAMPLE = 200_000  # places used to choose references and thresholds


def fit_tables(
    latents: np.ndarray,
    shapes: Sequence[LayerShape],
    reference_levels: int = REFERENCE_LEVELS,
    neighbour_levels: int = NEIGHBOUR_LEVELS,
    pairs_by_pace: Sequence[Sequence[tuple[int, int]]] = (),
) -> EntropyTables:
    """The tables that code latents like the flat ones int8 [N, T] of layers of these shapes in few bytes.
    `pairs_by_pace`: for each of at least two paces, numbers of a latent and of an earlier one, to fit what codes a
    value given another; without them the tables code latents by themselves alone.

    Rows seldom used are mixed with the channel's row for the same neighbours, and that with the channel's marginal,
    so that few frames are enough.
    """
    arrangement = Arrangement(shapes)
    if not len(latents) or latents.dtype != np.int8 or latents.shape[1:] != (arrangement.size,):
        raise ValueError(f"need int8 latents of {arrangement.size} values, got {latents.dtype} {latents.shape}")
    known = np.stack([arrangement.whole(latent) for latent in latents])
    symbols, sizes = _alphabets(known, arrangement)
    reference, reference_thresholds = _references(known, arrangement, reference_levels)
    draft = EntropyTables(
        layers=np.array([group.channels for group in arrangement.groups], np.int32),
        sizes=sizes,
        symbols=symbols,
        reference=reference,
        reference_thresholds=reference_thresholds,
        neighbour_thresholds=_neighbour_thresholds(known, arrangement, neighbour_levels),
        frequencies=_uniform(sizes, reference_levels * (2 * neighbour_levels + 1), symbols.shape[1] + 1),
        escapes=_escapes(known, arrangement, symbols, sizes),
        earlier=nothing_earlier(sizes, symbols),
    )
    counts = _count(known, draft, arrangement)
    fitted = {"frequencies": _frequencies(counts, sizes, reference_levels)}
    if pairs_by_pace:
        earlier = [_given_earlier(known, draft, arrangement, pairs) for pairs in pairs_by_pace]
        fitted["earlier"] = np.concatenate(earlier, axis=1)
    return EntropyTables(**{**vars(draft), **fitted})


def _channels(arrangement: Arrangement) -> list[np.ndarray]:
    """Where each channel's values lie, in coding order."""
    return [np.flatnonzero(arrangement.channel == c) for c in range(arrangement.channels)]


def _alphabets(known: np.ndarray, arrangement: Arrangement) -> tuple[np.ndarray, np.ndarray]:
    """Each channel's most frequent values, the first of all first [C, S], and how many [C].

    Gaps between seen values are filled: a value between two seen ones is not worth an escape.
    """
    alphabets = []
    for where in _channels(arrangement):
        channel = known[:, where]
        low = int(channel.min())
        counts = np.bincount((channel - low).ravel())
        alphabets.append((np.argsort(-counts, kind="stable") + low)[:MOST_SYMBOLS])
    symbols = np.zeros((len(alphabets), max(map(len, alphabets))), np.int16)
    for row, alphabet in zip(symbols, alphabets, strict=True):
        row[: len(alphabet)] = alphabet
    return symbols, np.array([len(alphabet) for alphabet in alphabets], np.int16)


def _escapes(known: np.ndarray, arrangement: Arrangement, symbols: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Integer frequencies [C, 256] of the values that each channel's alphabet lacks."""
    counts = np.full((len(sizes), VALUES), _SELDOM)
    for c, where in enumerate(_channels(arrangement)):
        seen = np.bincount(known[:, where].ravel() + 128, minlength=VALUES)
        seen[symbols[c, : sizes[c]] + 128] = 0
        counts[c] += seen
    return quantised(counts)


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


def _references(known: np.ndarray, arrangement: Arrangement, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """For each channel the plane known before it that tells most about it (mutual information), and thresholds."""
    channels = arrangement.channels
    reference, chosen = np.empty(channels, np.int16), np.empty((channels, levels - 1), np.int16)
    first = 0
    for k, group in enumerate(arrangement.groups):
        own = range(first, first + group.channels)
        planes = {p: _sample(known[:, arrangement.plane(p, k)]) for p in (channels + k, *range(first))}
        thresholds = {p: _quantiles(values, levels) for p, values in planes.items()}
        quantised = {p: np.searchsorted(thresholds[p], values, side="right") for p, values in planes.items()}
        for c in own:
            values = _sample(known[:, arrangement.plane(c, k)])
            gains = {p: _information(values, levels_of, levels) for p, levels_of in quantised.items()}
            reference[c] = max(gains, key=gains.__getitem__)
            chosen[c] = thresholds[int(reference[c])]
        first += group.channels
    return reference, chosen


def _sample(values: np.ndarray) -> np.ndarray:
    return values.ravel()[:: -(-values.size // _SAMPLE)]


def _information(values: np.ndarray, levels_of: np.ndarray, levels: int) -> float:
    """Mutual information in nats between values and a quantised plane."""
    low = int(values.min())
    joint = np.bincount((values.astype(np.int64) - low) * levels + levels_of).astype(np.float64)
    joint = np.pad(joint, (0, -len(joint) % levels)).reshape(-1, levels) / len(values)
    independent = joint.sum(axis=0) * joint.sum(axis=1, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / independent[seen])).sum())


def _neighbour_thresholds(known: np.ndarray, arrangement: Arrangement, levels: int) -> np.ndarray:
    """Thresholds int16 [C, levels - 1] for sums of four neighbours."""
    rows = []
    for where in _channels(arrangement):
        where = where[arrangement.kind[where] != NO_NEIGHBOURS]
        sums = known[:, arrangement.around[:, where]].sum(axis=1)
        rows.append(_quantiles(sums, levels) if sums.size else np.full(levels - 1, np.iinfo(np.int16).max, np.int16))
    return np.stack(rows)


def _uniform(sizes: np.ndarray, contexts: int, width: int) -> np.ndarray:
    """Frequencies that favour no symbol, for tables that only choose contexts."""
    return quantised(np.repeat((np.arange(width) <= sizes[:, None])[:, None], contexts, axis=1).astype(np.float64))


def _count(known: np.ndarray, tables: EntropyTables, arrangement: Arrangement) -> np.ndarray:
    """How often each symbol was met in each context, float64 [C, contexts, S + 1]."""
    model, width = ContextModel(tables, arrangement), tables.frequencies.shape[2]
    symbol_of, counts = tables.symbol_of(), np.zeros(tables.frequencies.size)
    everything = slice(0, arrangement.size)
    for frame in known:
        symbols = symbol_of[arrangement.channel, frame[everything] + 128]
        counts += np.bincount(model.rows(frame, everything) * width + symbols, minlength=counts.size)
    return counts.reshape(tables.frequencies.shape)


def _given_earlier(
    known: np.ndarray, tables: EntropyTables, arrangement: Arrangement, pairs: Sequence[tuple[int, int]]
) -> np.ndarray:
    """Integer frequencies uint16 [C, S + 1, S + 1] of each symbol given an earlier frame's at the same place.

    Seldom seen ones are mixed with how often values differ by so much whatever they are, and that with how often they
    are seen at all.
    """
    symbol_of, found = tables.symbol_of(), []
    used = np.arange(tables.earlier.shape[2]) <= tables.sizes[:, None]
    now, before = (known[list(numbers)] for numbers in zip(*pairs, strict=True))
    for c, where in enumerate(_channels(arrangement)):
        values, former = (side[:, where].astype(np.int64).ravel() for side in (now, before))
        symbols, given = symbol_of[c, values + 128], symbol_of[c, former + 128]
        counts = np.bincount(given * used.shape[1] + symbols, minlength=used.shape[1] ** 2).reshape(used.shape[1], -1)
        marginal = normalised(np.bincount(symbols, minlength=used.shape[1]) + _SMOOTHING * used[c])
        alike = _by_difference(values - former, tables.symbols[c, : tables.sizes[c]], marginal)
        found.append(counts + _BACKOFF * alike)
    return quantised(np.stack(found))


def _by_difference(differences: np.ndarray, alphabet: np.ndarray, marginal: np.ndarray) -> np.ndarray:
    """Shares [S + 1, S + 1] of symbols given another, by how often values differ by so much at all."""
    values, seen = alphabet.astype(np.int64), np.bincount(differences + 2 * VALUES, minlength=4 * VALUES)
    weights = np.tile(_BACKOFF * marginal, (len(marginal), 1))
    weights[: len(values), : len(values)] += seen[values - values[:, None] + 2 * VALUES]
    return normalised(weights)


def _frequencies(counts: np.ndarray, sizes: np.ndarray, reference_levels: int) -> np.ndarray:
    """Integer frequencies from counts [C, contexts, S + 1], sparse contexts backed off to coarser ones."""
    channels, contexts, width = counts.shape
    used = (np.arange(width) <= sizes[:, None]).astype(np.float64)
    marginal = normalised(counts.sum(axis=1) + _SMOOTHING * used)[:, None]
    levels = counts.reshape(channels, reference_levels, -1, width)
    by_neighbours = normalised(levels.sum(axis=1) + _BACKOFF * marginal)[:, None]
    return quantised((levels + _BACKOFF * by_neighbours).reshape(counts.shape))


def normalised(weights: np.ndarray) -> np.ndarray:
    """Shares that sum to 1 along the last axis, from `weights` [..., S]."""
    return weights / weights.sum(axis=-1, keepdims=True)


def quantised(weights: np.ndarray) -> np.ndarray:
    """Integers uint16 [..., S] near `weights` that sum to TOTAL, at least 1 where the weight is positive."""
    used = weights > 0
    spare = TOTAL - used.sum(axis=-1, keepdims=True)
    rows = np.floor(normalised(weights) * spare).astype(np.int64) + used
    top = rows.argmax(axis=-1)[..., None]
    missing = TOTAL - rows.sum(axis=-1, keepdims=True)
    np.put_along_axis(rows, top, np.take_along_axis(rows, top, axis=-1) + missing, axis=-1)
    return rows.astype(np.uint16)
