"""The timer of a ledger, which times idle producers out."""

from __future__ import annotations

from shoal_server.sessions.port import Producer
from shoal_server.sessions.producers import IDLE_TIMEOUT, ProducerLedger
from shoal_server.sessions.session import Session
from tests.sessions.clock import jumping_loop, timers, until
from tests.sessions.producer_builders import kept, stamp, take
from tests.sessions.session_builders import push


async def test_each_idle_producer_times_out_on_its_own() -> None:
    ledger = ProducerLedger(max_producers=9, replay_bytes=0)
    take(ledger, stamp(1, producer="a"))
    await until(IDLE_TIMEOUT / 2)
    take(ledger, stamp(1, producer="b"))

    await until(4 * IDLE_TIMEOUT)

    assert [kept(ledger, stamp(1, producer=producer)) for producer in "ab"] == [False] * 2
    assert timers(jumping_loop()) == 0


async def test_timed_out_ephemeral_producers_leave_nothing() -> None:
    ledger = ProducerLedger(max_producers=9, replay_bytes=1_000_000)
    for number in range(50):
        take(ledger, stamp(1, producer=f"e-{number}", ephemeral=True))

    await until(2 * IDLE_TIMEOUT)

    assert len(ledger._ephemeral.states) == len(ledger._ephemeral.idle) == len(ledger._answers._producers) == 0


async def test_a_closed_ledger_sets_no_timer() -> None:
    ledger = ProducerLedger(max_producers=9, replay_bytes=0)
    ledger.open(Producer("a"))

    ledger.close()
    ledger.leave(Producer("a"))

    assert timers(jumping_loop()) == 0


async def test_an_ended_session_leaves_no_timer(session: Session) -> None:
    session.open_producer(Producer("a"))
    await push(session, 1.0, stamp=stamp(1, producer="b"))

    await session.end("deleted")
    session.leave_producer(Producer("a"))

    assert timers(jumping_loop()) == 0
