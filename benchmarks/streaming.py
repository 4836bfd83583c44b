"""Other systems that cluster streams: River's KMeans, and Spark's StreamingKMeansModel if Spark is installed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from river import cluster
from sklearn.datasets import make_blobs

import shoal
from benchmarks.datasets import Float32Array, random_sample
from benchmarks.ingest import exhaust
from benchmarks.pairing import Plan, ratios, spread, take_turns
from benchmarks.processes import settled_server
from benchmarks.results import Row

if TYPE_CHECKING:
    from benchmarks.spark import Spark

_ROWS = 1024  # of a batch; Spark's rows of a micro-batch are more
_SPARK_ROWS = 16_384
RIVER, SPARK = "River KMeans", "Spark StreamingKMeansModel, local[2]"


def rows(plan: Plan) -> Iterator[Row | str]:
    """Compare points a second over gRPC with streaming systems in their own process."""
    with ExitStack() as stack:
        server = stack.enter_context(settled_server())
        client = stack.enter_context(shoal.connect(server.target))
        yield from _river(client, plan)
        if reason := _spark_lacks():
            yield f"Spark is left out: {reason}"
            return
        spark = stack.enter_context(import_module("benchmarks.spark").Spark())
        for d, k in plan.choose(((16, 64), (128, 256)), ((16, 64),)):
            yield _spark(client, spark, d, k, plan)


def _spark_lacks() -> str | None:
    """Return what Spark lacks on this machine; None if it can run."""
    if find_spec("pyspark") is None:
        return "pyspark isn't installed; pip install 'shoal[bench-spark]'"
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java") is None and not (home and (Path(home) / "bin" / "java").exists()):
        return "there is no Java on the path, nor in JAVA_HOME"
    return None


def _river(client: shoal.Client, plan: Plan) -> Iterator[Row]:
    d, k = 5, 20
    blobs, _ = make_blobs(plan.choose(400, 100) * _ROWS, d, centers=k, random_state=0)
    points = blobs.astype(np.float32)
    few = points[: plan.choose(8_000, 3_000)]
    session = client.create_session(
        "river", k, n_features=d, random_state=0, durability="memory", update_rule="incremental"
    )
    model = cluster.KMeans(n_clusters=k, halflife=0.5, seed=0)
    observations = [dict(enumerate(row.tolist())) for row in few]

    def learn() -> None:
        for observation in observations:
            model.learn_one(observation)

    batches = [*points.reshape(-1, _ROWS, d)]
    contestants = {"Shoal": _rate(lambda: exhaust(session, batches), len(points)), RIVER: _rate(learn, len(few))}
    taken = take_turns(contestants, plan.with_rounds(9), f"streaming: {RIVER}")
    theirs = np.array([[model.centers[label][column] for column in range(d)] for label in range(k)])
    facts: dict[str, float | str] = {
        "Shoal's inertia a point": _inertia(points, session.centroids().centroids),
        "River's inertia a point": _inertia(points, theirs),
    }
    yield _row(f"blobs, d={d} k={k}", RIVER, taken, facts)


def _spark(client: shoal.Client, spark: Spark, d: int, k: int, plan: Plan) -> Row:
    sample = random_sample(d, k, _SPARK_ROWS)
    session = client.create_session(
        f"spark-{d}-{k}", k, init=sample.centroids, durability="memory", update_rule="incremental"
    )
    batches = [*sample.points.reshape(-1, _ROWS, d)] * plan.choose(16, 4)
    update = spark.updates(sample.points, sample.centroids)
    contestants = {
        "Shoal": _rate(lambda: exhaust(session, batches), sum(map(len, batches))),
        SPARK: _rate(update, len(sample.points)),
    }
    taken = take_turns(contestants, plan.with_rounds(plan.choose(9, 3)), f"streaming: {SPARK}")
    return _row(f"random, d={d} k={k}", SPARK, taken, {})


def _row(case: str, peer: str, taken: dict[str, list[float]], facts: dict[str, float | str]) -> Row:
    return Row(
        case=case,
        peer=peer,
        unit="rows/s",
        shoal=spread(taken["Shoal"]),
        other=spread(taken[peer]),
        ratio=ratios(taken["Shoal"], taken[peer]),
        reading="times its rate",
        facts=facts,
        headline=True,
    )


def _rate(work: Callable[[], object], count: int) -> Callable[[], float]:
    """Return a contestant that measures rows a second."""

    def measure() -> float:
        begin = time.perf_counter()
        work()
        return count / (time.perf_counter() - begin)

    return measure


def _inertia(points: Float32Array, centroids: np.ndarray) -> float:
    """Return the mean squared distance of points (n, d) to the nearest of centroids (k, d)."""
    squares = (centroids**2).sum(axis=1) - 2 * points @ centroids.T
    return float((squares.min(axis=1) + (points.astype(np.float64) ** 2).sum(axis=1)).mean())
