"""The contestant that is measured: a session of a real server, over the wire, with refinements and default settings."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import shoal
from benchmarks.datasets import Float32Array
from benchmarks.ingest import exhaust
from benchmarks.one_pass.cases import Case
from benchmarks.one_pass.offline import Float64Array
from shoal import HalfLife, Metric, OnDrift, UpdateRule


def session_options(
    seed: int,
    *,
    metric: Metric = "euclidean",
    half_life: float | None = None,
    update_rule: UpdateRule = "refined",
    on_drift: OnDrift = "report",
) -> dict[str, Any]:
    """Return the options of a session beside its name and number of clusters; the rest are the defaults.

    Parameters
    ----------
    seed
        The session's random_state.
    metric
        As of a session.
    half_life
        In batches; None: nothing is forgotten.
    update_rule
        Whether the centroids are refined.
    on_drift
        Whether the session adapts to a drift.
    """
    options: dict[str, Any] = {
        "random_state": seed,
        "metric": metric,
        "update_rule": update_rule,
        "on_drift": on_drift,
    }
    if half_life is not None:
        options["half_life"] = HalfLife(half_life)
    return options


@contextmanager
def new_session(client: shoal.Client, n_clusters: int, options: dict[str, Any]) -> Iterator[shoal.Session]:
    """Create a session of a name of its own, and delete it afterwards."""
    session = client.create_session(f"quality-{uuid.uuid4().hex}", n_clusters, **options)
    try:
        yield session
    finally:
        session.delete()


def cut(points: Float32Array, rows: int) -> list[Float32Array]:
    """Return points (n, d) as batches of `rows` rows; the last may have fewer."""
    return [points[begin : begin + rows] for begin in range(0, len(points), rows)]


def ingested(
    client: shoal.Client,
    case: Case,
    points: Float32Array,
    stops: list[int],
    seed: int,
    *,
    half_life: float | None = None,
    on_drift: OnDrift = "report",
) -> list[Float64Array]:
    """Return the centroids (k, d) that a session has after each stop of a stream.

    Parameters
    ----------
    client
        Of the server.
    case
        How the points (n, d) are clustered.
    points, stops
        The stream, and the numbers of rows after which the centroids are fetched; each at the end of a batch.
    seed
        The session's random_state.
    half_life
        In batches; None: nothing is forgotten.
    on_drift
        Whether the session adapts to a drift.
    """
    found = []
    options = session_options(seed, metric=case.metric, half_life=half_life, on_drift=on_drift)
    with new_session(client, case.n_clusters, options) as session:
        for begin, end in pairwise([0, *stops]):
            exhaust(session, cut(points[begin:end], case.batch_rows))
            found.append(session.centroids().centroids)
    return found
