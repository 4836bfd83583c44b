"""Measures contestants in turn, so that other work on the machine affects them all; medians and quartiles.

Nothing here looks at a clock of its own: contestants say what they measured.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.progress import track

T = TypeVar("T")

Clock = Callable[[], float]  # seconds

# A measurement shorter than this is mostly the clock's and the scheduler's.
MIN_SECONDS = 0.01


@dataclass(frozen=True)
class Plan:
    """How much of a suite to run."""

    quick: bool
    rounds: int
    console: Console
    only: str = ""  # a pattern of the cases to run, for the suites that have many; empty: all

    def choose(self, full: T, quick: T) -> T:
        """Return the full or the quick size, depending on the plan."""
        return quick if self.quick else full

    def with_rounds(self, rounds: int) -> Plan:
        """Return the plan with at most this many rounds."""
        return replace(self, rounds=min(self.rounds, rounds))


@dataclass(frozen=True)
class Spread:
    """The median and quartiles of measurements."""

    median: float
    low: float  # the lower quartile
    high: float  # the upper one
    count: int


def spread(values: Iterable[float]) -> Spread:
    """Return median and quartiles.

    Raises
    ------
    ValueError
        If there are no values.
    """
    measured = np.fromiter(values, np.float64)
    if not len(measured):
        raise ValueError("there is nothing to take the median of")
    low, median, high = (float(value) for value in np.percentile(measured, [25, 50, 75]))
    return Spread(median, low, high, len(measured))


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Return the spread of the ratios of each round, so that a slow round affects both its figures."""
    return spread(one / other for one, other in zip(above, below, strict=True))


def take_turns(
    contestants: Mapping[str, Callable[[], T]], plan: Plan, what: str, *, warm_ups: int = 1
) -> dict[str, list[T]]:
    """Call every contestant once a round, in alternating order (A B, B A, A B …).

    Parameters
    ----------
    contestants
        Each runs once and returns what it measured.
    plan
        How many rounds.
    what
        What the progress bar says.
    warm_ups
        Rounds before the first that counts.

    Returns
    -------
    measured
        By contestant, in the order of the rounds.
    """
    measured: dict[str, list[T]] = {name: [] for name in contestants}
    for number in track(range(-warm_ups, plan.rounds), what, console=plan.console, transient=True):
        for name in in_turn(list(contestants), number):
            taken = contestants[name]()
            if number >= 0:
                measured[name].append(taken)
    return measured


def in_turn(names: list[str], number: int) -> list[str]:
    """Return the names in the order of a round: each goes first in turn, every other round is run backwards."""
    first = number // 2 % len(names)
    turned = names[first:] + names[:first]
    return turned if number % 2 == 0 else turned[::-1]


def timed(
    function: Callable[[], Any], clock: Clock = time.perf_counter, least: float = MIN_SECONDS
) -> Callable[[], float]:
    """Return a contestant that measures the seconds of one call; short calls are repeated.

    Parameters
    ----------
    function
        What is called.
    clock
        Of seconds.
    least
        Seconds that a measurement takes at least; 0: each call is a measurement.
    """
    repeats = 0

    def measure() -> float:
        nonlocal repeats
        if not repeats:
            function()  # what is cold the first time isn't counted
            repeats = max(1, math.ceil(least / max(_seconds(function, 1, clock), 1e-9)))
        return _seconds(function, repeats, clock) / repeats

    return measure


def _seconds(function: Callable[[], Any], repeats: int, clock: Clock) -> float:
    begin = clock()
    for _ in range(repeats):
        function()
    return clock() - begin
