"""Streams of rows, and models that have taken them in batches."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.events import Event
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.state import Batch, BatchResult, Model
from shoal_server.engines.contract import Engine, RunTasks, run_in_order
from tests.clustering.builders import on_bug
from tests.warm import warm_engine

BLOBS = 10


def applied(
    model: Model,
    batches: Sequence[Batch],
    group: int = 8,
    *,
    engine: Engine | None = None,
    run: RunTasks = run_in_order,
) -> tuple[Model, list[BatchResult]]:
    """Return a model after batches, so many of which come in one call, and their results."""
    results: list[BatchResult] = []
    for start in range(0, len(batches), group):
        ahead = batches[start : start + group]
        model, more = apply_batches(model, ahead, engine or warm_engine(), run, lambda: False, on_bug, warm_engine())
        results += more
    assert not [each.refusal for each in results if each.refusal]
    return model, results


def cut(points: NDArray[Any], sizes: Sequence[int]) -> list[Batch]:
    """Return batches whose sizes take turns."""
    ends = itertools.accumulate(itertools.cycle(sizes))
    batches, start = [], 0
    while start < len(points):
        end = next(ends)
        batches.append(Batch(points[start:end]))
        start = end
    return batches


def drifts(model: Model) -> list[Event]:
    """Return the drifts among a model's events."""
    return [event for event in model.events if event.kind == "drift"]


def middles(seed: int, k: int = BLOBS, d: int = 4) -> NDArray[np.float64]:
    """Return where the blobs of a seed are, (k, d)."""
    return 10 * np.random.default_rng(seed).normal(size=(k, d))


def blobs(n: int, seed: int = 0, *, at: int | None = None, spread: float = 1.0) -> NDArray[np.float32]:
    """Return rows (n, 4) around the middles of a seed, by default its own."""
    random, where = np.random.default_rng([seed, 1]), middles(seed if at is None else at)
    labels = random.integers(len(where), size=n)
    return (where[labels] + spread * random.normal(size=(n, where.shape[1]))).astype(np.float32)


def heavy_tailed(n: int, seed: int = 0, *, freedom: float = 3.0) -> NDArray[np.float32]:
    """Return rows (n, 4) around middles, whose distances have no variance."""
    random, where = np.random.default_rng([seed, 2]), 5 * middles(seed)
    labels = random.integers(len(where), size=n)
    return (where[labels] + random.standard_t(freedom, size=(n, where.shape[1]))).astype(np.float32)


def unequal_blobs(n: int, seed: int = 0) -> NDArray[np.float32]:
    """Return rows (n, 4) around middles, with spreads from 0.1 to 10 and shares of a half down to 1 in 1,000."""
    random, where = np.random.default_rng([seed, 3]), 10 * middles(seed)
    shares = 0.5 ** np.arange(1, len(where) + 1)
    labels = random.choice(len(where), n, p=shares / shares.sum())
    spreads = np.geomspace(0.1, 10, len(where))[random.permutation(len(where))]
    return (where[labels] + spreads[labels, None] * random.normal(size=(n, where.shape[1]))).astype(np.float32)
