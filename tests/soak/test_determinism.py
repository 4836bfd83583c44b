"""The same batches in the same order give the same bits, whatever happens around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike

from shoal.testing import LocalServer
from shoal.v1 import clustering_pb2, events_pb2, sessions_pb2
from tests.effort import choose
from tests.rpc.wire import Wire, plain
from tests.soak.streams import StreamResults, draw_batches, ingest, push_each

pytestmark = pytest.mark.soak

FEW, MANY = choose(24, 60), choose(120, 500)  # batches
SMALL_QUEUE = 16 * 1024  # bytes: most of the batches are larger, and go through it one at a time
SERVERS: dict[str, dict[str, int]] = {
    "1 thread": {"compute_threads": 1},
    "2 threads": {"compute_threads": 2},
    "1 thread and a small queue": {"compute_threads": 1, "queue_bytes": SMALL_QUEUE},
    "2 threads and a small queue": {"compute_threads": 2, "queue_bytes": SMALL_QUEUE},
}
WAYS: dict[str, Callable[..., StreamResults]] = {
    "one by one": push_each,
    "a batch a message": partial(ingest, batches_a_message=1),
    "many batches a message": partial(ingest, batches_a_message=24),
}
REFINED = sessions_pb2.UPDATE_RULE_REFINED
FLOAT32 = (np.uint8, np.float32, np.float16, np.int16)
FLOAT64 = (np.float64, np.uint8, np.float32, np.int32, np.float16, np.int64)


@dataclass
class Case:
    """A session's configuration and the batches for it."""

    dtypes: tuple[DTypeLike, ...]
    count: int = FEW
    config: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def batches(self) -> list[clustering_pb2.Batch]:
        return list(draw_batches(sizes(self.count), features=8, dtypes=self.dtypes))


CASES = {
    "numba in float32": Case(FLOAT32, MANY, {"half_life": sessions_pb2.HalfLife(value=40)}),
    "numba in float64": Case(FLOAT64, MANY),
    "numba under cosine": Case(FLOAT32, config={"metric": sessions_pb2.METRIC_COSINE}),
    "sklearn": Case(FLOAT32, config={"engine": sessions_pb2.ENGINE_SKLEARN}),
    "scipy": Case(FLOAT64, config={"engine": sessions_pb2.ENGINE_SCIPY}),
    "refined": Case(FLOAT32, MANY, {"update_rule": REFINED, "half_life": sessions_pb2.HalfLife(value=40)}),
    "refined by scipy": Case(FLOAT64, config={"engine": sessions_pb2.ENGINE_SCIPY, "update_rule": REFINED}),
}


def sizes(count: int) -> list[int]:
    """Return 1 to 5,000 rows, and now and then as many as several threads share."""
    drawn = np.random.default_rng(11).integers(1, 5001, count)
    drawn[:3] = 1, 5, 1  # the warming takes several batches
    shared = drawn[20::60]
    shared[:] = np.linspace(16_385, 50_000, len(shared))
    return [int(rows) for rows in drawn]


@pytest.fixture(scope="module")
def wires() -> Iterator[dict[str, Wire]]:
    servers = {name: LocalServer(**settings) for name, settings in SERVERS.items()}
    with ExitStack() as stack, ThreadPoolExecutor() as starters:
        for server in servers.values():
            stack.push(server)
        list(starters.map(LocalServer.start, servers.values()))  # side by side: it takes seconds
        yield {name: stack.enter_context(Wire(server.target)) for name, server in servers.items()}


@pytest.fixture(scope="module")
def expected(wires: dict[str, Wire]) -> dict[str, StreamResults]:
    return {name: run(wires["1 thread"], f"reference {name}", case, push_each) for name, case in CASES.items()}


def run(wire: Wire, name: str, case: Case, send: Callable[..., StreamResults]) -> StreamResults:
    session = name.replace(" ", "-")
    wire.create(session, plain(16, random_state=3, **case.config))
    return send(wire, session, case.batches)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("case", CASES)
def test_the_same_batches_give_the_same_results_and_centroids_bit_for_bit(
    case: str, server: str, way: str, wires: dict[str, Wire], expected: dict[str, StreamResults]
) -> None:
    answers = run(wires[server], f"{case} {way}", CASES[case], WAYS[way])

    assert answers == expected[case]


@pytest.mark.parametrize("server", ["1 thread", "2 threads"])
def test_sessions_that_compete_for_the_threads_get_the_same_bits(
    server: str, wires: dict[str, Wire], expected: dict[str, StreamResults]
) -> None:
    case, ways = CASES["numba in float32"], list(WAYS.values())

    with ThreadPoolExecutor(6) as producers:
        runs = [
            producers.submit(run, wires[server], f"competing {number}", case, ways[number % len(ways)])
            for number in range(6)
        ]

    assert [run.result() == expected["numba in float32"] for run in runs] == [True] * 6


def test_all_batches_count_in_the_compared_centroids(expected: dict[str, StreamResults]) -> None:
    answers = expected["numba in float32"]

    assert len(set(answers.results)) == MANY
    assert clustering_pb2.Snapshot.FromString(answers.newest).points_accepted == sum(sizes(MANY))


def test_clusters_have_begun_and_ended_in_the_compared_events(expected: dict[str, StreamResults]) -> None:
    kinds = [events_pb2.Event.FromString(event).kind for event in expected["refined"].events]

    assert kinds[0] == events_pb2.EVENT_KIND_BORN
    assert kinds.count(events_pb2.EVENT_KIND_REFINED) > 3
    assert {events_pb2.EVENT_KIND_SPLIT, events_pb2.EVENT_KIND_MERGED} <= set(kinds)
