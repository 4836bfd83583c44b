"""The replay cache: what is pinned, what can be evicted, and that nothing stays when it is to go."""

from __future__ import annotations

import pytest

from shoal_server.clustering.state import BatchResult
from shoal_server.errors import Reason, Refusal
from shoal_server.sessions import replay_cache
from shoal_server.sessions.replay_cache import ENTRY_BYTES, ReplayCache
from tests.sessions.clock import until_quiet
from tests.sessions.producer_builders import answered, outcome, unanswered

PLENTY = 1_000_000


async def pin(cache: ReplayCache, producer: str, *sequences: int) -> None:
    """Add results that have come."""
    for sequence in sequences:
        cache.add(producer, sequence, [sequence], answered(sequence))
    await until_quiet()


def found(cache: ReplayCache, producer: str, *sequences: int) -> list[int]:
    """Return the sequences whose results are kept."""
    return [sequence for sequence in sequences if cache.find(producer, sequence)]


async def test_released_results_are_not_pinned_again_by_a_smaller_acknowledgement() -> None:
    cache = ReplayCache(replay_bytes=0)
    coming = [unanswered() for _ in range(3)]
    for sequence, answer in enumerate(coming, start=1):
        cache.add("p", sequence, [sequence], answer)

    cache.release("p", 3)
    cache.release("p", 1)
    for answer in coming:
        answer.set_result([outcome(1)])
    await until_quiet()

    assert found(cache, "p", 1, 2, 3) == []


async def test_releasing_an_unknown_producer_does_nothing() -> None:
    cache = ReplayCache(replay_bytes=0)
    await pin(cache, "p", 1)

    cache.release("q", 9)

    assert found(cache, "p", 1) == [1]


async def test_releasing_results_frees_pinned_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_cache, "PINNED_BYTES", 3 * ENTRY_BYTES)
    cache = ReplayCache(replay_bytes=0)
    for sequence in range(1, 11):
        await pin(cache, "p", sequence)
        cache.release("p", sequence)

    await pin(cache, "p", 11, 12, 13)

    assert found(cache, "p", *range(1, 14)) == [11, 12, 13]


async def test_results_beyond_the_pinned_bytes_can_be_evicted_and_still_be_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay_cache, "PINNED_BYTES", ENTRY_BYTES)
    cache = ReplayCache(replay_bytes=2 * ENTRY_BYTES)
    await pin(cache, "p", 1, 2, 3)

    cache.release("p", 3)

    assert found(cache, "p", 1, 2, 3) == [2, 3]


async def test_results_of_a_forgotten_producer_take_no_bytes() -> None:
    cache = ReplayCache(replay_bytes=3 * ENTRY_BYTES)
    for number in range(10):
        await pin(cache, f"e-{number}", 1, 2)
        cache.release(f"e-{number}", 1)
        cache.forget(f"e-{number}")

    await pin(cache, "p", 1, 2, 3)
    cache.release("p", 3)

    assert found(cache, "p", 1, 2, 3) == [1, 2, 3]
    assert found(cache, "e-0", 1, 2) == []
    assert list(cache._producers) == ["p"]


async def test_a_late_result_of_a_forgotten_producer_is_not_taken_for_one_of_its_successor() -> None:
    cache = ReplayCache(replay_bytes=0)
    old, new = unanswered(), unanswered()
    cache.add("e", 1, [7], old)
    cache.forget("e")
    cache.add("e", 1, [8], new)
    cache.release("e", 1)

    old.set_result([outcome(1)])
    await until_quiet()

    answer = cache.find("e", 1)
    assert answer is not None
    assert (answer.completion, answer.fingerprints) == (new, [8])


async def test_a_refusal_is_kept_like_a_result_without_labels() -> None:
    cache = ReplayCache(replay_bytes=ENTRY_BYTES)
    refused = unanswered()
    refused.set_result([BatchResult(refusal=Refusal(Reason.SHAPE_INVALID, "no good", "points"))])
    cache.add("p", 1, [1], refused)
    await until_quiet()

    cache.release("p", 1)

    assert found(cache, "p", 1) == [1]


async def test_releasing_costs_what_is_kept_and_not_what_was_ever_sent() -> None:
    cache = ReplayCache(replay_bytes=PLENTY)
    await pin(cache, "p", 1, 10**12)

    cache.release("p", 10**12)

    assert found(cache, "p", 1, 10**12) == [1, 10**12]
