"""What a comparison is asked to be: checked once, and completed with what was left open."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.wire.comparison import CompareEngine
from shoal_server.clustering.config import InitMethod
from shoal_server.clustering.initialisation import initial_rows
from shoal_server.compare.steps import Comparison
from shoal_server.engines.contract import Float64Array, Task, max_value
from shoal_server.errors import Reason, invalid, quoted, refused
from shoal_server.libraries import library

SIX_POINTS = "six-points"
BLOBS = "blobs"
SHAPES: dict[str, tuple[int, int]] = {SIX_POINTS: (6, 2), BLOBS: (300, 2)}  # (n, d) of the examples

MAX_ITERATIONS = 1000
# Points that k-means++ looks at: of more, so many are drawn first.
_INIT_ROWS = 10_000
_FLOAT64 = 8
_COPIES = 6  # of the points: the request's, the comparison's, relative to their mean, and those of a library
_ROW_WORK = 32  # multiplications that a point costs in an iteration besides those for its distances


@dataclass(frozen=True)
class ComparisonRequest:
    """A comparison as it is asked for."""

    points: NDArray[Any] | str  # (n, d), or the name of an example
    n_clusters: int
    init: NDArray[Any] | InitMethod  # (k, d), or how they are found
    random_state: int
    engines: tuple[CompareEngine, ...]
    max_iter: int
    tol: float

    @property
    def memory_bytes(self) -> int:
        """What the comparison takes at most: the points and their distances, as the libraries hold them."""
        rows, columns = _shape(self)
        return _FLOAT64 * (_COPIES * rows * columns + rows * self.n_clusters)


def check(request: ComparisonRequest, max_distances: int, max_work: int) -> None:
    """Refuse what can't be compared, as far as that takes no time; what takes longer is for `prepare`.

    Parameters
    ----------
    request
        What is asked for.
    max_distances
        The most that points times n_clusters may be.
    max_work
        The most multiplications that the iterations of an engine may take.

    Raises
    ------
    DomainError
        EXAMPLE_UNKNOWN, N_CLUSTERS_INVALID, ENGINES_INVALID, MAX_ITER_INVALID, TOL_INVALID, INIT_INVALID, or
        TOO_MANY_VALUES or WORK_TOO_LARGE for what is over a limit.
    """
    rows, columns = _shape(request)
    _check_numbers(request, rows)
    if rows * request.n_clusters > max_distances:
        raise refused(
            Reason.TOO_MANY_VALUES,
            f"{rows:,} points times n_clusters {request.n_clusters:,} is {rows * request.n_clusters:,} "
            f"distances, and the server allows {max_distances:,} in a comparison: compare on a sample of the points",
            field="points",
        )
    _check_work(request, rows, columns, max_work)
    _check_init(request, columns)


def prepare(request: ComparisonRequest, pause: Callable[[], None]) -> Comparison:
    """Return the comparison of a request that has been checked.

    Parameters
    ----------
    request
        What is asked for.
    pause
        See Comparison.

    Raises
    ------
    DomainError
        NOT_FINITE or VALUE_TOO_LARGE.
    """
    points = np.ascontiguousarray(
        example(request.points) if isinstance(request.points, str) else request.points, dtype=np.float64
    )
    _check_values(points, "points")
    if isinstance(request.init, str):
        centroids = _initial(points, request, request.init, pause)
    else:
        centroids = np.ascontiguousarray(request.init, dtype=np.float64)
        _check_values(centroids, "init.centroids")
    return Comparison(points, centroids, request.engines, request.random_state, request.max_iter, request.tol, pause)


def example(name: str) -> Float64Array:
    """Return the points (n, d) of a name that is in SHAPES; a library may have to be loaded for them."""
    if name == SIX_POINTS:
        return np.array([[1.0, 2.0], [1.0, 4.0], [1.0, 0.0], [10.0, 2.0], [10.0, 4.0], [10.0, 0.0]])
    n, d = SHAPES[BLOBS]
    points, _ = library("sklearn.datasets").make_blobs(n, d, centers=4, cluster_std=1.2, random_state=0)
    return np.asarray(points, dtype=np.float64).round(3)


def _shape(request: ComparisonRequest) -> tuple[int, int]:
    if not isinstance(request.points, str):
        rows, columns = request.points.shape
        return rows, columns
    if request.points not in SHAPES:
        raise invalid(
            Reason.EXAMPLE_UNKNOWN,
            "example",
            f"there is no example {quoted(request.points)}; there are {', '.join(SHAPES)}",
        )
    return SHAPES[request.points]


def _check_numbers(request: ComparisonRequest, rows: int) -> None:
    if not 1 <= request.n_clusters <= rows:
        raise invalid(
            Reason.N_CLUSTERS_INVALID,
            "n_clusters",
            f"n_clusters is {request.n_clusters}, and there are {rows:,} points; use a number from 1 to {rows:,}",
        )
    if len(set(request.engines)) != len(request.engines):
        raise invalid(Reason.ENGINES_INVALID, "engines", f"engines names one twice: {', '.join(request.engines)}")
    if not 1 <= request.max_iter <= MAX_ITERATIONS:
        raise invalid(
            Reason.MAX_ITER_INVALID,
            "max_iter",
            f"max_iter is {request.max_iter}; use a number from 1 to {MAX_ITERATIONS}",
        )
    if not 0 <= request.tol < math.inf:
        raise invalid(Reason.TOL_INVALID, "tol", f"tol is {request.tol}; use a finite number from 0 up")


def _check_work(request: ComparisonRequest, rows: int, columns: int, max_work: int) -> None:
    iteration = rows * (request.n_clusters * columns + _ROW_WORK)
    if iteration * request.max_iter > max_work:
        most = max_work // iteration
        raise refused(
            Reason.WORK_TOO_LARGE,
            f"{request.max_iter:,} iterations over {rows:,} points of {columns:,} columns with n_clusters "
            f"{request.n_clusters:,} are up to {iteration * request.max_iter:,} multiplications, and the server allows "
            f"{max_work:,} in a comparison: "
            + (f"ask for max_iter {most:,} at most, or compare" if most else "compare")
            + " on a sample of the points",
            field="max_iter",
        )


def _check_init(request: ComparisonRequest, columns: int) -> None:
    if not isinstance(request.init, str) and request.init.shape != (request.n_clusters, columns):
        raise invalid(
            Reason.INIT_INVALID,
            "init.centroids",
            f"init has shape {list(request.init.shape)}, n_clusters and the columns of points make it "
            f"{[request.n_clusters, columns]}",
        )


def _check_values(values: Float64Array, field: str) -> None:
    most = max_value(values.dtype, values.shape[1])
    with np.errstate(invalid="ignore"):
        bad = ~(np.abs(values) <= most)
    if not bad.any():
        return
    row, column = np.argwhere(bad)[0]
    value = values[row, column]
    if np.isfinite(value):
        raise invalid(
            Reason.VALUE_TOO_LARGE,
            field,
            f"{field}[{row}, {column}] is {value:g}; beyond {most:.3g} squared distances overflow: scale it down",
        )
    raise invalid(
        Reason.NOT_FINITE,
        field,
        f"{field}[{row}, {column}] is {value:g}; a comparison needs finite numbers: leave such rows out",
    )


def _initial(
    points: Float64Array, request: ComparisonRequest, method: InitMethod, pause: Callable[[], None]
) -> Float64Array:
    # Relative to the mean: k-means++ expands squares, and far from the origin these lose their digits.
    inside, weight = points - points.mean(axis=0), np.ones(len(points))
    init_size = max(min(len(points), _INIT_ROWS), request.n_clusters)
    rows = initial_rows(
        inside, weight, request.n_clusters, method, init_size, request.random_state, partial(_run, pause=pause)
    )
    return points[rows]


def _run(task: Task, count: int, pause: Callable[[], None]) -> None:
    for index in range(count):
        for _ in task(index) or ():
            pause()
