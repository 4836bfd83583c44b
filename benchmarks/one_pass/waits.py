"""How much longer a Push waits at most where centroids are refined, in sessions of several shapes with few values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import shoal
from benchmarks.one_pass.costs import BATCH_ROWS, DISTINCT_BATCHES, PUSHED_ROWS, PUSHES, RULES, Shape, push_seconds
from benchmarks.one_pass.streams import blobs
from benchmarks.pairing import Plan, take_turns
from benchmarks.results import Limit, Row
from shoal.testing import LocalServer

# 4,096 values of centroids, more or less: up to so many the limit is meant.
SHAPES = (Shape(64, 64, 0, 4.0), Shape(32, 128, 0, 4.0), Shape(256, 16, 0, 4.0), Shape(4, 1000, 0, 4.0))
_LIMIT = Limit("20 ms more", 20.0, "ms")


def rows(client: shoal.Client, _server: LocalServer, _seeds: int, plan: Plan) -> Iterator[Row]:
    """Compare the longest of some Pushes with the longest under the incremental rule, in the same rounds."""
    for shape in SHAPES[: plan.choose(len(SHAPES), 1)]:
        points = blobs(0, shape.k, shape.d, DISTINCT_BATCHES * BATCH_ROWS, shape.apart)
        contestants: dict[str, Callable[[], list[float]]] = {
            rule: partial(push_seconds, client, points, shape, rule) for rule in RULES
        }
        taken = take_turns(contestants, plan.with_rounds(plan.choose(9, 3)), f"quality: waits, {shape.case}")
        longest = [[max(each) * 1e3 for each in taken[rule]] for rule in RULES]
        more = [ours - incremental for ours, incremental in zip(*longest, strict=True)]
        yield _LIMIT.row(f"the longest of {PUSHES} Pushes of {PUSHED_ROWS:,} rows, {shape.case}", more)
