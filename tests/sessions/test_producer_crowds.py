"""The producers that the ledger remembers: named ones forever, ephemeral ones until they time out."""

from __future__ import annotations

import pytest

from shoal_server.errors import Kind
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import Position, Producer
from shoal_server.sessions.producers import IDLE_TIMEOUT, ProducerLedger
from shoal_server.sessions.replay_cache import ENTRY_BYTES
from shoal_server.sessions.session import Session
from tests.sessions.clock import jumping_loop, until, until_quiet
from tests.sessions.engines import StagedEngine
from tests.sessions.producer_builders import kept, stamp, take, unanswered
from tests.sessions.refusing import refusal, refusal_of
from tests.sessions.session_builders import push, session_deps, started

PLENTY = 1_000_000


@pytest.fixture
def ledger() -> ProducerLedger:
    return ProducerLedger(max_producers=2, replay_bytes=PLENTY)


def ephemeral_producer(number: int, epoch: int = 0) -> Producer:
    return Producer(f"e-{number}", epoch, ephemeral=True)


def pass_by(ledger: ProducerLedger, number: int) -> None:
    """Open a stream of an ephemeral producer, take a batch, and end it."""
    ledger.open(ephemeral_producer(number))
    take(ledger, stamp(1, producer=f"e-{number}", ephemeral=True))
    ledger.leave(ephemeral_producer(number))


async def test_ephemeral_producers_do_not_count_against_max_producers(ledger: ProducerLedger) -> None:
    take(ledger, stamp(1, producer="nightly"))

    for number in range(10):
        pass_by(ledger, number)

    assert kept(ledger, stamp(1, producer="nightly"))
    assert ledger.open(Producer("nightly")) == Position(epoch=1, last_sequence=1)


async def test_a_producer_name_above_the_limit_is_refused_with_advice(ledger: ProducerLedger) -> None:
    ledger.open(Producer("a"))
    take(ledger, stamp(1, producer="b"))

    opening = refusal(lambda: ledger.open(Producer("c")))
    pushing = refusal(lambda: ledger.seen(*stamp(1, producer="c")))

    for error in (opening, pushing):
        assert (error.kind, error.reason) == (Kind.RESOURCE_EXHAUSTED, "TOO_MANY_PRODUCERS")
        assert "maximum number of producer names (2)" in error.message
        assert "raise SHOAL_MAX_PRODUCERS" in error.message
    assert ledger.open(Producer("a")).epoch == 2
    assert ledger.seen(*stamp(2, producer="b")) is None


async def test_a_producer_name_is_remembered_after_any_absence(ledger: ProducerLedger) -> None:
    ledger.open(Producer("a"))
    take(ledger, stamp(1, producer="a"))
    ledger.leave(Producer("a"))

    await until(jumping_loop().time() + 100 * IDLE_TIMEOUT)

    assert ledger.open(Producer("a")).last_sequence == 1


async def test_an_ephemeral_producer_that_returns_in_time_continues(ledger: ProducerLedger) -> None:
    pass_by(ledger, 1)

    await until(IDLE_TIMEOUT - 1)

    assert ledger.open(ephemeral_producer(1, epoch=1)) == Position(epoch=1, last_sequence=1)


async def test_an_ephemeral_producer_is_forgotten_some_time_after_its_stream_ends(ledger: ProducerLedger) -> None:
    pass_by(ledger, 1)

    await until(2 * IDLE_TIMEOUT)

    assert ledger.open(ephemeral_producer(1)) == Position(epoch=1, last_sequence=0)


async def test_an_ephemeral_producer_with_a_stream_is_not_forgotten(ledger: ProducerLedger) -> None:
    ledger.open(ephemeral_producer(0))
    take(ledger, stamp(1, producer="e-0", ephemeral=True))

    for number in range(1, 10):
        pass_by(ledger, number)
    await until(3 * IDLE_TIMEOUT)

    assert ledger.open(ephemeral_producer(0)).last_sequence == 1


async def test_the_ephemeral_producer_idle_longest_is_forgotten_when_there_are_too_many(ledger: ProducerLedger) -> None:
    for number in (1, 2, 3):
        pass_by(ledger, number)

    assert [ledger.open(ephemeral_producer(number)).last_sequence for number in (2, 3)] == [1, 1]
    assert ledger.open(ephemeral_producer(1)).last_sequence == 0


async def test_a_push_makes_an_ephemeral_producer_the_last_to_be_forgotten(ledger: ProducerLedger) -> None:
    for number, sequence in ((1, 1), (2, 1), (1, 2)):
        take(ledger, stamp(sequence, producer=f"e-{number}", ephemeral=True))

    pass_by(ledger, 3)

    assert ledger.open(ephemeral_producer(1)).last_sequence == 2


async def test_a_named_and_an_ephemeral_producer_of_the_same_id_are_two_producers(ledger: ProducerLedger) -> None:
    take(ledger, stamp(1, producer="x"))
    take(ledger, stamp(1, producer="x", ephemeral=True, fingerprint=77))

    await until(2 * IDLE_TIMEOUT)

    assert kept(ledger, stamp(1, producer="x"))
    assert ledger.seen(*stamp(1, producer="x", ephemeral=True)) is None


async def test_results_of_a_forgotten_producer_make_room_for_others() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=3 * ENTRY_BYTES)
    for number in range(10):
        pass_by(ledger, number)
    take(ledger, stamp(1, producer="p"))
    await until_quiet()

    await until(2 * IDLE_TIMEOUT)
    for sequence in (2, 3, 4):
        take(ledger, stamp(sequence, producer="p"))
    await until_quiet()

    assert [kept(ledger, stamp(sequence, producer="p")) for sequence in (1, 2, 3, 4)] == [True] * 4


async def test_a_result_is_not_kept_when_its_producer_was_forgotten() -> None:
    ledger = ProducerLedger(max_producers=1, replay_bytes=ENTRY_BYTES)
    coming = unanswered()
    take(ledger, stamp(1, producer="e", ephemeral=True), coming)
    ledger.open(ephemeral_producer(1))
    take(ledger, stamp(1, producer="p"))

    coming.set_exception(ValueError("late"))
    assert coming.exception()
    await until_quiet()
    take(ledger, stamp(2, producer="p"))
    await until_quiet()

    assert kept(ledger, stamp(1, producer="p"))
    assert ledger.seen(*stamp(1, producer="e", ephemeral=True)) is None


async def test_a_batch_of_a_producer_above_the_limit_is_refused_and_releases_its_queue_bytes(
    deps: SessionDeps, engine: StagedEngine
) -> None:
    async with started(session_deps(deps.compute, engine, max_producers=1)) as session:
        await push(session, 1.0, stamp=stamp(1, producer="a"))

        error = await refusal_of(push(session, 1.0, stamp=stamp(1, producer="b")))

        assert error.reason == "TOO_MANY_PRODUCERS"
        assert session.describe().queued_bytes == 0
        assert (await push(session, 1.0, stamp=stamp(2, producer="a"))).version == 2


async def test_the_end_of_a_stream_makes_its_ephemeral_producer_idle(session: Session) -> None:
    session.open_producer(ephemeral_producer(1))
    await push(session, 1.0, stamp=stamp(1, producer="e-1", ephemeral=True))

    session.leave_producer(ephemeral_producer(1))
    await until(jumping_loop().time() + 2 * IDLE_TIMEOUT)

    assert session.open_producer(ephemeral_producer(1)).last_sequence == 0
