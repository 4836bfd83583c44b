"""How much a test does: `make test` a share that takes seconds, `make test-torture` all of it."""

from __future__ import annotations

import pytest
from hypothesis import settings

QUICK, TORTURE = "quick", "torture"  # profiles of Hypothesis
FEWEST = 10  # examples or seeds that every test runs

# No test depends on how fast the machine is.
settings.register_profile(QUICK, max_examples=30, deadline=None)
settings.register_profile(TORTURE, max_examples=100, deadline=None)


def choose(quick: int, torture: int) -> int:
    """Return the first in `make test`, the second in `make test-torture`."""
    return torture if settings.get_current_profile_name() == TORTURE else quick


def examples(count: int) -> settings:
    """Return the settings for `count` examples in `make test-torture`, and for a fifth of them otherwise."""
    return settings(max_examples=choose(max(FEWEST, count // 5), count))


def seeds(count: int) -> list[object]:
    """Return `count` seeds for a parameter, of which `make test` runs the first ten."""
    return [*range(FEWEST), *(pytest.param(seed, marks=pytest.mark.torture) for seed in range(FEWEST, count))]
