"""What one session takes of the process's memory budget.

How many bytes a model takes is counted from the arrays that are kept, by its shape, engine and precision, and checked
against the allocator in tests/sessions/test_footprint.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from operator import is_
from typing import NamedTuple

from shoal_server.budget import MemoryBudget, Reservation, SharedBytes
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.outliers import outliers_bytes
from shoal_server.clustering.state import Batch, Model
from shoal_server.engines.chunks import BLOCK_ROWS, MAX_SUMS, piece_rows
from shoal_server.engines.contract import PointArray
from shoal_server.engines.numba.pruning_policy import look_values
from shoal_server.errors import DomainError
from shoal_server.sessions.replay_cache import ReplayCache
from shoal_server.sessions.row_memory import SCORED_BYTES, rows_bytes
from shoal_server.sessions.summary_memory import learning_bytes, summary_bytes, swap_bytes

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
_SCORED_VERSIONS = 4  # of what scores are computed from
# So little isn't asked for: of all calls that stand still at once it is little, too. And a message so small has rows
# that take less.
_SMALL, _SMALL_MESSAGE = 256 * 1024, 4 * 1024
_PATIENCE = 10.0  # seconds that batches wait for memory


class _Computing(NamedTuple):
    """What a session's computing takes for a time, in bytes; see the shares of MemoryBudget."""

    threads: int = 0
    learning: int = 0
    uncut: int = 0
    paused: int = 0  # of `learning`, what is held between two pieces

    def most(self, other: _Computing) -> _Computing:
        """Return the larger of each two."""
        return _Computing(*map(max, self, other))


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
        self._computing = _Computing()
        self.learning_bytes = 0  # what its tasks that hold memory may hold between two pieces
        self._settled: tuple[object, ...] = ()  # the parts of the model that decide what it takes
        self._model_bytes = 0
        self._other_bytes = 0  # recent points, events and answers
        # What the model and its computing may take after what waits: batches in the queue, and changes of the engine.
        self._promised_model, self._promised_computing = 0, _Computing()
        self._changes_waiting = 0
        self._is_released = False
        self.queued = budget.open()

    def open(self) -> Reservation:
        """Return a reservation of the same budget, of nothing yet."""
        return self._budget.open()

    def admit_model(self, config: ModelConfig, n_features: int | None) -> None:
        """Reserve what a model of this shape takes, with its computing.

        Where the number of columns isn't known yet (None), what it adds is reserved when the first points come.

        Raises
        ------
        DomainError
            MEMORY_LIMIT_REACHED; nothing has changed.
        """
        needed = model_bytes(config, n_features) + paused_bytes(config, n_features)
        before = self._computing
        self._admit_computing(config, n_features, 0)
        try:
            if needed > self._model_bytes:
                self._budget.check(needed - self._model_bytes, self._what)
        except DomainError:
            self._set_computing(before)
            raise
        self._set_model_bytes(max(needed, self._model_bytes))

    def admit_change(self, model: Model, config: ModelConfig) -> None:
        """Reserve until `change_ended` what a model takes with a configuration; raises as `admit_model` does."""
        self.promise_change(model, config)
        self._changes_waiting += 1

    def promise_change(self, model: Model, config: ModelConfig) -> None:
        """Reserve the same for a change that waits already, now that more is known of the model."""
        if config is not model.config:
            try:
                self._promise(config, model.n_features, 0)
            except DomainError:
                self.drop_promises(model)
                raise

    def change_ended(self) -> None:
        """Note that a change has been applied or refused."""
        self._changes_waiting -= 1

    def computing(self, model: Model, points: PointArray) -> AbstractContextManager[None]:
        """Reserve what computing takes with these points (n, d) while the context is open, where that depends on them.

        Entering it raises as `admit_model` does.
        """
        return self._computing_with(model.config, points) if model.config.engine == "sklearn" else nullcontext()

    @contextmanager
    def _computing_with(self, config: ModelConfig, points: PointArray) -> Iterator[None]:
        what = f"computing for {self._what}"
        size = self._threads * workspace_bytes(config, points.shape[1], points.size)
        self._budget.computing.change(0, size, what)
        try:
            yield
        finally:
            self._budget.computing.change(size, 0, what)

    def admission(
        self, rows: Reservation, model: Model, batches: Sequence[Batch], size: int
    ) -> Callable[[], Awaitable[None]] | None:
        """Return what waits for the memory that rows of batches take while they are computed; None: it is little.

        It raises MEMORY_LIMIT_REACHED if there is none for _PATIENCE seconds.

        Parameters
        ----------
        rows
            Has it afterwards.
        model, batches
            The batches, and what is to be updated.
        size
            Of the batches, in bytes.
        """
        if size <= _SMALL_MESSAGE:
            return None
        needed = sum([rows_bytes(model.config, batch) for batch in batches])
        return partial(self._reserve_rows, rows, needed) if needed > _SMALL else None

    async def reserve_labels(self, size: int) -> Reservation:
        """Wait until there is memory for labels and scores of so many bytes, and reserve it unless it is little.

        Raises
        ------
        DomainError
            MEMORY_LIMIT_REACHED: there was none for _PATIENCE seconds.
        """
        if size <= _SMALL:
            return self._budget.open()
        return await self._budget.reserve_when_free(size, f"labels and scores of {self._what}", _PATIENCE)

    async def _reserve_rows(self, rows: Reservation, size: int) -> None:
        what = f"computing labels and scores for {self._what}"
        (await self._budget.reserve_when_free(size, what, _PATIENCE)).move_to(rows)

    @staticmethod
    def asks_for_batches(model: Model) -> bool:
        """Return whether batches may lead to more than their own bytes."""
        return model.state.warmup is not None or model.config.engine == "sklearn"

    def admit_batches(self, model: Model, asked: ModelConfig, batches: Sequence[Batch]) -> None:
        """Reserve what batches lead to besides their own bytes, as long as something is queued.

        Parameters
        ----------
        model
            As it is now.
        asked
            The configuration that they will meet, if the changes that wait are made.
        batches
            That come.

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
        values = max(batch.points.size for batch in batches)
        self._promise(config, columns, values)
        if (asked.n_clusters, asked.engine) != (config.n_clusters, config.engine):
            self._promise(asked, columns, values)

    def drop_promises(self, model: Model) -> None:
        """Give back what was reserved for batches and changes to come, if none waits."""
        if self._promised_model and not self._waits:
            self._settle(model)

    def _promise(self, config: ModelConfig, n_features: int | None, values: int) -> None:
        self.admit_model(config, n_features)
        self._promised_model = max(
            self._promised_model, model_bytes(config, n_features) + paused_bytes(config, n_features)
        )
        computing = self._admit_computing(config, n_features, values)
        self._promised_computing = self._promised_computing.most(computing)

    def _admit_computing(self, config: ModelConfig, n_features: int | None, values: int) -> _Computing:
        """Reserve what computing takes with a batch of so many values, and return it; raises as `admit_model` does."""
        computing = self._computing_of(config, n_features, values, FLOAT64)
        self._set_computing(self._computing.most(computing))
        return computing

    def _computing_of(
        self, config: ModelConfig, n_features: int | None, values: int, precision_bytes: int
    ) -> _Computing:
        paused = learning_bytes(config, n_features, precision_bytes)
        learning = paused + swap_bytes(config, n_features, precision_bytes)
        threads = self._threads * workspace_bytes(config, n_features, values)
        return _Computing(threads, learning, learning if config.engine == "sklearn" else 0, paused)

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
        self._set_computing(_Computing())
        self._kept.release()

    @property
    def _waits(self) -> bool:
        return bool(self.queued.bytes or self._changes_waiting)

    def _settle(self, model: Model) -> None:
        """Reserve what the model and its computing take as they are, and what is promised while something waits."""
        if self._is_released:
            return
        if not self._waits:
            self._promised_model, self._promised_computing = 0, _Computing()
        config, columns = model.config, model.n_features
        self._set_model_bytes(max(kept_bytes(model) + paused_bytes(config, columns), self._promised_model))
        computing = self._computing_of(config, columns, 0, _precision_bytes(model)).most(self._promised_computing)
        self._set_computing(_Computing(*map(min, computing, self._computing)))

    def _set_computing(self, computing: _Computing) -> None:
        budget, what = self._budget, f"computing for {self._what}"
        shares = (budget.computing, budget.learning, budget.uncut)
        changed: list[tuple[SharedBytes, int, int]] = []
        try:
            for share, before, after in zip(shares, self._computing, computing, strict=False):
                if after != before:
                    share.change(before, after, what)
                    changed.append((share, before, after))
        except DomainError:
            for share, before, after in changed:
                share.change(after, before, what)
            raise
        self._computing, self.learning_bytes = computing, computing.paused

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


def model_bytes(config: ModelConfig, n_features: int | None, precision_bytes: int = FLOAT64) -> int:
    """Return what a model keeps of its centroids: in all their forms, of two versions, and encoded for readers.

    Parameters
    ----------
    config
        Of the model.
    n_features
        Columns; None: not known yet.
    precision_bytes
        Of a value in the precision that it computes in.
    """
    k, d = config.n_clusters, n_features or 1
    snapshot = FLOAT64 * (k * d + 4 * k)
    inside = precision_bytes * k * d
    if config.engine == "numba":
        rows, columns = -(-k // _TILE) * _TILE, -(-d // _MIN_COLUMNS) * _MIN_COLUMNS
        inside = precision_bytes * (rows * (d + 2) + k * columns) + FLOAT64 * k
    given = 0 if isinstance(config.init, str) else config.init.nbytes + FLOAT64 * k
    scored = 0 if config.outlier_threshold is None else _SCORED_VERSIONS * outliers_bytes(k)
    encoded = _ENCODED_VERSIONS * FLOAT64 * (k * d + 3 * k)
    summary = summary_bytes(config, n_features, precision_bytes)
    return SESSION_BYTES + 2 * (snapshot + inside) + given + encoded + scored + summary


def kept_bytes(model: Model) -> int:
    """Return what a model takes as it stands, with the points that wait for its initial centroids."""
    centroids = model_bytes(model.config, model.n_features, _precision_bytes(model))
    if model.state.warmup is None or not model.state.warmup.batches:
        return centroids
    value_bytes = model.state.warmup.batches[-1].points.itemsize
    return centroids + warmup_bytes(model.config, model.state.warmup.seen, model.n_features or 1, value_bytes)


def _precision_bytes(model: Model) -> int:
    return model.state.coordinates.precision.itemsize if model.state.coordinates else FLOAT64


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


def paused_bytes(config: ModelConfig, n_features: int | None) -> int:
    """Return what a batch adds up to at most: it holds that while it pauses, and many batches may pause at once."""
    if config.engine == "sklearn":  # its calls don't pause
        return 0
    return FLOAT64 * _SUMS * config.n_clusters * (n_features or 1)


def workspace_bytes(config: ModelConfig, n_features: int | None, batch_values: int) -> int:
    """Return what a thread takes at most between two pauses, with so many values in the largest batch."""
    scored = 0 if config.outlier_threshold is None else SCORED_BYTES
    return scored + _engine_bytes(config, n_features or 1, batch_values)


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
