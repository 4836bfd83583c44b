"""The shelves of answers: what is held, what is spare, and that nothing stays when it is to go."""

from __future__ import annotations

import pytest

from shoal_server.clustering.state import BatchResult
from shoal_server.errors import Reason, Refusal
from shoal_server.sessions import replay_cache
from shoal_server.sessions.replay_cache import ENTRY_BYTES, ReplayCache
from tests.sessions.clock import until_quiet
from tests.sessions.producer_builders import answered, outcome, unanswered

PLENTY = 1_000_000


async def hold(shelves: ReplayCache, producer: str, *sequences: int) -> None:
    """Hold answers that have come."""
    for sequence in sequences:
        shelves.hold(producer, sequence, [sequence], answered(sequence))
    await until_quiet()


def found(shelves: ReplayCache, producer: str, *sequences: int) -> list[int]:
    """Return those whose answers are kept."""
    return [sequence for sequence in sequences if shelves.find(producer, sequence)]


async def test_what_was_released_once_is_not_held_again_by_a_smaller_number() -> None:
    shelves = ReplayCache(replay_bytes=0)
    coming = [unanswered() for _ in range(3)]
    for sequence, answer in enumerate(coming, start=1):
        shelves.hold("p", sequence, [sequence], answer)

    shelves.release("p", 3)
    shelves.release("p", 1)
    for answer in coming:
        answer.set_result([outcome(1)])
    await until_quiet()

    assert found(shelves, "p", 1, 2, 3) == []


async def test_to_release_what_is_unknown_does_nothing() -> None:
    shelves = ReplayCache(replay_bytes=0)
    await hold(shelves, "p", 1)

    shelves.release("q", 9)

    assert found(shelves, "p", 1) == [1]


async def test_what_is_released_makes_room_among_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_cache, "PINNED_BYTES", 3 * ENTRY_BYTES)
    shelves = ReplayCache(replay_bytes=0)
    for sequence in range(1, 11):
        await hold(shelves, "p", sequence)
        shelves.release("p", sequence)

    await hold(shelves, "p", 11, 12, 13)

    assert found(shelves, "p", *range(1, 14)) == [11, 12, 13]


async def test_what_is_held_too_long_is_spare_and_may_be_released_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay_cache, "PINNED_BYTES", ENTRY_BYTES)
    shelves = ReplayCache(replay_bytes=2 * ENTRY_BYTES)
    await hold(shelves, "p", 1, 2, 3)

    shelves.release("p", 3)

    assert found(shelves, "p", 1, 2, 3) == [2, 3]


async def test_answers_of_a_forgotten_producer_take_no_room() -> None:
    shelves = ReplayCache(replay_bytes=3 * ENTRY_BYTES)
    for number in range(10):
        await hold(shelves, f"e-{number}", 1, 2)
        shelves.release(f"e-{number}", 1)
        shelves.forget(f"e-{number}")

    await hold(shelves, "p", 1, 2, 3)
    shelves.release("p", 3)

    assert found(shelves, "p", 1, 2, 3) == [1, 2, 3]
    assert found(shelves, "e-0", 1, 2) == []
    assert list(shelves._known) == ["p"]


async def test_a_late_answer_to_a_forgotten_producer_is_not_taken_for_that_of_its_successor() -> None:
    shelves = ReplayCache(replay_bytes=0)
    old, new = unanswered(), unanswered()
    shelves.hold("e", 1, [7], old)
    shelves.forget("e")
    shelves.hold("e", 1, [8], new)
    shelves.release("e", 1)

    old.set_result([outcome(1)])
    await until_quiet()

    answer = shelves.find("e", 1)
    assert answer is not None
    assert (answer.completion, answer.fingerprints) == (new, [8])


async def test_a_refusal_is_kept_like_an_answer_without_labels() -> None:
    shelves = ReplayCache(replay_bytes=ENTRY_BYTES)
    refused = unanswered()
    refused.set_result([BatchResult(refusal=Refusal(Reason.SHAPE_INVALID, "no good", "points"))])
    shelves.hold("p", 1, [1], refused)
    await until_quiet()

    shelves.release("p", 1)

    assert found(shelves, "p", 1) == [1]


async def test_to_release_much_costs_what_is_kept_and_not_what_was_ever_sent() -> None:
    shelves = ReplayCache(replay_bytes=PLENTY)
    await hold(shelves, "p", 1, 10**12)

    shelves.release("p", 10**12)

    assert found(shelves, "p", 1, 10**12) == [1, 10**12]
