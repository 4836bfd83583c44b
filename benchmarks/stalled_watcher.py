"""Whether one watcher that never reads slows ingest down: pairs of runs with it and without it, in turns.

    python benchmarks/stalled_watcher.py

Prints two ratios (with / without) and their spread, of the seconds that ingest took and of the server's CPU seconds,
which depend less on what else the machine does; writes results/stalled_watcher.json.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypedDict

import grpc
import numpy as np
import psutil
from numpy.typing import NDArray
from rich.progress import track

import shoal
from shoal.testing import LocalServer
from shoal.v1 import clustering_pb2, clustering_pb2_grpc

Array = NDArray[np.float64]

PAIRS = 15
BATCHES, ROWS, FEATURES, CLUSTERS = 2000, 250, 16, 64
READERS = 19
RESULTS = Path(__file__).parent / "results" / "stalled_watcher.json"


def main() -> None:
    """Measure and report."""
    ratios = []
    with LocalServer() as server, shoal.connect(server.target) as client:
        for pair in track(range(-1, PAIRS), "pairs"):  # the first one warms up
            order = (True, False) if pair % 2 else (False, True)
            taken = {stalled: _taken(client, server, f"watched-{pair}-{stalled}", stalled=stalled) for stalled in order}
            if pair >= 0:
                ratios.append(taken[True] / taken[False])
    seconds, cpu_seconds = (_spread(column) for column in np.transpose(ratios))
    print(f"with / without a stalled watcher, {PAIRS} pairs, median and quartiles")
    for what, spread in (("seconds of ingest", seconds), ("the server's CPU seconds", cpu_seconds)):
        print(f"  {what}: {spread['median']:.3f} ({spread['quartiles'][0]:.3f} to {spread['quartiles'][1]:.3f})")
    _write(seconds, cpu_seconds)


def _taken(client: shoal.Client, server: LocalServer, name: str, *, stalled: bool) -> Array:
    """Return the seconds that ingest takes and the CPU seconds that it costs the server."""
    random = np.random.default_rng(0)
    session = client.create_session(name, CLUSTERS, init=random.normal(size=(CLUSTERS, FEATURES)))
    batches = random.normal(size=(BATCHES, ROWS, FEATURES)).astype(np.float32)
    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(READERS))
        stack.callback(session.delete)
        if stalled:
            stack.enter_context(closing(_StalledWatch(server.target, name)))
        for _ in range(READERS):
            threads.submit(_read, session.watch(min_interval=0.05))
        while session.describe().watchers < READERS + stalled:
            pass
        before = _clocks(server)
        for _ in session.ingest(batches):
            pass
        return _clocks(server) - before


class Spread(TypedDict):
    """Of the ratios of the pairs."""

    median: float
    quartiles: tuple[float, float]
    ratios: list[float]


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


def _clocks(server: LocalServer) -> Array:
    cpu = psutil.Process(server.pid).cpu_times()
    return np.array([time.perf_counter(), cpu.user + cpu.system])


def _spread(ratios: Array) -> Spread:
    low, median, high = (float(value) for value in np.percentile(ratios, [25, 50, 75]))
    return Spread(median=median, quartiles=(low, high), ratios=ratios.tolist())


def _write(seconds: Spread, cpu_seconds: Spread) -> None:
    found = {
        "what": "ingest of 2,000 batches with one stalled watcher among 20 / with the 19 that read",
        "seconds": seconds,
        "server_cpu_seconds": cpu_seconds,
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
