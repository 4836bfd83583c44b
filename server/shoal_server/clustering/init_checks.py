"""Checks of the initial centroids and weights that a configuration gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.contract import max_value
from shoal_server.errors import Reason, invalid

if TYPE_CHECKING:  # which is checked here
    from shoal_server.clustering.config import ModelConfig

# What very many rows of the largest weight add up to.
MAX_INIT_WEIGHT = 1e60


def check_init(config: ModelConfig) -> None:
    """Raise INIT_INVALID if given centroids don't fit the configuration, or can't be computed with."""
    if isinstance(config.init, str):
        return
    shape = config.init.shape
    wanted = (config.n_clusters, config.n_features or shape[1])
    if shape != wanted:
        raise invalid(
            Reason.INIT_INVALID,
            "config.init.centroids",
            f"init has shape {list(shape)}, n_clusters and n_features make it {list(wanted)}",
        )
    rows = config.init
    bad = ~np.isfinite(rows).all(axis=1)
    if config.metric == "cosine":
        bad |= ~rows.any(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise invalid(
            Reason.INIT_INVALID,
            "config.init.centroids",
            f"init row {row} is {_shown(rows[row])}; a centroid needs finite numbers"
            + (", not all of them zero under cosine" if config.metric == "cosine" else ""),
        )
    _refuse_large_init(rows, config)


def check_init_weights(config: ModelConfig) -> None:
    """Raise INIT_WEIGHTS_INVALID if weights don't fit the centroids that are given."""
    weights = config.init_weights
    if weights is None:
        return
    if isinstance(config.init, str):
        raise _bad_init_weights(
            f"init_weights are those of given centroids, and init is {config.init!r}; give the centroids too, or leave "
            f"init_weights out"
        )
    if weights.shape != (config.n_clusters,):
        raise _bad_init_weights(
            f"init_weights has shape {list(weights.shape)}, n_clusters makes it {[config.n_clusters]}: a weight for "
            f"each centroid"
        )
    usable = (weights >= 0) & (weights <= MAX_INIT_WEIGHT)
    if not usable.all():
        place = int(np.argmin(usable))
        raise _bad_init_weights(
            f"init_weights[{place}] is {weights[place]}; a weight is a number from 0 to {MAX_INIT_WEIGHT:g}"
        )


def _bad_init_weights(message: str) -> Exception:
    return invalid(Reason.INIT_WEIGHTS_INVALID, "config.init.weights", message)


def _refuse_large_init(rows: NDArray[Any], config: ModelConfig) -> None:
    if config.metric == "cosine":
        return  # they are scaled to length 1
    dtype = np.dtype(config.dtype or np.float32)
    most = max_value(dtype, rows.shape[1])
    if float(rows.max()) > most or float(rows.min()) < -most:
        too_large = np.abs(rows, dtype=np.float64) > most
        row, column = divmod(int(too_large.argmax()), rows.shape[1])
        value = float(rows[row, column])
        fits_float64 = abs(value) <= max_value(np.dtype(np.float64), rows.shape[1])
        or_else = ", or create the session with dtype='float64'" if fits_float64 else ""
        raise invalid(
            Reason.INIT_INVALID,
            "config.init.centroids",
            f"init[{row}, {column}] is {value:g}; beyond {most:.3g} squared distances overflow "
            f"{dtype.name}: scale points and init down{or_else}",
        )


def _shown(row: NDArray[Any]) -> str:
    return np.array2string(row.astype(np.float64), threshold=6, precision=6)
