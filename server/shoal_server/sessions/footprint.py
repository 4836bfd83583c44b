"""How many bytes a session takes, by the shape, the engine and the precision of its model.

Counted from the arrays that are kept, and checked against the allocator in tests/sessions/test_footprint.py.
"""

from __future__ import annotations

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.state import Model

# Of a session without points: its objects, its task, its places in the tables, and what the allocator adds.
SESSION_BYTES = 16 * 1024
FLOAT64 = 8
# numba's layout: a row has as many columns as fill vectors, and rows are kept in tiles.
_MIN_COLUMNS, _TILE = 16, 4
# Messages with all centroids that are kept for readers and watchers: whole, and from two versions before.
_ENCODED_VERSIONS = 3
# Copies of the points that wait for the initial centroids, in the type they came in, when these are chosen; and of
# those of them that they are chosen from, in float64.
_WARMUP_COPIES, _CHOSEN_COPIES = 3, 3
_SUMS = 2  # (k, d) in float64 that a batch adds up to
_SCIPY_ROWS = 2048  # whose distances to all centroids vq holds
_SKLEARN_COPIES = 4  # of a batch, in float64


def model_bytes(config: ModelConfig, n_features: int, precision_bytes: int = FLOAT64) -> int:
    """Return what a model keeps of its centroids: in all their forms, of two versions, and encoded for readers.

    Parameters
    ----------
    config
        Of the model.
    n_features
        Columns.
    precision_bytes
        Of a value in the precision that it computes in.
    """
    k, d = config.n_clusters, n_features
    snapshot = FLOAT64 * (k * d + 3 * k)
    inside = precision_bytes * k * d
    if config.engine == "numba":
        rows, columns = -(-k // _TILE) * _TILE, -(-d // _MIN_COLUMNS) * _MIN_COLUMNS
        inside = precision_bytes * (rows * (d + 2) + k * columns) + FLOAT64 * k
    given = 0 if isinstance(config.init, str) else config.init.nbytes
    encoded = _ENCODED_VERSIONS * FLOAT64 * (k * d + 2 * k)
    return SESSION_BYTES + 2 * (snapshot + inside) + given + encoded


def kept_bytes(model: Model) -> int:
    """Return what a model takes as it stands, with the points that wait for its initial centroids."""
    precision = model.state.coordinates.precision.itemsize if model.state.coordinates else FLOAT64
    centroids = model_bytes(model.config, model.n_features or 1, precision)
    if model.state.warmup is None or not model.state.warmup.batches:
        return centroids
    value_bytes = model.state.warmup.batches[-1].points.itemsize
    return centroids + warmup_bytes(model.config, model.state.warmup.seen, model.n_features or 1, value_bytes)


def warmup_bytes(config: ModelConfig, rows: int, n_features: int, value_bytes: int) -> int:
    """Return what points take that wait for the initial centroids, with what choosing these from them takes.

    Parameters
    ----------
    config
        Of the model.
    rows, n_features
        The shape of the points.
    value_bytes
        Of a value as it came.
    """
    chosen_from = min(rows, config.points_needed)
    values = (_WARMUP_COPIES * value_bytes + FLOAT64) * rows * n_features
    return values + _CHOSEN_COPIES * FLOAT64 * chosen_from * n_features + 2 * FLOAT64 * rows


def workspace_bytes(config: ModelConfig, n_features: int, batch_values: int) -> int:
    """Return what a thread takes at most while it computes for a model, with so many values in the largest batch."""
    k, d = config.n_clusters, n_features
    sums = _SUMS * FLOAT64 * k * d
    match config.engine:
        case "numba":
            return sums
        case "scipy":
            return sums + FLOAT64 * k * (_SCIPY_ROWS + d)
        case "sklearn":
            return sums + _SUMS * FLOAT64 * k * d + _SKLEARN_COPIES * FLOAT64 * batch_values
