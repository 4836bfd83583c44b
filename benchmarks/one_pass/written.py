"""How many points of its summary a session writes with its commits: new buckets, and new rows of the open block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

import shoal
from benchmarks.datasets import Float32Array
from benchmarks.one_pass.sessions import cut
from benchmarks.one_pass.streams import blobs, pixels, sorted_blobs
from benchmarks.pairing import Plan
from benchmarks.results import Limit, Row
from shoal.testing import LocalServer
from shoal_server.clustering.buckets import Bucket
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.model import new_model
from shoal_server.clustering.open_block import OpenBlock
from shoal_server.clustering.state import Batch
from shoal_server.clustering.summary import Summary
from shoal_server.engines.contract import run_in_order
from shoal_server.engines.numba import NumbaEngine
from shoal_server.errors import Refusal

BATCH_ROWS = 1024
_SHORT_ROWS, _LONG_ROWS = 100_000, 3_000_000


@dataclass(frozen=True)
class Stream:
    """Rows for a session, and how many points it may write for each of them."""

    name: str
    draw: Callable[[int], Float32Array]  # by a seed
    n_clusters: int
    rows: int
    limit: Limit
    commits: Sequence[int]  # rows between two


_SHORT, _LONG = Limit("0.25 a row", 0.25, "points a row"), Limit("0.05 a row", 0.05, "points a row")
_EVERY = 8 * BATCH_ROWS, 16 * BATCH_ROWS, 32 * BATCH_ROWS
STREAMS = (
    Stream("50 blobs d=8", partial(blobs, k=50, d=8, n=_SHORT_ROWS, apart=6.0), 50, _SHORT_ROWS, _SHORT, _EVERY),
    Stream("16 blobs d=3", partial(blobs, k=16, d=3, n=_SHORT_ROWS, apart=4.0), 16, _SHORT_ROWS, _SHORT, _EVERY),
    Stream("china.jpg", lambda _: pixels("china")[:_SHORT_ROWS], 64, _SHORT_ROWS, _SHORT, _EVERY),
    Stream("sorted blobs", sorted_blobs, 20, _SHORT_ROWS, _SHORT, _EVERY),
    Stream("64 blobs d=16", partial(blobs, k=64, d=16, n=300_000, apart=4.0), 64, _LONG_ROWS, _LONG, _EVERY[:1]),
)


class Written:
    """Counts the points of a summary that are new with each commit."""

    def __init__(self) -> None:
        self.points = 0
        self._buckets: list[Bucket] = []  # of the last commit
        self._block: OpenBlock | None = None

    def commit(self, summary: Summary) -> None:
        """Count what the last commit has not written."""
        known = {id(bucket) for bucket in self._buckets}
        self.points += sum(len(bucket.weights) for bucket in summary.buckets if id(bucket) not in known)
        block, before = summary.block, self._block
        if block is not None:
            goes_on = before is not None and before.by_label is block.by_label
            self.points += block.kept - (before.kept if goes_on and before is not None else 0)
        self._buckets, self._block = list(summary.buckets), block


def rows(_client: shoal.Client, _server: LocalServer, seeds: int, plan: Plan) -> Iterator[Row]:
    """Count what is written of some streams, by how many rows there are between two commits."""
    for stream in STREAMS[: plan.choose(len(STREAMS), 2)]:
        for rows_a_commit in stream.commits:
            written = [written_a_row(stream, seed, rows_a_commit) for seed in range(seeds)]
            case = f"written of a summary, {stream.name}, {stream.rows:,} rows, a commit each {rows_a_commit:,}"
            yield stream.limit.row(case, written)


def written_a_row(stream: Stream, seed: int, rows_a_commit: int) -> float:
    """Return how many points are written for each row of a stream, with defaults; its rows come again if need be."""
    engine = _engine()
    batches = [Batch(points) for points in cut(stream.draw(seed), BATCH_ROWS)]
    model = new_model(ModelConfig(stream.n_clusters, random_state=seed, update_rule="refined"))
    written, done, group = Written(), 0, rows_a_commit // BATCH_ROWS
    count = -(-stream.rows // BATCH_ROWS)
    while done < count:
        ahead = [batches[number % len(batches)] for number in range(done, min(done + group, count))]
        model, _ = apply_batches(model, ahead, engine, run_in_order, lambda: False, _refuse, engine)
        if model.state.learning is not None:
            written.commit(model.state.learning.summary)
        done += len(ahead)
    return written.points / float(np.sum([len(batches[number % len(batches)].points) for number in range(count)]))


@cache
def _engine() -> NumbaEngine:
    engine = NumbaEngine()
    engine.warm_up()
    return engine


def _refuse(bug: Exception) -> Refusal:
    raise bug
