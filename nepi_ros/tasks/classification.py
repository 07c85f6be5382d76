# SPDX-License-Identifier: Apache-2.0
"""Classification: probabilities of named classes."""

from collections.abc import Sequence

import numpy as np


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, float32; a logit that is not finite gets probability 0 (all: uniform)."""
    logits = np.asarray(logits, np.float64)
    finite = np.isfinite(logits)
    logits = np.where(finite, logits, -np.inf)
    top = logits.max(axis=-1, keepdims=True)
    weights = np.exp(np.where(np.isfinite(top), logits - np.where(np.isfinite(top), top, 0), 0))
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)


def top_k(logits: np.ndarray, names: Sequence[str], k: int) -> list[tuple[str, float]]:
    """The `k` most probable (name, probability) of logits [K], best first.

    >>> [name for name, _ in top_k(np.array([0.0, 2.0, 1.0]), ["a", "b", "c"], 2)]
    ['b', 'c']
    """
    return ranked(probabilities(logits), names, k)


def ranked(scores: np.ndarray, names: Sequence[str], k: int) -> list[tuple[str, float]]:
    """The `k` best (name, score) of probabilities [K], best first; equal scores stay in the classes' order."""
    order = np.argsort(-scores, kind="stable")[: max(k, 0)]
    return [(names[i], float(scores[i])) for i in order]


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Share of rows of logits or probabilities [..., K] with the same best class, 0 to 1."""
    return float(np.mean(np.argmax(a, axis=-1) == np.argmax(b, axis=-1)))
