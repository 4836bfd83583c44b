"""The parameters and steps of a comparison, as plain values; see `_types`. The rest is in `shoal.wire.comparison`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.wire.comparison import CompareEngine, EngineStep

CompareInit = Literal["given", "k-means++", "random"]


@dataclass(frozen=True, eq=False)
class ComparisonStart:
    """The parameters of the comparison, with the values that the server chose filled in."""

    points: NDArray[Any]
    """Shape (n, d)."""
    initial_centroids: NDArray[np.float64]
    """Shape (k, d): every engine begins with them."""
    init: CompareInit
    """Whether they were given, or how the server drew them."""
    random_state: int
    engines: tuple[CompareEngine, ...]
    """In the order in which they run."""
    max_iter: int
    tol: float
    example: str | None
    """The name of the points, where the server had them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ComparisonStep(EngineStep):
    """One step of one engine."""

    number: int
    """Counts from 1 over all engines."""
