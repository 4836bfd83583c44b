"""Whether one watcher that never reads slows ingest down: pairs of runs with it and without it, in turns.

    python benchmarks/stalled_watcher.py

Prints the ratio of the times (with / without) with its spread and writes results/stalled_watcher.json.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import grpc
import numpy as np
from rich.progress import track

import shoal
from shoal.testing import LocalServer
from shoal.v1 import clustering_pb2, clustering_pb2_grpc

PAIRS = 15
BATCHES, ROWS, FEATURES, CLUSTERS = 400, 500, 16, 64
READERS = 19
RESULTS = Path(__file__).parent / "results" / "stalled_watcher.json"


def _seconds(client: shoal.Client, target: str, name: str, *, stalled: bool) -> float:
    random = np.random.default_rng(0)
    session = client.create_session(name, CLUSTERS, init=random.normal(size=(CLUSTERS, FEATURES)))
    batches = [random.normal(size=(ROWS, FEATURES)).astype(np.float32) for _ in range(BATCHES)]
    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(READERS))
        stack.callback(session.delete)
        if stalled:
            stack.enter_context(closing(_StalledWatch(target, name)))
        for _ in range(READERS):
            threads.submit(_read, session.watch(min_interval=0.05))
        start = time.perf_counter()
        for _ in session.ingest(batches):
            pass
        return time.perf_counter() - start


class _StalledWatch:
    """A watch that is opened and never read."""

    def __init__(self, target: str, name: str) -> None:
        self._channel = grpc.insecure_channel(target)
        request = clustering_pb2.WatchCentroidsRequest(session=name)
        self._call = clustering_pb2_grpc.ClusteringServiceStub(self._channel).WatchCentroids(request)

    def close(self) -> None:
        self._call.cancel()
        self._channel.close()


def _read(updates: Iterator[shoal.CentroidUpdate]) -> None:
    for _ in updates:
        pass


def main() -> None:
    """Measure and report."""
    ratios = []
    with LocalServer() as server, shoal.connect(server.target) as client:
        for pair in track(range(-1, PAIRS), "pairs"):  # the first one warms up
            order = (True, False) if pair % 2 else (False, True)
            seconds = {
                stalled: _seconds(client, server.target, f"watched-{pair}-{stalled}", stalled=stalled)
                for stalled in order
            }
            if pair >= 0:
                ratios.append(seconds[True] / seconds[False])
    low, median, high = (float(value) for value in np.percentile(ratios, [25, 50, 75]))
    print(f"with / without a stalled watcher: {median:.3f} (quartiles {low:.3f} to {high:.3f}, {PAIRS} pairs)")
    RESULTS.write_text(
        json.dumps(
            {
                "what": "seconds of ingest with one stalled watcher among 20 / with 19 that read",
                "median": median,
                "quartiles": [low, high],
                "ratios": ratios,
                "machine": platform.machine(),
                "python": platform.python_version(),
            },
            indent=2,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
