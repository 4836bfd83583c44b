"""What one session takes of the process's memory budget.

How many bytes a model takes is counted from the arrays that are kept, by its shape, engine and precision, and checked
against the allocator in tests/sessions/test_footprint.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from operator import is_

from shoal_server.budget import MemoryBudget, Reservation
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.outliers import outliers_bytes
from shoal_server.clustering.state import Batch, Model
from shoal_server.engines.chunks import BLOCK_ROWS, MAX_SUMS, piece_rows
from shoal_server.engines.contract import PointArray
from shoal_server.engines.numba.pruning_policy import look_values
from shoal_server.errors import DomainError
from shoal_server.sessions.replay_cache import ReplayCache

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
_SUMS = MAX_SUMS + 2  # (k, d): those of its chunks, their total, and SciPy's centroids in float64
_BLOCKS = 3  # of rows, in the frame's coordinates
_SKLEARN_SUMS, _SKLEARN_COPIES = 4, 4  # of the centroids and of a batch, in float64
# A summary's buckets, its open block, and what is merged from some of them before these are let go; of a point its
# values, its weight and its scatter. While centroids are fitted to it, and of a deep refinement that is pending: its
# points as one array and as a search packs them, what that knows of each point in bytes, and centroids in float64.
_SUMMARY_COPIES, _SUMMARY_EXTRAS = 2.5, 2 * FLOAT64
_SEARCHED_COPIES, _SEARCHED_EXTRAS, _FITTED = 6.5, 240, 5
# Versions of what scores are computed from; and arrays of a batch while its rows are scored: labels, distances, scores,
# which are outliers, and the rows that are none.
_SCORED_VERSIONS, _SCORED_ROW_BYTES = 4, 40
_BLOCK_VALUES_BYTES = 6 * FLOAT64  # of the open block and its reference, for each value of the centroids


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
        self._other_bytes = 0  # recent points, events and answers
        # What the model and its computing may take after what waits: batches in the queue, and changes of the engine.
        self._promised_model = self._promised_workspace = 0
        self._changes_waiting = 0
        self._is_released = False
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
        needed = model_bytes(config, n_features) + paused_bytes(config, n_features)
        if needed > self._model_bytes:
            self._budget.check(needed - self._model_bytes, self._what)
        self._admit_computing(config, n_features, 0)
        self._set_model_bytes(max(needed, self._model_bytes))

    def admit_change(self, model: Model, config: ModelConfig) -> None:
        """Reserve until `change_ended` what a model takes with a configuration; raises as `admit_model` does."""
        if config is not model.config:
            try:
                self._promise(config, model.n_features or 1, 0)
            except DomainError:
                self.drop_promises(model)
                raise
        self._changes_waiting += 1

    def change_ended(self) -> None:
        """Note that a change has been applied or refused."""
        self._changes_waiting -= 1

    def computing(self, model: Model, points: PointArray) -> AbstractContextManager[None]:
        """Reserve what computing takes with these points (n, d) while the context is open, where that depends on them.

        Entering it raises as `admit_model` does.
        """
        return self._computing(model.config, points) if model.config.engine == "sklearn" else nullcontext()

    @contextmanager
    def _computing(self, config: ModelConfig, points: PointArray) -> Iterator[None]:
        what = f"computing for {self._what}"
        size = self._threads * workspace_bytes(config, points.shape[1], points.size)
        self._budget.grow_workspace(0, size, what)
        try:
            yield
        finally:
            self._budget.grow_workspace(size, 0, what)

    @staticmethod
    def asks_for_batches(model: Model) -> bool:
        """Return whether batches may lead to more than their own bytes."""
        return model.state.warmup is not None or model.config.engine == "sklearn"

    def admit_batches(self, model: Model, batches: Sequence[Batch]) -> None:
        """Reserve what batches lead to besides their own bytes, as long as something is queued.

        Raises
        ------
        DomainError
            MEMORY_LIMIT_REACHED: for points that wait for the initial centroids, for the centroids, or for computing.
        """
        config, batches = model.config, [batch for batch in batches if batch.refusal is None]
        if not batches:
            return
        columns = model.n_features or max(*(batch.points.shape[1] for batch in batches), 1)
        if model.state.warmup is not None:
            self._check_warmup(config, batches)
        self._promise(config, columns, max(batch.points.size for batch in batches))

    def drop_promises(self, model: Model) -> None:
        """Give back what was reserved for batches and changes to come, if none waits."""
        if self._promised_model and not self._waits:
            self._settle(model)

    def _promise(self, config: ModelConfig, n_features: int, values: int) -> None:
        self.admit_model(config, n_features)
        self._promised_model = max(
            self._promised_model, model_bytes(config, n_features) + paused_bytes(config, n_features)
        )
        workspace = self._admit_computing(config, n_features, values)
        self._promised_workspace = max(self._promised_workspace, workspace)

    def _admit_computing(self, config: ModelConfig, n_features: int, values: int) -> int:
        """Reserve what computing takes with a batch of so many values, and return it; raises as `admit_model` does."""
        workspace = self._threads * workspace_bytes(config, n_features, values)
        if workspace > self._workspace:
            self._set_workspace(workspace)
        return workspace

    def _check_warmup(self, config: ModelConfig, batches: Sequence[Batch]) -> None:
        size = sum(
            warmup_bytes(config, len(batch.points), batch.points.shape[1], batch.points.itemsize) for batch in batches
        )
        self._budget.check(size, f"points that {self._what} has to keep until it is ready")

    def count(self, model: Model, other_bytes: int) -> None:
        """Count what is kept after a step of the writer: the model, answers, and what else takes so many bytes."""
        parts = (model.config, model.n_features, model.state.coordinates, model.state.warmup)
        is_settled = self._settled and all(map(is_, parts, self._settled))
        if not is_settled or (self._promised_model and not self._waits):
            self._settled = parts
            self._settle(model)
        other = other_bytes + self._answers.bytes
        if other != self._other_bytes:
            difference = other - self._other_bytes
            self._other_bytes = other  # before others are served, for whom more may be reclaimed
            self._kept.add(difference)
        if self._answers.evictable_bytes:
            self._budget.add_reclaimer(self._reclaim)

    def release(self) -> None:
        """Give all of it back but for what is queued, which is released as it leaves the queue."""
        self._is_released = True
        self._budget.remove_reclaimer(self._reclaim)
        self._set_workspace(0)
        self._kept.release()

    @property
    def _waits(self) -> bool:
        return bool(self.queued.bytes or self._changes_waiting)

    def _settle(self, model: Model) -> None:
        """Reserve what the model and its computing take as they are, and what is promised while something waits."""
        if self._is_released:
            return
        if not self._waits:
            self._promised_model = self._promised_workspace = 0
        config, columns = model.config, model.n_features or 1
        self._set_model_bytes(max(kept_bytes(model) + paused_bytes(config, columns), self._promised_model))
        workspace = max(self._threads * workspace_bytes(config, columns, 0), self._promised_workspace)
        if workspace < self._workspace:
            self._set_workspace(workspace)

    def _set_workspace(self, size: int) -> None:
        self._budget.grow_workspace(self._workspace, size, f"computing for {self._what}")
        self._workspace = size

    def _set_model_bytes(self, size: int) -> None:
        difference = size - self._model_bytes
        self._model_bytes = size
        self._kept.add(difference)

    def _reclaim(self) -> None:
        before = self._answers.bytes
        self._answers.evict()
        freed = before - self._answers.bytes
        self._other_bytes -= freed
        self._kept.add(-freed)


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
    snapshot = FLOAT64 * (k * d + 4 * k)
    inside = precision_bytes * k * d
    if config.engine == "numba":
        rows, columns = -(-k // _TILE) * _TILE, -(-d // _MIN_COLUMNS) * _MIN_COLUMNS
        inside = precision_bytes * (rows * (d + 2) + k * columns) + FLOAT64 * k
    given = 0 if isinstance(config.init, str) else config.init.nbytes + FLOAT64 * k
    scored = 0 if config.outlier_threshold is None else _SCORED_VERSIONS * outliers_bytes(k)
    encoded = _ENCODED_VERSIONS * FLOAT64 * (k * d + 3 * k)
    summary = summary_bytes(config, d, precision_bytes)
    return SESSION_BYTES + 2 * (snapshot + inside) + given + encoded + scored + summary


def summary_bytes(config: ModelConfig, n_features: int, precision_bytes: int) -> int:
    """Return what a model's summary takes at most, with what fitting the centroids to it takes.

    Parameters
    ----------
    config
        Of the model.
    n_features
        Columns.
    precision_bytes
        Of a value of its points.
    """
    values, points = precision_bytes * n_features, config.summary_points(n_features)
    summary = int(_SUMMARY_COPIES * points * (values + _SUMMARY_EXTRAS))
    if config.rule(n_features) == "incremental":
        return summary + (_BLOCK_VALUES_BYTES * config.n_clusters * n_features if points else 0)
    searched = int(points * (_SEARCHED_COPIES * values + _SEARCHED_EXTRAS))
    return summary + searched + _FITTED * FLOAT64 * config.n_clusters * n_features


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


def paused_bytes(config: ModelConfig, n_features: int) -> int:
    """Return what a batch adds up to at most: it holds that while it pauses, and many batches may pause at once."""
    if config.engine == "sklearn":  # its calls don't pause
        return 0
    return FLOAT64 * _SUMS * config.n_clusters * n_features


def workspace_bytes(config: ModelConfig, n_features: int, batch_values: int) -> int:
    """Return what a thread takes at most between two pauses, with so many values in the largest batch."""
    d = n_features
    scored = 0 if config.outlier_threshold is None else FLOAT64 * batch_values + _SCORED_ROW_BYTES * (batch_values // d)
    return scored + _engine_bytes(config, d, batch_values)


def _engine_bytes(config: ModelConfig, n_features: int, batch_values: int) -> int:
    k, d = config.n_clusters, n_features
    rows = min(BLOCK_ROWS, piece_rows(k, d))
    match config.engine:
        case "numba":
            return FLOAT64 * max(_BLOCKS * rows * d, look_values(k, d))
        case "scipy":
            return FLOAT64 * (k * (rows + d) + _BLOCKS * BLOCK_ROWS * d)
        case "sklearn":
            return FLOAT64 * (_SKLEARN_SUMS * k * d + _SKLEARN_COPIES * batch_values)
