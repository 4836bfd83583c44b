"""Fairly shared threads: the owner that has used least goes first, and long work lets others in between."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from shoal_server.sessions import compute as compute_module
from shoal_server.sessions.compute import CREDIT, MAX_OWNERS, FairExecutor
from tests.sessions.engines import PATIENCE

DYING = """
import threading
from shoal_server.sessions.compute import FairExecutor
begun = threading.Event()
def work():
    begun.set()
    threading.Event().wait()
FairExecutor(1, "compute").submit(work)
begun.wait()
print("ends")
"""


@pytest.fixture
def executor() -> Iterator[FairExecutor]:
    executor = FairExecutor(1, "compute")
    yield executor
    executor.shutdown(wait=True)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still unless a test moves it."""
    now = [0.0]
    monkeypatch.setattr(compute_module, "thread_time", lambda: now[0])
    return now


def blocked(executor: FairExecutor, owner: str) -> threading.Event:
    """Keep the only thread busy until the event is set."""
    begun, free = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        free.wait(PATIENCE)

    executor.submit_for(owner, work)
    assert begun.wait(PATIENCE)
    return free


def test_calls_of_one_owner_run_in_their_order(executor: FairExecutor) -> None:
    free, ran = blocked(executor, "a"), []

    calls = [executor.submit_for("a", lambda number=number: ran.append(number)) for number in range(20)]  # type: ignore[misc]
    free.set()
    for call in calls:
        call.result(PATIENCE)

    assert ran == list(range(20))


def test_an_owner_that_has_used_less_goes_before_calls_that_came_first(
    executor: FairExecutor, clock: list[float]
) -> None:
    ran: list[str] = []

    def use() -> None:
        clock[0] += 1.0

    executor.submit_for("heavy", use).result(PATIENCE)
    free = blocked(executor, "other")
    calls = [executor.submit_for("heavy", lambda: ran.append("heavy")) for _ in range(3)]
    calls.append(executor.submit_for("light", lambda: ran.append("light")))
    free.set()
    for call in calls:
        call.result(PATIENCE)

    assert ran == ["light", "heavy", "heavy", "heavy"]


def test_a_new_owner_goes_first_no_longer_than_its_credit(executor: FairExecutor, clock: list[float]) -> None:
    ran: list[str] = []

    def use(name: str) -> None:
        clock[0] += 1.0
        ran.append(name)

    for _ in range(5):
        executor.submit_for("old", lambda: use("old")).result(PATIENCE)
    free = blocked(executor, "other")
    calls = [executor.submit_for(name, lambda name=name: use(name)) for name in ("old", "new", "new", "new", "old")]  # type: ignore[misc]
    free.set()
    for call in calls:
        call.result(PATIENCE)

    assert CREDIT < 1.0  # which is what each call uses
    assert "old" in ran[5:8]


def test_long_work_lets_an_owner_that_has_used_less_go_first_at_its_checkpoint(
    executor: FairExecutor, clock: list[float]
) -> None:
    ran: list[str] = []
    begun, small_is_waiting = threading.Event(), threading.Event()

    def heavy() -> None:
        begun.set()
        assert small_is_waiting.wait(PATIENCE)
        ran.append("heavy begins")
        clock[0] += 1.0
        executor.checkpoint()
        ran.append("heavy goes on")

    long = executor.submit_for("heavy", heavy)
    assert begun.wait(PATIENCE)
    small = executor.submit_for("small", lambda: ran.append("small"))
    small_is_waiting.set()
    small.result(PATIENCE)
    long.result(PATIENCE)

    assert ran == ["heavy begins", "small", "heavy goes on"]


@pytest.mark.parametrize(("held", "order"), [(100, ["small", "heavy"]), (101, ["heavy", "small"])])
def test_long_work_gives_way_only_if_there_is_room_for_what_it_holds(
    clock: list[float], held: int, order: list[str]
) -> None:
    executor = FairExecutor(1, "compute", paused_bytes=100)
    for _ in range(2):  # what was held while it stood still is room again
        ran: list[str] = []
        begun, small_is_waiting = threading.Event(), threading.Event()

        def heavy(ran: list[str], begun: threading.Event, small_is_waiting: threading.Event) -> None:
            begun.set()
            assert small_is_waiting.wait(PATIENCE)
            clock[0] += 1.0
            executor.checkpoint(held)
            ran.append("heavy")

        long = executor.submit_for("heavy", partial(heavy, ran, begun, small_is_waiting))
        assert begun.wait(PATIENCE)
        small = executor.submit_for("small", partial(ran.append, "small"))
        small_is_waiting.set()
        small.result(PATIENCE)
        long.result(PATIENCE)

        assert ran == order
    executor.shutdown(wait=True)


def test_a_checkpoint_returns_at_once_when_no_call_waits(executor: FairExecutor) -> None:
    executor.submit_for("a", executor.checkpoint).result(PATIENCE)
    executor.checkpoint()  # and on a thread that isn't one of its


def test_a_call_that_waits_for_another_call_lets_it_run(executor: FairExecutor) -> None:
    def work() -> str:
        inner = executor.submit(lambda: "inner")
        with executor.released():
            return inner.result(PATIENCE)

    assert executor.submit_for("a", work).result(PATIENCE) == "inner"


def test_owners_that_are_not_ahead_are_forgotten(executor: FairExecutor) -> None:
    for number in range(MAX_OWNERS + 10):
        executor.submit_for(number, lambda: None).result(PATIENCE)

    assert len(executor._used) <= MAX_OWNERS + 1


def test_closing_the_executor_drops_calls_that_have_not_begun() -> None:
    executor = FairExecutor(1, "compute")
    free = blocked(executor, "a")
    never = executor.submit_for("b", lambda: None)

    executor.shutdown(wait=False, cancel_futures=True)
    free.set()
    executor.shutdown(wait=True)

    assert not never.done()
    with pytest.raises(RuntimeError):
        executor.submit_for("a", lambda: None)


def test_a_process_ends_while_a_call_runs() -> None:
    ended = subprocess.run([sys.executable, "-c", DYING], capture_output=True, text=True, timeout=PATIENCE, check=True)

    assert ended.stdout == "ends\n"
