"""Whether a cluster of one row in a thousand is found, and a centroid stays in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

import shoal
from benchmarks.datasets import Float32Array
from benchmarks.one_pass.offline import Float64Array
from benchmarks.one_pass.sessions import cut, new_session, session_options
from benchmarks.one_pass.streams import rare_blobs
from benchmarks.pairing import Plan, spread
from benchmarks.results import Row, Target
from shoal.testing import LocalServer

BATCH_ROWS, BATCHES, N_CLUSTERS = 2048, 100, 20
FIRST_VERSION = 10  # from which on a centroid has to be there
WITHIN = 2.5  # of the centre: the blob's rows are √6 from it on average
_HALF_LIVES = (None, 10.0)  # batches


def rows(client: shoal.Client, _: LocalServer, seeds: int, plan: Plan) -> Iterator[Row]:
    """Count the seeds in which every version from the tenth on has a centroid in the rare cluster."""
    batches = plan.choose(BATCHES, 40)
    for half_life in _HALF_LIVES[:: plan.choose(1, 2)]:
        shares = [share_of_versions(client, seed, batches, half_life) for seed in range(seeds)]
        yield found_row(half_life, shares)


def share_of_versions(client: shoal.Client, seed: int, batches: int, half_life: float | None) -> float:
    """Return the share of the versions from the tenth on that have a centroid in the rare cluster.

    Every version is fetched, so each batch is pushed alone.
    """
    points, centre = rare_blobs(seed, batches * BATCH_ROWS)
    with new_session(client, N_CLUSTERS, session_options(seed, half_life=half_life)) as session:
        hits = list(_hits(session, points, centre))
    return float(np.mean(hits))


def is_within(centroids: Float64Array, centre: Float64Array) -> bool:
    """Return whether one of centroids (k, d) is in the blob around a centre (d,)."""
    return bool(np.linalg.norm(centroids - centre, axis=1).min() < WITHIN)


def found_row(half_life: float | None, shares: Sequence[float]) -> Row:
    """Return the row that compares the seeds with the cluster in every version with all seeds."""
    kept = sum(share == 1.0 for share in shares)
    return Row(
        case="a cluster of 1:1,000 is kept" + ("" if half_life is None else f", half-life {half_life:g} batches"),
        peer="every seed",
        unit="seeds",
        shoal=spread([kept]),
        other=spread([len(shares)]),
        ratio=spread([kept / len(shares)]),
        reading="of all seeds",
        target=Target(1.0),
        facts={"share of versions with it, by seed": " ".join(f"{share:.2f}" for share in shares)},
    )


def _hits(session: shoal.Session, points: Float32Array, centre: Float64Array) -> Iterator[bool]:
    for batch in cut(points, BATCH_ROWS):
        session.push(batch)
        snapshot = session.centroids()
        if snapshot.version >= FIRST_VERSION:
            yield is_within(snapshot.centroids, centre)
