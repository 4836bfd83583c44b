"""Projection to two dimensions: at most two columns as they are, more to their principal components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal_presentation.views.run import Run

_PLANE = 2  # columns


@dataclass(frozen=True)
class Axis:
    """An axis of the plot."""

    name: str  # empty: the axis has no meaning
    share: float | None  # of the variance that it shows, 0 to 1; None: it is a column itself

    @property
    def title(self) -> str:
        """The name; for a component also its share of the variance."""
        return self.name if self.share is None else f"{self.name} ({self.share:.0%} of the variance)"


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map from positions (…, d) to positions (…, 2)."""

    axes: tuple[Axis, Axis]
    origin: NDArray[np.float64]  # (d,)
    components: NDArray[np.float64]  # (d, 2), orthonormal

    def project(self, places: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return places (s, d) in the plane, (s, 2)."""
        found: NDArray[np.float64] = (places.astype(np.float64) - self.origin) @ self.components
        return found


def projection_of(run: Run) -> Projection:
    """Return the projection of a run: of all its points, and of its centroids at all steps."""
    columns = run.start.points.shape[1]
    return column_projection(columns) if columns <= _PLANE else principal_projection(_places(run))


def column_projection(columns: int) -> Projection:
    """Return the projection to the first two columns, or to the only one."""
    axes = (Axis("column 1", None), Axis("column 2" if columns >= _PLANE else "", None))
    return Projection(axes, np.zeros(columns), np.eye(columns, _PLANE))


def principal_projection(places: NDArray[np.float64]) -> Projection:
    """Return the projection to the two components with the most variance of places (s, d) (Pearson, 1901).

    The largest weight of each is positive.
    """
    origin = places.mean(axis=0)
    inside = places - origin
    scale = np.abs(inside).max() or 1.0  # or the squares of huge numbers overflow
    variances, vectors = _eigen(inside / scale)
    components = vectors[:, :_PLANE]
    largest = np.abs(components).argmax(axis=0)
    components = components * np.where(components[largest, range(_PLANE)] < 0, -1.0, 1.0)
    total = variances.sum()
    shares = variances[:_PLANE] / total if total > 0 else np.zeros(_PLANE)
    first, second = (Axis(f"component {index}", float(share)) for index, share in enumerate(shares, 1))
    return Projection((first, second), origin, components)


def _places(run: Run) -> NDArray[np.float64]:
    paths = [step.path.reshape(-1, step.path.shape[2]) for step in run.steps if step.path is not None]
    centroids = [run.start.initial_centroids, *(step.centroids for step in run.steps), *paths]
    return np.concatenate([run.start.points.astype(np.float64), *centroids])


def _eigen(inside: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return variances in descending order, and directions (d, at least 2) of centred rows (s, d)."""
    rows, columns = inside.shape
    if rows < columns:  # of wide rows the small side: images have thousands of columns
        _, singular, directions = np.linalg.svd(np.vstack([inside, np.zeros((_PLANE, columns))]), full_matrices=False)
        return singular**2, directions.T
    variances, vectors = np.linalg.eigh(inside.T @ inside)
    return variances[::-1].clip(min=0), vectors[:, ::-1]
