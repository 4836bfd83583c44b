"""What a comparison is asked to be: checked once, and completed with what was left open."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.config import InitMethod
from shoal_server.clustering.initialisation import initial_rows
from shoal_server.compare.examples import SHAPES, example
from shoal_server.compare.steps import CompareEngine, Comparison
from shoal_server.engines.contract import Float64Array, most_value
from shoal_server.errors import DomainError, Kind, invalid, quoted

MOST_ITERATIONS = 1000
# Points that k-means++ looks at: of more, so many are drawn first.
_INIT_ROWS = 10_000


@dataclass(frozen=True)
class Wish:
    """A comparison as it is asked for."""

    points: NDArray[Any] | str  # (n, d), or the name of an example
    n_clusters: int
    init: NDArray[Any] | InitMethod  # (k, d), or how they are found
    random_state: int
    engines: tuple[CompareEngine, ...]
    max_iter: int
    tol: float


def check(wish: Wish, max_distances: int) -> None:
    """Refuse what can't be compared, as far as that takes no time; what takes longer is for `prepare`.

    Parameters
    ----------
    wish
        What is asked for.
    max_distances
        The most that points times n_clusters may be.

    Raises
    ------
    DomainError
        EXAMPLE_UNKNOWN, N_CLUSTERS_INVALID, ENGINES_INVALID, MAX_ITER_INVALID, TOL_INVALID, INIT_INVALID, or
        TOO_MANY_VALUES for what is over the limit.
    """
    rows, columns = _shape(wish)
    _check_numbers(wish, rows)
    if rows * wish.n_clusters > max_distances:
        raise DomainError(
            Kind.RESOURCE_EXHAUSTED,
            "TOO_MANY_VALUES",
            f"{rows:,} points times n_clusters {wish.n_clusters:,} is {rows * wish.n_clusters:,} "
            f"distances, and the server allows {max_distances:,} in a comparison: compare on a sample of the points",
            field="points",
        )
    _check_init(wish, columns)


def prepare(wish: Wish) -> Comparison:
    """Return the comparison that a wish means that has been checked.

    Raises
    ------
    DomainError
        NOT_FINITE or VALUE_TOO_LARGE.
    """
    points = np.ascontiguousarray(
        example(wish.points) if isinstance(wish.points, str) else wish.points, dtype=np.float64
    )
    _check_values(points, "points")
    if isinstance(wish.init, str):
        centroids = _initial(points, wish, wish.init)
    else:
        centroids = np.ascontiguousarray(wish.init, dtype=np.float64)
        _check_values(centroids, "init.centroids")
    return Comparison(points, centroids, wish.engines, wish.random_state, wish.max_iter, wish.tol)


def _shape(wish: Wish) -> tuple[int, int]:
    if not isinstance(wish.points, str):
        rows, columns = wish.points.shape
        return rows, columns
    if wish.points not in SHAPES:
        raise invalid(
            "EXAMPLE_UNKNOWN", "example", f"there is no example {quoted(wish.points)}; there are {', '.join(SHAPES)}"
        )
    return SHAPES[wish.points]


def _check_numbers(wish: Wish, rows: int) -> None:
    if not 1 <= wish.n_clusters <= rows:
        raise invalid(
            "N_CLUSTERS_INVALID",
            "n_clusters",
            f"n_clusters is {wish.n_clusters}, and there are {rows:,} points; use a number from 1 to {rows:,}",
        )
    if len(set(wish.engines)) != len(wish.engines):
        raise invalid("ENGINES_INVALID", "engines", f"engines names one twice: {', '.join(wish.engines)}")
    if not 1 <= wish.max_iter <= MOST_ITERATIONS:
        raise invalid(
            "MAX_ITER_INVALID", "max_iter", f"max_iter is {wish.max_iter}; use a number from 1 to {MOST_ITERATIONS}"
        )
    if not 0 <= wish.tol < math.inf:
        raise invalid("TOL_INVALID", "tol", f"tol is {wish.tol}; use a finite number from 0 up")


def _check_init(wish: Wish, columns: int) -> None:
    if not isinstance(wish.init, str) and wish.init.shape != (wish.n_clusters, columns):
        raise invalid(
            "INIT_INVALID",
            "init.centroids",
            f"init has shape {list(wish.init.shape)}, n_clusters and the columns of points make it "
            f"{[wish.n_clusters, columns]}",
        )


def _check_values(values: Float64Array, field: str) -> None:
    most = most_value(values.dtype, values.shape[1])
    with np.errstate(invalid="ignore"):
        bad = ~(np.abs(values) <= most)
    if not bad.any():
        return
    row, column = np.argwhere(bad)[0]
    value = values[row, column]
    if np.isfinite(value):
        raise invalid(
            "VALUE_TOO_LARGE",
            field,
            f"{field}[{row}, {column}] is {value:g}; beyond {most:.3g} squared distances overflow: scale it down",
        )
    raise invalid(
        "NOT_FINITE",
        field,
        f"{field}[{row}, {column}] is {value:g}; a comparison needs finite numbers: leave such rows out",
    )


def _initial(points: Float64Array, wish: Wish, method: InitMethod) -> Float64Array:
    # Relative to the mean: k-means++ expands squares, and far from the origin these lose their digits.
    inside, weight = points - points.mean(axis=0), np.ones(len(points))
    init_size = max(min(len(points), _INIT_ROWS), wish.n_clusters)
    rows = initial_rows(inside, weight, wish.n_clusters, method, init_size, wish.random_state)
    return points[rows]
