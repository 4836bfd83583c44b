"""The sample of recent points: its size, its rows, and its memory."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.model import new_model
from shoal_server.clustering.state import Batch, BatchResult
from shoal_server.errors import Reason, Refusal
from shoal_server.sessions.completion import Completion
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.jobs import BatchJob, ChangeJob, Receipt
from shoal_server.sessions.port import SessionConfig
from shoal_server.sessions.recent import MAX_BATCHES, MAX_BYTES, MAX_ROWS, MIN_DISPATCHES, RecentPoints
from shoal_server.sessions.session import Session
from tests.sessions.clock import until_quiet
from tests.sessions.engines import FAULTY, StagedEngine
from tests.sessions.refusing import refusal_of
from tests.sessions.session_builders import (
    given_centroids,
    kept_for,
    model_changes,
    points,
    push,
    started,
    submit,
    unreadable,
    warming,
)

MODEL = new_model(given_centroids())
A_HOP = MAX_ROWS // MIN_DISPATCHES


def applied(rows: int) -> BatchResult:
    return BatchResult(1, rows, 0, 0.0, None, None)


def apply_all(recent: RecentPoints, *messages: Sequence[NDArray[Any]]) -> None:
    """Apply all batches of some messages in one dispatch."""
    jobs = [BatchJob([Batch(each) for each in message], Completion()) for message in messages]
    results = [[applied(len(each)) for each in message] for message in messages]
    recent.note(jobs, results, MODEL)


def numbered(first: int, count: int, columns: int = 1, dtype: Any = np.float64) -> NDArray[Any]:
    """Return rows (count, columns) that are their numbers."""
    return np.repeat(np.arange(first, first + count)[:, None], columns, axis=1).astype(dtype)


def values(recent: RecentPoints, most: int = 0) -> list[float]:
    kept: list[float] = recent.newest(most, 1)[:, 0].tolist()
    return kept


def test_recent_points_have_a_maximum_number_of_rows_and_drop_the_oldest() -> None:
    recent = RecentPoints()
    for first in range(0, 50 * 30, 30):
        apply_all(recent, [numbered(first, 30)])

    kept = values(recent)

    assert MAX_ROWS - 30 < len(kept) <= MAX_ROWS
    assert kept == list(range(1500 - len(kept), 1500))
    assert values(recent, 7) == list(range(1493, 1500))
    assert values(recent, 10_000) == kept


@pytest.mark.parametrize("columns", [40, 100, 1000, 20_000, MAX_BYTES // 8 - 1])
def test_recent_points_have_fewer_rows_when_these_are_wide(columns: int) -> None:
    recent = RecentPoints()

    for number in range(70):
        apply_all(recent, [numbered(number, 40, columns)])

    kept = recent.newest(0, columns)
    assert MAX_BYTES // 2 < kept.nbytes <= MAX_BYTES
    assert len(kept) <= MAX_ROWS
    assert len(kept) == 1 or len(np.unique(kept)) > 2  # of more than the last dispatch


def test_recent_points_keep_one_row_of_any_width() -> None:
    recent = RecentPoints()

    for number in range(3):
        apply_all(recent, [numbered(number, 2, MAX_BYTES)])

    assert recent.newest(0, MAX_BYTES).shape == (1, MAX_BYTES)
    assert values(recent) == [2]


def test_a_large_batch_gives_few_evenly_spaced_rows() -> None:
    recent = RecentPoints()

    apply_all(recent, [numbered(0, 100_000)])

    kept = values(recent)
    assert A_HOP // 2 < len(kept) <= A_HOP
    assert set(np.diff(kept)) == {100_000 // A_HOP + 1}
    assert kept[-1] > 98_000


@pytest.mark.parametrize("messages", [1, 3, 200])
def test_many_batches_give_no_more_rows_than_one_and_few_are_read(messages: int) -> None:
    recent = RecentPoints()
    per_message = 600 // messages

    apply_all(
        recent, *([numbered(1000 * (m * per_message + b), 32) for b in range(per_message)] for m in range(messages))
    )

    kept = values(recent)
    assert len(kept) == A_HOP
    assert sorted({int(value) // 1000 for value in kept}) == [600 * part // MAX_BATCHES for part in range(4)]
    assert kept == sorted(kept)


def test_the_same_dispatches_give_the_same_sample() -> None:
    samples = []
    for _ in range(2):
        recent = RecentPoints()
        for number in range(40):
            apply_all(recent, [np.random.default_rng(number).normal(size=(1 + 37 * number, 3))] * (1 + number % 7))
        samples.append(recent.newest(0, 3))

    np.testing.assert_array_equal(samples[0], samples[1])


def test_a_sample_of_several_types_has_a_type_that_holds_them_all() -> None:
    recent = RecentPoints()

    apply_all(recent, [numbered(250, 3, dtype=np.uint8), numbered(0, 2, dtype=np.float32)])

    kept = recent.newest(0, 1)
    assert kept.dtype == np.float32
    assert kept[:, 0].tolist() == [250, 251, 252, 0, 1]


def test_refused_and_unreadable_batches_give_no_recent_points() -> None:
    recent = RecentPoints()
    refused = BatchResult(refusal=Refusal(Reason.SHAPE_INVALID, "no points", "points"))
    first = BatchJob([unreadable(), Batch(numbered(1, 1)), Batch(numbered(2, 1))], Completion())
    change = ChangeJob(model_changes(), Completion())
    second = BatchJob([Batch(numbered(3, 1)), Batch(numbered(4, 1))], Completion())
    halted = BatchJob([Batch(numbered(5, 1))], Completion())
    dropped = BatchResult(3, 0, 1, 0.0, None, None)
    results = [[refused, refused, applied(1)], [], [dropped, applied(1)], []]

    recent.note([first, change, second, halted], results, MODEL)

    assert values(recent) == [2, 4]


def test_recent_points_are_a_copy_that_does_not_hold_the_message() -> None:
    recent = RecentPoints()
    for count in (1, A_HOP, 1000):
        message = numbered(0, count)
        gone = weakref.ref(message)

        apply_all(recent, [message])
        del message
        gc.collect()

        assert gone() is None


def test_each_reader_of_recent_points_gets_its_own_arrays() -> None:
    recent = RecentPoints()
    apply_all(recent, [numbered(0, 3)])

    recent.newest(0, 1)[:] = 7

    assert values(recent) == [0, 1, 2]


async def test_a_warming_session_keeps_recent_points(deps: SessionDeps) -> None:
    async with started(deps, kept_for(None, warming(n_clusters=2))) as session:
        await push(session, 1.0, 2.0)
        early = session.recent_points(0)
        await push(session, 3.0, 4.0, 5.0, 6.0)
        late = session.recent_points(0)

    assert (early[0], early[1][:, 0].tolist()) == (0, [1, 2])
    assert (late[0], late[1][:, 0].tolist()) == (1, [1, 2, 3, 4, 5, 6])


async def test_a_new_session_has_no_recent_points(session: Session) -> None:
    version, kept = session.recent_points(10)

    assert (version, kept.shape) == (0, (0, 1))


async def test_waiting_batches_are_not_in_recent_points(session: Session, engine: StagedEngine) -> None:
    await push(session, 4.0)
    await engine.arrival()
    engine.close_gate()
    coming = await submit(session, 6.0)
    await engine.arrival()

    meanwhile = session.recent_points(0)
    engine.open_gate()
    await coming.result()

    assert (meanwhile[0], meanwhile[1].tolist()) == (1, [[4]])
    assert session.recent_points(0)[1].tolist() == [[4], [6]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, FAULTY])
async def test_a_refused_batch_leaves_no_recent_points(session: Session, bad: float) -> None:
    await push(session, 4.0)
    receipt = await submit(session, 5.0, bad)

    await refusal_of(receipt.result())

    assert session.recent_points(0)[1].tolist() == [[4]]


@pytest.mark.parametrize("on_invalid", ["drop", "impute"])
async def test_rows_that_are_not_finite_are_left_out_of_recent_points(deps: SessionDeps, on_invalid: Any) -> None:
    config = SessionConfig(given_centroids(0.0, on_invalid=on_invalid))
    async with started(deps, config) as session:
        await push(session, 1.0, np.nan, 2.0, np.inf, 1e300)
        await push(session, np.nan)

        assert session.recent_points(0)[1].tolist() == [[1], [2]]


async def test_rows_imputed_before_a_change_of_the_same_dispatch_are_left_out_of_recent_points(
    session: Session, engine: StagedEngine
) -> None:
    await session.change(model_changes(on_invalid="impute"), etag="")
    engine.close_gate()
    first = await submit(session, 1.0)
    await engine.arrival()
    imputed = await submit(session, 2.0, np.nan)
    changing = asyncio.create_task(session.change(model_changes(on_invalid="reject"), etag=""))
    await until_quiet()

    engine.open_gate()
    await first.result()
    await imputed.result()
    await changing

    assert session.recent_points(0)[1].tolist() == [[1], [2]]


async def test_rows_of_zeros_are_left_out_of_recent_points_under_cosine(deps: SessionDeps) -> None:
    model = ModelConfig(1, engine="scipy", init=np.eye(1, 2), metric="cosine", on_invalid="drop")
    async with started(deps, SessionConfig(model)) as session:
        batch = Batch(np.array([[1.0, 2.0], [0.0, 0.0], [3.0, 4.0]]))
        (receipt,) = await session.submit([batch], None)
        assert isinstance(receipt, Receipt)
        await receipt.result()

        assert session.recent_points(0)[1].tolist() == [[1, 2], [3, 4]]


async def test_a_session_does_not_hold_the_points_it_has_applied(deps: SessionDeps) -> None:
    async with started(deps, SessionConfig(given_centroids())) as session:
        gone = await gone_when_forgotten(session)
        await asyncio.sleep(0)  # the writer waits for the next dispatch
        # A thread lets go of a call after the event loop has its result: each has taken another one by then.
        everyone = threading.Barrier(deps.compute.threads)
        await asyncio.gather(*(deps.compute.call(everyone.wait) for _ in range(deps.compute.threads)))
        gc.collect()

        assert gone() is None
        assert len(session.recent_points(0)[1]) == 3


async def gone_when_forgotten(session: Session) -> Any:
    """Push a batch, and return a weak reference to its points."""
    batch = points(1.0, 2.0, 3.0)
    gone = weakref.ref(batch.points)
    (receipt,) = await session.submit([batch], None)
    assert isinstance(receipt, Receipt)
    await receipt.result()
    return gone
