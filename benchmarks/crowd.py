"""Other clients of the same server, in their own process: watchers, a producer, and one that compares.

    python -m benchmarks.crowd watch HOST:PORT SESSION COUNT
    python -m benchmarks.crowd pour HOST:PORT SESSION ROWS
    python -m benchmarks.crowd compare HOST:PORT FILE.npy N_CLUSTERS

Prints a line when all are at work, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

import shoal.aio
from shoal import CompareEngine

COMPARED: tuple[CompareEngine, ...] = ("scipy", "sklearn", "numba")
_DISTINCT = 32  # batches that are poured in, again and again


async def watch(client: shoal.aio.Client, name: str, count: int, ready: asyncio.Event) -> None:
    """Open `count` watches of a session."""
    session = client.session(name)

    async def follow(at_work: asyncio.Event) -> None:
        async for _ in session.watch():
            at_work.set()

    events = [asyncio.Event() for _ in range(count)]
    async with asyncio.TaskGroup() as tasks:
        for event in events:
            tasks.create_task(follow(event))
        for event in events:
            await event.wait()
        ready.set()


async def pour(client: shoal.aio.Client, name: str, rows: int, ready: asyncio.Event) -> None:
    """Ingest batches of `rows` rows until cancelled."""
    session = client.session(name)
    d = (await session.centroids()).centroids.shape[1]
    batches = np.random.default_rng(1).standard_normal((_DISTINCT, rows, d), np.float32)

    async def endlessly() -> AsyncIterator[NDArray[np.float32]]:
        while True:
            for batch in batches:
                yield batch

    async for _ in session.ingest(endlessly()):
        ready.set()


async def compare(client: shoal.aio.Client, path: str, n_clusters: int, ready: asyncio.Event) -> None:
    """Compare engines on points (n, d) of a file until cancelled."""
    points = np.load(path)
    while True:
        async for _ in client.compare(points, n_clusters, random_state=0, engines=COMPARED):
            ready.set()


async def main(what: str, target: str, name: str, size: int) -> None:
    """Work until standard input ends."""
    ready = asyncio.Event()
    async with shoal.aio.connect(target) as client:
        works = {"watch": watch, "pour": pour, "compare": compare}
        work = asyncio.create_task(works[what](client, name, size, ready))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([work, waiting], return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            await work  # raises why
        print("at work", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
