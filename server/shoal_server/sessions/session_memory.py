"""What one session has of the process's memory budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import is_

from shoal_server.budget import MemoryBudget, Reservation
from shoal_server.clustering.config import EngineName, ModelConfig
from shoal_server.clustering.state import Batch, Model
from shoal_server.engines.contract import PointArray
from shoal_server.sessions.footprint import kept_bytes, model_bytes, warmup_bytes, workspace_bytes
from shoal_server.sessions.replay_cache import ReplayCache


class SessionMemory:
    """Asks for memory before a session needs it, and counts what it keeps.

    Parameters
    ----------
    name
        Of the session.
    budget
        Of the process.
    threads
        How many compute at once.
    answers
        Kept for producers; those that can be done without go first where memory is short.
    """

    def __init__(self, name: str, budget: MemoryBudget, threads: int, answers: ReplayCache) -> None:
        self._what = f"session {name!r}"
        self._budget = budget
        self._threads = threads
        self._answers = answers
        self._kept = budget.open()
        self._workspace = 0
        self._settled: tuple[object, ...] = ()  # the parts of the model that decide what it takes
        self._model_bytes = 0
        self._other_bytes = 0  # recent points and answers
        self.queued = budget.open()

    def open(self) -> Reservation:
        """Return a reservation of the same budget, of nothing yet."""
        return self._budget.open()

    def admit_model(self, config: ModelConfig, n_features: int) -> None:
        """Reserve what a model of this shape takes, with its computing.

        Raises
        ------
        DomainError
            MEMORY_LIMIT_REACHED; nothing has changed.
        """
        needed = model_bytes(config, n_features)
        if needed > self._model_bytes:
            self._budget.check(needed - self._model_bytes, self._what)
        self.admit_batch(config, n_features, 0)
        self._set_model_bytes(max(needed, self._model_bytes))

    def admit_batch(self, config: ModelConfig, n_features: int, values: int) -> None:
        """Reserve what computing takes with a batch of so many values; raises as `admit_model` does."""
        workspace = self._threads * workspace_bytes(config, n_features, values)
        if workspace > self._workspace:
            self._budget.grow_workspace(self._workspace, workspace, f"computing for {self._what}")
            self._workspace = workspace

    def admit_engine(self, model: Model, engine: EngineName | None) -> None:
        """Reserve what a model takes with another engine; raises as `admit_model` does."""
        if engine is not None:
            self.admit_model(replace(model.config, engine=engine), model.n_features or 1)

    def admit_points(self, model: Model, points: PointArray) -> None:
        """Reserve what computing takes with these points (n, d), where that depends on them."""
        if model.config.engine == "sklearn":
            self.admit_batch(model.config, points.shape[1], points.size)

    @staticmethod
    def asks_for_batches(model: Model) -> bool:
        """Return whether batches may lead to more than their own bytes."""
        return model.state.warmup is not None or model.config.engine == "sklearn"

    def admit_batches(self, model: Model, batches: Sequence[Batch]) -> None:
        """Reserve what batches lead to besides their own bytes.

        Raises
        ------
        DomainError
            MEMORY_LIMIT_REACHED: for points that wait for the initial centroids, for the centroids, or for computing.
        """
        config = model.config
        columns = model.n_features or max(*(batch.points.shape[1] for batch in batches), 1)
        if model.state.warmup is not None:
            self._check_warmup(config, batches)
        if model.n_features is None:
            self.admit_model(config, columns)
        self.admit_batch(config, columns, max(batch.points.size for batch in batches))

    def _check_warmup(self, config: ModelConfig, batches: Sequence[Batch]) -> None:
        size = sum(
            warmup_bytes(config, len(batch.points), batch.points.shape[1], batch.points.itemsize)
            for batch in batches
            if batch.refusal is None
        )
        self._budget.check(size, f"points that {self._what} has to keep until it is ready")

    def count(self, model: Model, recent_bytes: int) -> None:
        """Count what is kept after a step of the writer."""
        parts = (model.config, model.n_features, model.state.coordinates, model.state.warmup)
        if not (self._settled and all(map(is_, parts, self._settled))):
            self._settled = parts
            self._set_model_bytes(kept_bytes(model))
        other = recent_bytes + self._answers.bytes
        if other != self._other_bytes:
            self._kept.add(other - self._other_bytes)
            self._other_bytes = other
        if self._answers.evictable_bytes:
            self._budget.add_reclaimer(self._reclaim)

    def release(self) -> None:
        """Give all of it back but for what is queued, which is released as it leaves the queue."""
        self._budget.remove_reclaimer(self._reclaim)
        self._budget.grow_workspace(self._workspace, 0, self._what)
        self._workspace = 0
        self._kept.release()

    def _set_model_bytes(self, size: int) -> None:
        self._kept.add(size - self._model_bytes)
        self._model_bytes = size

    def _reclaim(self) -> None:
        before = self._answers.bytes
        self._answers.evict()
        freed = before - self._answers.bytes
        self._other_bytes -= freed
        self._kept.add(-freed)
