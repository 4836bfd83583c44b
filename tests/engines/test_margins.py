"""Whatever rounding does, no bound is below the score that it bounds by more than its margin."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from shoal_server.engines.numba.decorators import callable_from_python
from shoal_server.engines.numba.layout import Layout, lay_out
from shoal_server.engines.numba.pruned_assignment import _append_lengths
from shoal_server.engines.numba.scores import bound, project
from shoal_server.engines.numba.vectors import pack
from shoal_server.engines.numba.workspace import allocate_workspace, held, start_of
from tests.engines.builders import frame_of
from tests.warm import warm_engine

DTYPES: list[Any] = [np.dtype(np.float32), np.dtype(np.float64)]


@callable_from_python
def _bounds(address: int, layout: Layout) -> Any:
    """Return the bounds (k, group) of a group of rows, and their squared lengths (group,), as the kernel has them."""
    d, k, group = layout.d, len(layout.centroids), layout.group
    p = len(layout.basis) // d
    work, memory = allocate_workspace(layout)
    pack(address, d, start_of(layout.origin), work.factors, work.transposed, work.squares, work.largest)
    squares, projected = numba.carray(work.squares, group), numba.carray(work.projected, (p + 1, group))
    bounds, labels = numba.carray(work.scores, (k, group)), numba.carray(work.labels, group)
    project(work.transposed, layout.basis, p, d, projected)
    _append_lengths(squares, p, layout.margins[5], projected)
    bound(projected, layout.short_tiles, layout.offsets, k, p + 1, bounds, labels)
    found = bounds.copy(), squares.copy()
    held(memory)
    return found


def _layout(centroids: NDArray[Any], axes: int, random: np.random.Generator) -> Layout:
    """Return a layout with any axes at all: what they leave of rows that are parallel is parallel too."""
    turn, _ = np.linalg.qr(random.normal(size=(centroids.shape[1], axes)))
    lay_out_rows = warm_engine()._kernels[centroids.dtype].lay_out_rows
    return lay_out(frame_of(centroids), np.ascontiguousarray(turn.T), lay_out_rows)


def _parallel(direction: NDArray[np.float64], rows: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return rows (n, d) of one direction: for these a bound is what it bounds, but for rounding."""
    scaled: NDArray[np.float64] = direction * random.uniform(0.5, 2.0, (rows, 1))
    return scaled


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("d", "axes"), [(24, 4), (49, 32), (192, 12), (384, 96), (1024, 160)])
@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_no_bound_is_below_the_score_that_it_bounds(dtype: Any, d: int, axes: int, scale: float) -> None:
    random = np.random.default_rng([d, axes])
    direction = scale * random.normal(size=d)
    centroids = _parallel(direction, 37, random).astype(dtype)
    layout = _layout(centroids, axes, random)
    others = scale * random.normal(size=(layout.group, d))
    rows = np.concatenate([_parallel(direction, layout.group // 2, random), others])
    points = np.concatenate([rows[: layout.group].astype(dtype), np.zeros((1, d), dtype)])  # read behind, not used

    bounds, squares = _bounds(points.__array_interface__["data"][0], layout)

    exact_points, exact_centroids = points[: layout.group].astype(np.longdouble), centroids.astype(np.longdouble)
    scores = exact_centroids @ exact_points.T - (exact_centroids**2).sum(axis=1)[:, None] / 2
    margins, longest = layout.margins, float(layout.norms.max())
    allowed = margins[3] * squares.astype(np.longdouble) + margins[4] * longest + margins[2]
    assert (bounds >= scores - allowed).all()
