"""How much longer a Push waits at most where centroids are refined, in sessions of several shapes with few values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

import shoal
from benchmarks.one_pass.costs import BATCH_ROWS, DISTINCT_BATCHES, PUSHES, RULES, Shape, push_seconds
from benchmarks.one_pass.streams import blobs
from benchmarks.pairing import Plan, take_turns
from benchmarks.results import Limit, Row
from shoal.testing import LocalServer

# With about as many values of centroids as the limit is meant for: 4,096.
SHAPES = (
    Shape(64, 64, 0, 4.0), Shape(32, 128, 0, 4.0), Shape(256, 16, 0, 4.0), Shape(4, 1000, 0, 4.0),
    Shape(384, 10, 0, 4.0), Shape(1536, 2, 0, 4.0), Shape(2, 2048, 0, 4.0),
)  # fmt: skip
_LIMIT = Limit("20 ms more", 20.0, "ms")
# Seconds that a Push may take under the incremental rule to be compared: the one with which 2,048 clusters begin takes
# more than one, and no two rounds agree on it within the limit.
_MAX_COMPARED = 0.2


def rows(client: shoal.Client, _server: LocalServer, _seeds: int, plan: Plan) -> Iterator[Row]:
    """Compare each Push with that of the same rows under the incremental rule, in the same rounds."""
    for shape in SHAPES[: plan.choose(len(SHAPES), 1)]:
        points = blobs(0, shape.k, shape.d, DISTINCT_BATCHES * BATCH_ROWS, shape.apart)
        contestants: dict[str, Callable[[], list[float]]] = {
            rule: partial(push_seconds, client, points, shape, rule) for rule in RULES
        }
        taken = take_turns(contestants, plan.with_rounds(plan.choose(9, 3)), f"quality: waits, {shape.case}")
        yield wait_row(shape, *(taken[rule] for rule in RULES))


def wait_row(shape: Shape, ours: list[list[float]], incremental: list[list[float]]) -> Row:
    """Return the row of the Push that waits longest, from the seconds that each of them took, round by round.

    Each round refines with the same Pushes, so the longest is found by medians over the rounds: what the machine adds
    here and there is no refinement's.
    """
    more = np.subtract(ours, incremental) * 1e3
    compared = np.median(incremental, axis=0) <= _MAX_COMPARED
    longest = int(np.argmax(np.where(compared, np.median(more, axis=0), -np.inf)))
    return _LIMIT.row(f"a refinement makes one of {PUSHES} Pushes wait, {shape.case}", more[:, longest].tolist())
