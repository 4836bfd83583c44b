"""What a commit has to write of a summary: the buckets that are new, and the rows that are new in the open block."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from shoal_server.clustering.buckets import Bucket
from shoal_server.clustering.summary import Summary, absorb, empty_summary
from shoal_server.engines.contract import run_in_order
from tests.clustering.summary_builders import blobs, kernels_of, labels_of

ROWS, SIZE, CALL = 100_000, 2_000, 500


def growing() -> Iterator[Summary]:
    """Yield a summary as it is after each call."""
    points, centroids = blobs(np.random.default_rng(0), ROWS, 3, 8)
    labels, kernels = labels_of(points, centroids), kernels_of(points.dtype)
    summary = empty_summary(SIZE, 3, points.dtype)
    yield summary
    for start in range(0, ROWS, CALL):
        rows = slice(start, start + CALL)
        summary = absorb(summary, points[rows], None, labels[rows], centroids, 0.0, 0, kernels, run_in_order)
        yield summary


def test_a_call_leaves_the_buckets_before_it_as_they_are_unless_a_block_ends() -> None:
    states = list(growing())

    same = [before.buckets is after.buckets for before, after in itertools.pairwise(states)]
    blocks = [before.blocks == after.blocks for before, after in itertools.pairwise(states)]

    assert same == blocks
    assert same.count(True) > 150


def test_whole_pages_of_the_open_block_stay_as_they_are() -> None:
    compared = 0
    for before, after in itertools.pairwise(growing()):
        if before.block is None or after.block is None or before.blocks != after.blocks:
            continue
        pages = before.block.pages
        assert all(new is old for new, old in zip(after.block.pages, pages, strict=False))
        assert len(after.block.pages) >= len(pages)
        compared += len(pages)

    assert compared > 100


def test_a_bucket_has_the_same_bits_as_long_as_it_is_kept() -> None:
    first_seen: dict[int, tuple[Bucket, bytes]] = {}
    for state in growing():
        for bucket in state.buckets:
            first_seen.setdefault(id(bucket), (bucket, bits(bucket)))

    assert len(first_seen) > 10
    assert all(bits(bucket) == before for bucket, before in first_seen.values())


def bits(bucket: Bucket) -> bytes:
    return b"".join(array.tobytes() for array in (bucket.points, bucket.weights, bucket.scatter))
