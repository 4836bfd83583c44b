"""How much work batches make, in multiplications, and how a session has it done on the compute threads, in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from time import sleep
from typing import ParamSpec, TypeVar

from shoal_server.clustering.config import (
    MAX_SUMMARISED_VALUES,
    EngineName,
    ModelConfig,
    check_changes,
    check_init_size,
    check_n_clusters,
    check_resize,
    check_width,
)
from shoal_server.clustering.model import assign
from shoal_server.clustering.state import Batch, Model
from shoal_server.clustering.summarised import check_summarised
from shoal_server.engines.contract import Assignment, Engine, Halted, PointArray, Task
from shoal_server.errors import DomainError, Reason, Refusal, refused
from shoal_server.sessions.compute import ComputePool
from shoal_server.sessions.port import Changes, Limits

P = ParamSpec("P")
R = TypeVar("R")

# What one call may take that computes with summaries, in the work of a batch: minutes of one thread at most.
BATCHES_OF_WORK = 4
# What the writer takes at most in one dispatch to a compute thread, or one job: 10 to 20 ms, beside which that and the
# answers cost little.
MAX_DISPATCH_WORK = 1 << 30
QUICK_WORK = 1 << 16  # 20 µs of the compiled kernels with all around them, where a thread costs 100; scores cost 5 ms
MAX_UNCUT_WORK = 1 << 25  # of a call in one piece that others may wait for: 10 ms of scikit-learn
# After so many batches one by one, 2 or 3 ms of Python if they are small, a thread sleeps for a moment. NumPy gives the
# interpreter's lock up and takes it back so often that a thread which waits for it is woken each time, too late, and
# never waits the 5 ms after which it may ask for it: the event loop stood still for 100 ms and more.
YIELD_EVERY, YIELD = 32, 5e-5
# What a batch counts for in a queue at least: as much as a queued one takes besides its points (970 bytes, measured).
# Otherwise a queue of tiny batches would have no bound.
MIN_BATCH_BYTES = 1024
# What a value costs besides k multiplications, and a batch besides its values: no more than 4,096 share a dispatch.
_VALUE_WORK, _BATCH_WORK = 128, 1 << 18
# scikit-learn's partial_fit can't be stopped: what it is given takes 5 s, and not minutes.
_UNCUT_SHARE: dict[EngineName, int] = {"sklearn": 32}


def queue_bytes(batches: Iterable[Batch]) -> int:
    """Return the bytes of the queue that batches take; refusals among them wait too."""
    return sum([max(batch.size, MIN_BATCH_BYTES) for batch in batches])


def dispatch_work(n_clusters: int, n_values: int, n_batches: int) -> int:
    """Return about how much work batches make, as MAX_DISPATCH_WORK counts it."""
    return n_values * (n_clusters + _VALUE_WORK) + n_batches * _BATCH_WORK


def engine_work(engine: EngineName, max_batch_work: int) -> int:
    """Return how much work an engine may have at once."""
    return max_batch_work // _UNCUT_SHARE.get(engine, 1)


def check_model_size(config: ModelConfig, n_features: int, limits: Limits) -> None:
    """Raise TOO_MANY_VALUES or WORK_TOO_LARGE if points of so many columns make too much of a session's model."""
    max_work = engine_work(config.engine, limits.max_batch_work)
    check_width(
        config, n_features, limits.max_centroid_values, limits.max_init_values, limits.max_summary_values, max_work
    )


def checked_change(model: Model, config: ModelConfig, changes: Changes, limits: Limits) -> ModelConfig:
    """Return the configuration after changes, as far as its size and its engine decide what a model takes.

    Until the columns of the points are known they count as one. So this is asked again when it is the changes' turn.

    Parameters
    ----------
    model
        As it is now.
    config
        With the changes that wait.
    changes
        That are asked for.
    limits
        Of the server.

    Raises
    ------
    DomainError
        HALF_LIFE_INVALID, OUTLIER_THRESHOLD_INVALID, N_CLUSTERS_INVALID, INIT_SIZE_INVALID, SUMMARY_SIZE_INVALID,
        SUMMARY_MISSING, SUMMARY_EMPTY, TOO_MANY_VALUES or WORK_TOO_LARGE.
    """
    check_changes(changes.model)
    if not changes.sizes:
        return model.config
    config, columns = replace(config, **changes.sizes), model.n_features or 1
    if model.warming:
        check_n_clusters(config)
        check_init_size(config)
        check_model_size(config, columns, limits)
    elif config.n_clusters != model.config.n_clusters:
        check_summarised(model)
        check_resize(config, columns, limits.max_centroid_values, limits.max_batch_work)
    return config


def change_work(changes: Changes) -> int:
    """Return as how much work, in the queue, changes count: those of sizes as too much for any other in a dispatch.

    So the model that they meet is known before they are begun.
    """
    return MAX_DISPATCH_WORK + 1 if changes.sizes else 0


def max_values(config: ModelConfig, max_batch_work: int) -> int:
    """Return how many values, rows times columns, a batch may have at most."""
    return engine_work(config.engine, max_batch_work) // config.n_clusters


def work_refusal(config: ModelConfig, rows: int, columns: int, max_batch_work: int) -> Refusal | None:
    """Return why points are too much work; None: they aren't."""
    most = max_values(config, max_batch_work)
    if rows * columns <= most:
        return None
    return Refusal(
        Reason.WORK_TOO_LARGE,
        f"{rows:,} rows of {columns:,} columns against n_clusters {config.n_clusters:,} are "
        f"{rows * columns * config.n_clusters:,} multiplications, and the server allows engine {config.engine} "
        f"{most * config.n_clusters:,} at once: send at most {most // columns:,} rows at a time",
        field="points",
    )


def refused_if_too_large(batch: Batch, config: ModelConfig, n_features: int | None, limits: Limits) -> Batch:
    """Return a batch, with a refusal if it is too much work, or its columns would settle a model that is too large.

    Points that don't fit columns that are settled already are refused when their turn comes.
    """
    if batch.refusal is not None:
        return batch
    rows, columns = batch.points.shape
    refusal = work_refusal(config, rows, columns, limits.max_batch_work)
    try:
        if n_features is None:
            check_model_size(config, columns, limits)
    except DomainError as error:
        refusal = error.refusal
    return batch if refusal is None else batch._replace(refusal=refusal)


def large_refused(
    message: Sequence[Batch], config: ModelConfig, n_features: int | None, limits: Limits
) -> tuple[Sequence[Batch], int]:
    """Return batches, refused as in `refused_if_too_large`, and the bytes of the queue that they take."""
    room = queue_bytes(message)
    # A value has one byte at least: most messages are too small for any of their batches to be too much.
    if n_features is not None and room <= max_values(config, limits.max_batch_work):
        return message, room
    message = [refused_if_too_large(batch, config, n_features, limits) for batch in message]
    return message, queue_bytes(message)


def runs_uncut(engines: Iterable[EngineName | None], work: int) -> bool:
    """Return whether work takes long and one of the engines does it in one piece."""
    return work > MAX_UNCUT_WORK and any(engine in _UNCUT_SHARE for engine in engines)


def max_call_work(limits: Limits) -> int:
    """Return how many multiplications a call may take that fits centroids to summaries, or describes a summary."""
    return BATCHES_OF_WORK * limits.max_batch_work


def too_much_work(work: int, what: str, advice: str, limits: Limits, field: str = "") -> DomainError:
    """Return the error of a call that is more work than `max_call_work`."""
    return refused(
        Reason.WORK_TOO_LARGE,
        f"{what} takes up to {work:,} multiplications, and the server allows {max_call_work(limits):,} at once: "
        f"{advice}, or raise SHOAL_MAX_BATCH_WORK",
        field=field,
    )


def max_fitted_clusters(n_features: int, limits: Limits) -> int:
    """Return how many centroids of so many columns are fitted to a summary at most."""
    return min(limits.max_centroid_values, MAX_SUMMARISED_VALUES) // n_features


def check_fitted_values(n_clusters: int, n_features: int, limits: Limits, field: str) -> None:
    """Raise TOO_MANY_VALUES if so many centroids are more than are fitted to a summary; `field` has their number."""
    most = max_fitted_clusters(n_features, limits)
    if n_clusters > most:
        raise refused(
            Reason.TOO_MANY_VALUES,
            f"n_clusters {n_clusters:,} times n_features {n_features:,} is {n_clusters * n_features:,} values, and the "
            f"server fits {most * n_features:,} to a summary: n_clusters can be {most:,} at most",
            field=field,
        )


class SessionCompute:
    """The compute threads as one session uses them: others go first between two pieces, and `halt` stops it there.

    Parameters
    ----------
    uid
        Of the session.
    pool
        The threads.
    held
        Returns how many bytes the session's tasks hold at most that hold memory between two pieces.
    """

    def __init__(self, uid: str, pool: ComputePool, held: Callable[[], int] = lambda: 0) -> None:
        self._uid = uid
        self._pool = pool
        self._batches = 0
        self.halted = False
        self.run_tasks = _SessionTasks(pool, self._pause, lambda: self._pause(held()))

    def halt(self) -> None:
        """Begin nothing more, and stop what is being computed at its next piece."""
        self.halted = True

    async def call(
        self,
        engines: Iterable[EngineName | None],
        work: int,
        function: Callable[P, R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run a function that does so much work with these engines on a thread."""
        call_for = self._pool.call_uncut_for if runs_uncut(engines, work) else self._pool.call_for
        return await call_for(self._uid, function, *args, **kwargs)

    def assign(
        self,
        model: Model,
        points: PointArray,
        engine: Engine,
        *,
        return_distances: bool = False,
        return_scores: bool = False,
    ) -> Assignment:
        """Assign points (n, d), perhaps long after that was asked for; raise Halted if it was stopped."""
        if self.halted:
            raise Halted
        return assign(
            model, points, engine, self.run_tasks, return_distances=return_distances, return_scores=return_scores
        )

    def is_halted(self) -> bool:
        """Let others go first between two batches, and return whether to stop there. On a thread."""
        self._batches += 1
        if self._batches % YIELD_EVERY == 0:
            sleep(YIELD)
        self._pool.checkpoint()
        return self.halted

    def _pause(self, held: int = 0) -> None:
        self._pool.checkpoint(held)
        if self.halted:
            raise Halted


class _SessionTasks:
    """Runs the tasks of a batch, as engines.contract.RunTasks, and raises Halted between two pieces. On a thread."""

    def __init__(self, pool: ComputePool, pause: Callable[[], None], pause_holding: Callable[[], None]) -> None:
        self._pool = pool
        self._pause = pause
        self._pause_holding = pause_holding

    def __call__(self, task: Task, count: int) -> None:
        """Run task(0) … task(count - 1), on whatever threads there are."""
        self._pool.run_tasks(task, count, self._pause)

    def holding_memory(self, task: Task, count: int) -> None:
        """Run them one after another, on this thread: so what a session holds is held by one thread at a time."""
        self._pool.run_tasks(lambda _: _in_turn(task, count), 1, self._pause_holding)


def _in_turn(task: Task, count: int) -> Iterator[None]:
    for index in range(count):
        if index:
            yield
        yield from task(index) or ()
