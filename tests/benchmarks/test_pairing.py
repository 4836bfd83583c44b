"""Turns, spreads and clocks of the benchmarks."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator

import pytest
from rich.console import Console

from benchmarks.pairing import MIN_SECONDS, Plan, in_turn, ratios, spread, take_turns, timed


class FakeClock:
    """A clock that only the work under measurement moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def work(self, seconds: float) -> None:
        self.seconds += seconds


def test_a_spread_has_the_median_and_the_quartiles() -> None:
    found = spread([5.0, 1.0, 4.0, 2.0, 3.0])

    assert (found.low, found.median, found.high, found.count) == (2.0, 3.0, 4.0, 5)


def test_a_spread_of_no_figures_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing"):
        spread([])


def test_ratios_are_taken_round_by_round() -> None:
    slowed_down_together = [1.0, 10.0, 100.0], [2.0, 20.0, 200.0]

    found = ratios(*slowed_down_together)

    assert (found.low, found.median, found.high) == (0.5, 0.5, 0.5)


def test_ratios_need_the_same_rounds_of_both_contestants() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_every_contestant_goes_first_and_last_equally_often() -> None:
    rounds = [in_turn(["A", "B", "C"], number) for number in range(6)]

    assert Counter(order[0] for order in rounds) == {"A": 2, "B": 2, "C": 2}
    assert Counter(order[-1] for order in rounds) == {"A": 2, "B": 2, "C": 2}
    assert all(sorted(order) == ["A", "B", "C"] for order in rounds)


def test_two_contestants_alternate() -> None:
    assert [in_turn(["A", "B"], number) for number in range(4)] == [["A", "B"], ["B", "A"], ["B", "A"], ["A", "B"]]


def test_warm_up_rounds_do_not_count() -> None:
    numbers: Iterator[int] = iter(range(100))

    taken = take_turns({"A": lambda: next(numbers)}, _plan(rounds=3), "test", warm_ups=2)

    assert taken == {"A": [2, 3, 4]}


def test_all_contestants_have_a_figure_for_every_round() -> None:
    taken = take_turns({"A": lambda: 1, "B": lambda: 2}, _plan(rounds=4), "test")

    assert taken == {"A": [1] * 4, "B": [2] * 4}


def test_a_short_call_is_repeated_and_its_time_is_for_one_call() -> None:
    clock, calls = FakeClock(), Counter[str]()

    def work() -> None:
        calls["work"] += 1
        clock.work(MIN_SECONDS / 16)

    measure = timed(work, clock)
    measure()
    before = calls["work"]

    assert measure() == pytest.approx(MIN_SECONDS / 16)
    assert calls["work"] - before == pytest.approx(16, abs=1)


def test_the_first_call_does_not_count() -> None:
    clock = FakeClock()
    costs = iter([100.0])

    assert timed(lambda: clock.work(next(costs, 1.0)), clock)() == 1.0


def test_each_call_is_a_measurement_without_a_minimum_time() -> None:
    clock = FakeClock()
    costs = iter([9.0, 9.0, 1e-6, 2e-6, 3e-6])
    measure = timed(lambda: clock.work(next(costs)), clock, least=0.0)

    assert [measure(), measure(), measure()] == pytest.approx([1e-6, 2e-6, 3e-6])


def test_a_quick_plan_takes_the_smaller_choice_and_no_more_rounds_than_it_has() -> None:
    plan = _plan(rounds=5)

    assert plan.choose(full=10, quick=1) == 1
    assert (plan.with_rounds(3).rounds, plan.with_rounds(9).rounds) == (3, 5)


def _plan(rounds: int) -> Plan:
    return Plan(quick=True, rounds=rounds, console=Console(file=io.StringIO()))
