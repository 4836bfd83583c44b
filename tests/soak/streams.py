"""A stream of batches, the ways to send it, and all answers of the server."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from shoal.v1 import clustering_pb2
from tests.rpc.wire import Wire, batch


@dataclass(frozen=True)
class StreamResults:
    """The result of each batch, the final centroids, and the events; equal if every bit is."""

    results: tuple[bytes, ...]
    newest: bytes
    events: tuple[bytes, ...]


def draw_batches(sizes: Sequence[int], features: int, dtypes: Iterable[DTypeLike]) -> Iterator[clustering_pb2.Batch]:
    """Yield batches of these sizes, of types that take turns, every fifth with weights."""
    random = np.random.default_rng(7)
    centres = random.uniform(20, 110, size=(20, features))
    for sequence, (rows, dtype) in enumerate(zip(sizes, itertools.cycle(dtypes), strict=False), start=1):
        points = centres[random.integers(0, len(centres), rows)] + random.normal(0, 4, (rows, features))
        weight = random.exponential(size=rows) if sequence % 5 == 0 else None
        yield batch(points.astype(dtype), sample_weight=weight, sequence=sequence, return_labels=True)


def push_each(wire: Wire, session: str, batches: Sequence[clustering_pb2.Batch]) -> StreamResults:
    """Push the batches one by one, each after the answer to the one before."""
    return _answers(wire, session, [wire.push(session, each) for each in batches])


def ingest(wire: Wire, session: str, batches: Sequence[clustering_pb2.Batch], batches_a_message: int) -> StreamResults:
    """Send the batches as fast as the server takes them."""
    responses = wire.clustering.Ingest(_messages(session, batches, batches_a_message))
    return _answers(wire, session, [result for response in responses for result in response.results])


def _messages(
    session: str, batches: Sequence[clustering_pb2.Batch], batches_a_message: int
) -> Iterator[clustering_pb2.IngestRequest]:
    yield clustering_pb2.IngestRequest(open=clustering_pb2.IngestOpen(session=session))
    for start in range(0, len(batches), batches_a_message):
        yield clustering_pb2.IngestRequest(batches=batches[start : start + batches_a_message])


def _answers(wire: Wire, session: str, results: Iterable[clustering_pb2.BatchResult]) -> StreamResults:
    newest = wire.centroids(session)
    newest.ClearField("session_uid")
    return StreamResults(
        tuple(result.SerializeToString(deterministic=True) for result in results),
        newest.SerializeToString(deterministic=True),
        tuple(_events(wire, session)),
    )


def _events(wire: Wire, session: str) -> Iterator[bytes]:
    """Yield the events but for their times."""
    for event in wire.events(session, page_size=1000).events:
        event.ClearField("time")
        yield event.SerializeToString(deterministic=True)
