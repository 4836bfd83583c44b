"""What the summary of a session takes of the process's memory budget, and what fitting centroids to it takes.

Counted from the arrays by their shapes, as in session_memory.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shoal_server.clustering.absorbing import converted_bytes
from shoal_server.clustering.config import DEFAULT_SUMMARY_SIZE, ModelConfig
from shoal_server.clustering.due_refinements import MAX_ROUND_VALUES
from shoal_server.clustering.summary import CHUNK_ROWS, max_summary_bytes

FLOAT64 = 8
# Of a summary: its objects, and those of the pages of its block for each point.
_SUMMARY_OBJECTS, _PAGE_OBJECTS = 16 * 1024, 2
# Of a deep refinement between two batches: of a point its weight, the labels of its nearest two centroids and of the
# best found yet, and, in the points' precision, the squares; arrays of centroids in float64; and its objects.
_PENDING_EXTRAS, _PENDING_SQUARES, _PENDING_FITTED, _PENDING_OBJECTS = FLOAT64 + 3 * 4, 2, 6, 8 * 1024
# While a block becomes a bucket, or centroids are fitted to the points of all buckets and of the block, which may be
# twice as many as the summary's: copies of the summary's points, bytes beside these, and arrays of centroids.
_LEARNING_COPIES, _LEARNING_EXTRAS, _LEARNING_FITTED = 6, 320, 14
# In a call of the search's kernels: the points that it moves, and of each the squares and three numbers.
_SWAP_COPIES, _SWAP_SQUARES, _SWAP_EXTRAS = 2, 12, 48


class _Shape(NamedTuple):
    """Of a summary, as far as it is known."""

    points: int
    k: int
    d: int


def summary_bytes(config: ModelConfig, n_features: int | None, precision_bytes: int) -> int:
    """Return what a model's summary keeps at most, with the refinements that are pending.

    Parameters
    ----------
    config
        Of the model.
    n_features
        Columns; None: not known yet, and then it is what a small summary of one column keeps.
    precision_bytes
        Of a value of its points.
    """
    points, k, d = _shape(config, n_features)
    if not points:
        return 0
    kept = max_summary_bytes(points, k, d, np.dtype(f"f{precision_bytes}")) + _SUMMARY_OBJECTS + _PAGE_OBJECTS * points
    if config.rule(n_features) == "incremental":
        return kept
    pending = points * (precision_bytes * (d + _PENDING_SQUARES) + _PENDING_EXTRAS)
    in_rounds = FLOAT64 * min(k * d, MAX_ROUND_VALUES)
    return kept + pending + _PENDING_FITTED * FLOAT64 * k * d + in_rounds + _PENDING_OBJECTS


def learning_bytes(config: ModelConfig, n_features: int | None, precision_bytes: int = FLOAT64) -> int:
    """Return what a call holds at most, even while it pauses, that changes the summary or fits centroids to it.

    Parameters are those of `summary_bytes`.
    """
    points, k, d = _shape(config, n_features)
    if not points:
        return 0
    each = points + k + CHUNK_ROWS  # a cluster may add a point, and rows may wait
    learning = each * (_LEARNING_COPIES * precision_bytes * d + _LEARNING_EXTRAS)
    return learning + _LEARNING_FITTED * FLOAT64 * k * d + converted_bytes(d)


def swap_bytes(config: ModelConfig, n_features: int | None, precision_bytes: int = FLOAT64) -> int:
    """Return what a thread takes besides, between two pauses, when it changes the summary or fits centroids to it.

    Parameters are those of `summary_bytes`.
    """
    points, _, d = _shape(config, n_features)
    return points * (precision_bytes * (_SWAP_COPIES * d + _SWAP_SQUARES) + _SWAP_EXTRAS)


def _shape(config: ModelConfig, n_features: int | None) -> _Shape:
    points, k = config.summary_points(n_features), config.n_clusters
    if n_features is None:  # most points of many clusters may turn out to be too many
        points = min(points, DEFAULT_SUMMARY_SIZE)
        k = min(k, points)
    return _Shape(points, k, n_features or 1)
