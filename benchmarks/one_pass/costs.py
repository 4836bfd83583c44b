"""What refinement costs: the server's CPU and the rate of ingest, against the incremental rule in the same rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, repeat

import numpy as np

import shoal
from benchmarks.datasets import Float32Array
from benchmarks.one_pass.sessions import cut, new_session, session_options
from benchmarks.one_pass.streams import blobs
from benchmarks.pairing import Plan, ratios, spread, take_turns
from benchmarks.processes import Taken, cpu_clock_of, measure
from benchmarks.results import Limit, Row, Target
from shoal import UpdateRule
from shoal.testing import LocalServer

BEGINNING = 300_000  # rows, of which refinements are frequent
BATCH_ROWS = 4096
DISTINCT_BATCHES = 32  # they come again and again
PUSHED_ROWS = 1024
PUSHES = 100
_MORE_CPU = Limit("0.5 s more", 0.5, "CPU s")
_WAIT = Limit("20 ms", 20.0, "ms")
_MAX_SIZE_OF_CPU, _MAX_SIZE_OF_WAIT = 1024, 4096  # k × d up to which the limits are meant
RULES: tuple[UpdateRule, UpdateRule] = ("refined", "incremental")


@dataclass(frozen=True)
class Shape:
    """The size of a session, and of the stream after its beginning."""

    d: int
    k: int
    more_rows: int
    apart: float  # how far the blobs are from each other

    @property
    def case(self) -> str:
        """The name in the tables."""
        return f"d={self.d} k={self.k}"

    @property
    def size(self) -> int:
        """The entries of the centroids."""
        return self.d * self.k


# So many rows after the beginning that each takes 0.3 s or more, and that it makes little difference whether one more
# block of the summary ends among them.
SHAPES = (Shape(3, 16, 9_700_000, 4.0), Shape(16, 64, 2_700_000, 4.0), Shape(128, 1024, 900_000, 0.5))


@dataclass(frozen=True)
class Cost:
    """The cost of one stream."""

    beginning: Taken  # the first 300,000 rows
    after: Taken
    pushes: list[float]  # seconds of each, in another session


def rows(client: shoal.Client, server: LocalServer, _: int, plan: Plan) -> Iterator[Row | str]:
    """Compare the refined rule with the incremental one."""
    for shape in SHAPES[: plan.choose(3, 1)]:
        contestants: dict[str, Callable[[], Cost]] = {
            rule: partial(cost, client, cpu_clock_of(server.pid), shape, rule) for rule in RULES
        }
        taken = take_turns(contestants, plan.with_rounds(plan.choose(9, 3)), f"quality: costs, {shape.case}")
        yield from cost_rows(shape, *(taken[rule] for rule in RULES))


def cost(client: shoal.Client, cpu_clock: Callable[[], float], shape: Shape, update_rule: UpdateRule) -> Cost:
    """Measure one stream into a new session, and single pushes into another."""
    points = blobs(0, shape.k, shape.d, DISTINCT_BATCHES * BATCH_ROWS, shape.apart)
    options = session_options(0, update_rule=update_rule)
    with new_session(client, shape.k, options) as session:
        beginning, after = (
            measure(lambda: _exhaust(session, batches), batches, cpu_clock)  # noqa: B023  (called at once)
            for batches in (_stream(points, BEGINNING), _stream(points, shape.more_rows))
        )
    return Cost(beginning, after, push_seconds(client, points, shape, update_rule))


def push_seconds(client: shoal.Client, points: Float32Array, shape: Shape, update_rule: UpdateRule) -> list[float]:
    """Return the seconds of each of the first pushes into a new session."""
    with new_session(client, shape.k, session_options(0, update_rule=update_rule)) as session:
        return [_timed_push(session, batch) for batch in islice(cut(points, PUSHED_ROWS), PUSHES)]


def cost_rows(shape: Shape, ours: list[Cost], incremental: list[Cost]) -> Iterator[Row]:
    """Return the rows of costs, round by round."""
    rates, others = ([each.after.rate for each in costs] for costs in (ours, incremental))
    yield Row(
        case=f"ingest after {BEGINNING:,} rows, {shape.case}",
        peer="incremental rule",
        unit="rows/s",
        shoal=spread(rates),
        other=spread(others),
        ratio=ratios(rates, others),
        reading="times its rate",
        target=Target(0.8),
    )
    cpu, others = ([each.after.cpu_seconds for each in costs] for costs in (ours, incremental))
    yield Row(
        case=f"ingest after {BEGINNING:,} rows, {shape.case}",
        peer="incremental rule, CPU",
        unit="CPU s",
        shoal=spread(cpu),
        other=spread(others),
        ratio=ratios(cpu, [max(each, 0.01) for each in others]),  # a tick of the clock
        reading="times the server's CPU",
    )
    more = [
        one.beginning.cpu_seconds - other.beginning.cpu_seconds for one, other in zip(ours, incremental, strict=True)
    ]
    yield _MORE_CPU.row(f"the first {BEGINNING:,} rows, {shape.case}", more, aimed=shape.size <= _MAX_SIZE_OF_CPU)
    waits = [(max(each.pushes) - float(np.median(each.pushes))) * 1e3 for each in ours]
    longest = [(max(each.pushes) - float(np.median(each.pushes))) * 1e3 for each in incremental]
    yield _WAIT.row(
        f"the longest of {PUSHES} Pushes, over their median, {shape.case}",
        waits,
        aimed=shape.size <= _MAX_SIZE_OF_WAIT,
        facts={"with the incremental rule, ms": spread(longest).median},
    )


def _stream(points: Float32Array, rows: int) -> list[Float32Array]:
    batches = cut(points, BATCH_ROWS)
    return list(islice(chain.from_iterable(repeat(batches)), -(-rows // BATCH_ROWS)))


def _exhaust(session: shoal.Session, batches: list[Float32Array]) -> None:
    for _ in session.ingest(batches):
        pass


def _timed_push(session: shoal.Session, batch: Float32Array) -> float:
    begin = time.perf_counter()
    session.push(batch)
    return time.perf_counter() - begin
