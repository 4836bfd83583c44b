"""A model and an engine of the server without the service around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Never

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import Float32Array
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.model import new_model
from shoal_server.clustering.state import Batch
from shoal_server.clustering.update import newest
from shoal_server.engines.contract import Engine, EngineCache, Frame, RunTasks, run_in_order
from shoal_server.engines.numba import NumbaEngine
from shoal_server.engines.numba.pruning_policy import PruningPolicy, may_be_bounded
from shoal_server.errors import DomainError
from shoal_server.sessions.compute import ComputePool

_FOR_A_LOOK = 32  # batches after which a model has chosen its regime, if they are as large as those here


def ready_engine() -> Engine:
    """Return the compiled engine; the very first call takes some 10 s."""
    engine = NumbaEngine()
    engine.warm_up()
    return engine


def threads(count: int) -> RunTasks:
    """Return a function that runs tasks on some threads, including the calling one."""
    return run_in_order if count == 1 else ComputePool(count).run_tasks


class Kernel:
    """A model that applies batches in this thread: validation, assignment, sums and moving the centroids.

    Parameters
    ----------
    centroids
        Where it begins, (k, d).
    engine
        A ready one.
    run
        The threads that it computes on.
    bounded
        Whether it may choose the bounded regime; otherwise every distance is computed.
    """

    def __init__(
        self, centroids: Float32Array, engine: Engine, run: RunTasks = run_in_order, *, bounded: bool = True
    ) -> None:
        self._model = new_model(ModelConfig(len(centroids), init=centroids.astype(np.float64), dtype="float32"))
        self._engine, self._run = engine, run
        if not bounded:
            self._model.cache.get(PruningPolicy).patience = math.inf

    @property
    def could_be_bounded(self) -> bool:
        """Whether pruning is considered at all for these shapes."""
        return may_be_bounded(*self.centroids.shape)

    @property
    def version(self) -> int:
        """The number of applied batches."""
        return self._model.version

    @property
    def centroids(self) -> NDArray[np.float64]:
        """The newest centroids (k, d)."""
        return newest(self._model).centroids

    def apply(self, points: Float32Array) -> None:
        """Apply one batch (n, d)."""
        self.apply_batches([points])

    def apply_batches(self, batches: Sequence[Float32Array]) -> None:
        """Apply batches together, like the service applies those in its queue: each its own version."""
        together = [Batch(points) for points in batches]
        self._model, outcomes = apply_batches(self._model, together, self._engine, self._run, lambda: False, _raise)
        for outcome in outcomes:
            if outcome.refusal is not None:
                raise DomainError(outcome.refusal)

    def settle(self, points: Float32Array) -> int:
        """Apply batches until pruning is decided; return the number of axes of its bounds (0: no pruning).

        Use batches of the same size as the points, because pruning is decided after a certain amount of work.
        """
        for _ in range(_FOR_A_LOOK):
            self.apply(points)
        axes = self._model.cache.get(PruningPolicy).axes
        return len(axes)


class Assigning:
    """The kernel alone, with fixed centroids, with the pruning that a model of these shapes ends up with."""

    def __init__(self, points: Float32Array, centroids: Float32Array, engine: Engine) -> None:
        origin, weights = np.zeros_like(centroids[0]), np.ones(len(centroids))
        self._frame = Frame(centroids, origin, weights, cosine=False, cache=EngineCache())
        self._points, self._engine = points, engine
        for _ in range(_FOR_A_LOOK):
            self.contribute()

    def contribute(self) -> NDArray[np.int32]:
        """Assign and sum the points, and return the labels (n,)."""
        return self._engine.contribute(self._points, None, self._frame, run_in_order).labels


def _raise(bug: Exception) -> Never:
    raise bug
