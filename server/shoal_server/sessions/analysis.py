"""What is asked of a session's summary: other numbers of clusters, and what its clusters are like.

It is computed on the session's compute threads beside its batches, in pieces between which others go first, and stops
with the call that asked for it. It sees the model as it is when it is asked, and changes nothing.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from shoal_server.clustering.description import describe_bytes, describe_clusters, describe_work
from shoal_server.clustering.fitted import Fitter
from shoal_server.clustering.recluster import Reclusterer, recluster_bytes, recluster_work
from shoal_server.clustering.state import Model
from shoal_server.clustering.summarised import check_summarised, max_points, summarised_rows, too_few_points
from shoal_server.clustering.update import newest
from shoal_server.errors import Reason, invalid, refused
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import (
    ClusterReport,
    ReclusterEvent,
    ReclusterRequest,
    ReclusterStart,
)
from shoal_server.sessions.refusals import errors_of_session
from shoal_server.sessions.stoppable_call import StoppableCall
from shoal_server.sessions.work import check_fitted_values, max_call_work, max_fitted_clusters, too_much_work
from shoal_server.sessions.writer import Writer

# Calls that recluster a session at once: each holds copies of its summary. Descriptions, which take less, wait for one
# another.
MAX_RECLUSTERINGS, MAX_DESCRIBING = 4, 2
USUAL_NUMBERS = range(2, 21)  # of clusters, that are tried where none are named
# Typical points of a cluster, and values of all of them in an answer: 32 MiB.
MAX_TYPICAL, MAX_TYPICAL_VALUES = 1000, 1 << 22
_RETRY_AFTER = 1.0  # seconds


class Analysis:
    """Reads the summary of one session.

    Parameters
    ----------
    name, uid
        Of the session.
    writer
        Whose newest model is read, and whose end ends what is computed.
    deps
        What the server hands to each session.
    """

    def __init__(self, name: str, uid: str, writer: Writer, deps: SessionDeps) -> None:
        self._name = name
        self._uid = uid
        self._writer = writer
        self._deps = deps
        self._reclusterings = 0
        self._describing = asyncio.Semaphore(MAX_DESCRIBING)

    async def recluster(self, request: ReclusterRequest) -> AsyncGenerator[ReclusterEvent, None]:
        """Yield what is asked about, the fit of each number of clusters as it is found, and the suggestion.

        Raises
        ------
        DomainError
            SUMMARY_MISSING, SUMMARY_EMPTY, SESSION_WARMING, N_CLUSTERS_INVALID, TOO_MANY_VALUES, WORK_TOO_LARGE,
            TOO_MANY_CALLS, MEMORY_LIMIT_REACHED; SESSION_NOT_FOUND or SERVER_DRAINING if the session ends meanwhile.
        """
        model = self._writer.model
        with errors_of_session(self._name):
            check_summarised(model)
            m, _, d, precision = _shape(model)
            numbers = request.numbers or _usual_numbers(min(m, max_fitted_clusters(d, self._deps.limits)))
            self._check_numbers(numbers, m, d)
            needed = recluster_bytes(m, numbers[-1], d, precision)
            with self._call(needed, "reclustering", is_reclustering=True) as call:
                rows = await call.compute(lambda: summarised_rows(model, self._fitter, call.run))
                found = len(rows.points.weights)
                numbers = request.numbers or _usual_numbers(min(found, numbers[-1]))
                if numbers[-1] > found:
                    raise too_few_points(numbers[-1], found)
                yield ReclusterStart(self._uid, model.version, numbers, found, float(rows.points.weights.sum()))
                reclusterer = Reclusterer(rows, numbers, request.random_state, self._fitter.search)
                for number in numbers:
                    yield await call.compute(partial(reclusterer.fit, number, call.run))
                if len(numbers) > 1:
                    yield reclusterer.suggestion()

    async def describe_clusters(self, n_typical: int) -> ClusterReport:
        """Return what the clusters of the newest version are like, with so many typical points of each.

        Raises
        ------
        DomainError
            As `recluster` does; N_TYPICAL_INVALID.
        """
        model = self._writer.model
        with errors_of_session(self._name):
            check_summarised(model)
            m, k, d, precision = _shape(model)
            _check_typical(n_typical, k, d)
            work = describe_work(m, k, d)
            if work > self._max_work:
                what = "to describe the clusters with this summary"
                raise too_much_work(work, what, "use a smaller summary_size", self._deps.limits)
            needed = describe_bytes(m, k, d, n_typical, precision)
            async with self._describing:
                with self._call(needed, "describing the clusters of") as call:
                    descriptions = await call.compute(
                        lambda: describe_clusters(
                            summarised_rows(model, self._fitter, call.run), n_typical, self._fitter.search, call.run
                        )
                    )
        return ClusterReport(self._uid, model.version, newest(model).ids, descriptions)

    @property
    def _fitter(self) -> Fitter:
        if self._deps.fitter is None:
            raise AssertionError("a server whose sessions keep summaries has a fitter")
        return self._deps.fitter

    def _check_numbers(self, numbers: Sequence[int], m: int, d: int) -> None:
        """Raise what is wrong with numbers of clusters, ascending, for a summary of at most m points of d columns."""
        largest = numbers[-1]
        if largest > m:
            raise too_few_points(largest, m)
        check_fitted_values(largest, d, self._deps.limits, "n_clusters")
        work = recluster_work(m, numbers, d)
        if work > self._max_work:
            what = f"to fit {len(numbers)} numbers of clusters up to {largest:,} to this summary"
            raise too_much_work(work, what, self._fitting(numbers, m, d), self._deps.limits, "n_clusters")

    def _fitting(self, numbers: Sequence[int], m: int, d: int) -> str:
        """Return which of numbers of clusters are not too much work."""
        count = bisect_right(range(len(numbers)), self._max_work, key=lambda end: recluster_work(m, numbers[:end], d))
        if count <= 1:
            return "ask for smaller numbers"
        return f"ask for {count - 1} of them up to {numbers[count - 2]:,}, or for fewer that are larger"

    @property
    def _max_work(self) -> int:
        return max_call_work(self._deps.limits)

    @contextmanager
    def _call(self, size: int, what: str, *, is_reclustering: bool = False) -> Iterator[StoppableCall]:
        """Reserve so many bytes for a call, and stop its computing with the context."""
        if is_reclustering and self._reclusterings >= MAX_RECLUSTERINGS:
            raise refused(
                Reason.TOO_MANY_CALLS,
                f"{MAX_RECLUSTERINGS} calls recluster session {self._name!r} already; try again in a few seconds",
                retry_after=_RETRY_AFTER,
            )
        memory = self._deps.budget.reserve(size, f"{what} session {self._name!r}")
        call = StoppableCall(
            f"{self._uid} analysis",
            self._deps.compute,
            lambda: self._writer.compute.halted,
            lambda: self._writer.refusal,
        )
        self._reclusterings += is_reclustering

        def end() -> None:
            memory.release()
            self._reclusterings -= is_reclustering

        try:
            yield call
        finally:
            call.stop(end)


def _shape(model: Model) -> tuple[int, int, int, int]:
    """Return the most points that a model's summary has now, its clusters, its columns, and the bytes of a value."""
    k, d = newest(model).centroids.shape
    return max_points(model), k, d, model.frame.dtype.itemsize


def _usual_numbers(most: int) -> Sequence[int]:
    """Return the usual numbers of clusters up to the most that there can be; the least of them in any case."""
    return USUAL_NUMBERS[: max(most + 1 - USUAL_NUMBERS[0], 1)]


def _check_typical(n_typical: int, k: int, d: int) -> None:
    most = min(MAX_TYPICAL, max(MAX_TYPICAL_VALUES // (k * d), 1))
    if not 0 <= n_typical <= most:
        raise invalid(
            Reason.N_TYPICAL_INVALID,
            "n_typical",
            f"n_typical is {n_typical:,}; use 0 to {most:,} for {k:,} clusters of {d:,} columns",
        )
