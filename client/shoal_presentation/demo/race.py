"""Streams the photograph into three sessions at once, one for each engine, and watches each session."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

import shoal
from shoal import Engine
from shoal_presentation.demo.display import Display, EngineProgress
from shoal_presentation.demo.image import Photograph, batches
from shoal_presentation.demo.results import EngineRun, Pass, Update, WatchedVersion

Result = TypeVar("Result")

ENGINES: tuple[Engine, ...] = ("numba", "sklearn", "scipy")
N_CLUSTERS = 16
RANDOM_STATE = 0
# In scan order the sky comes first and the trees last. Who never forgets stays with the sky: 4.6 times the offline
# fit's inertia after both passes. Who forgets half with every batch follows the picture: 1.01 times.
HALF_LIFE = shoal.HalfLife(1, "batches")
# What is applied together is published once. With one batch in flight a watcher gets nearly every version; with
# ingest's default it gets one in twenty, at twice the speed.
_IN_FLIGHT = 1


@dataclass(frozen=True)
class Racer:
    """A session, and what its watcher has been sent so far."""

    engine: Engine
    session: shoal.Session
    watched: list[WatchedVersion]


@contextmanager
def race(client: shoal.Client, photograph: Photograph, display: Display) -> Iterator[tuple[EngineRun, ...]]:
    """Stream the pixels in scan order and then shuffled; the sessions exist until the context ends.

    Parameters
    ----------
    client
        Of the server to use.
    photograph
        What to stream.
    display
        Shows how far it is.
    """
    orders = {"in scan order": photograph.pixels, "shuffled": photograph.shuffled(RANDOM_STATE)}
    last_version = len(orders) * photograph.n_batches
    # The end of the sessions is the end of the watches, should anything fail: so the threads are waited for after it.
    with ThreadPoolExecutor(2 * len(ENGINES)) as threads, _sessions(client) as racers:
        watchers = [threads.submit(_watch, racer, last_version) for racer in racers]
        passes = [
            _stream_all(threads, racers, title, order, photograph.batch_rows, display)
            for title, order in orders.items()
        ]
        ends = [(racer.session.centroids(), racer.session.assign(photograph.pixels)) for racer in racers]
        _wait(watchers)
        yield tuple(_run(*parts) for parts in zip(racers, zip(*passes, strict=True), ends, strict=True))


@contextmanager
def _sessions(client: shoal.Client) -> Iterator[list[Racer]]:
    token = secrets.token_hex(3)  # on a shared server two demos may run at once
    with ExitStack() as stack:
        racers = []
        for engine in ENGINES:
            session = _create(client, f"demo-{engine}-{token}", engine)
            stack.callback(_delete, session)
            racers.append(Racer(engine, session, []))
        yield racers


def _delete(session: shoal.Session) -> None:
    with suppress(shoal.SessionNotFoundError):  # whoever watches on the page may have deleted it there
        session.delete()


def _create(client: shoal.Client, name: str, engine: Engine) -> shoal.Session:
    return client.create_session(
        name,
        N_CLUSTERS,
        n_features=3,
        engine=engine,
        init="k-means++",
        random_state=RANDOM_STATE,
        half_life=HALF_LIFE,
        durability="memory",
        update_rule="incremental",  # it shows that engines agree to the last digits; what a refinement finds may differ
    )


def _watch(racer: Racer, last_version: int) -> None:
    with closing(racer.session.watch()) as updates:
        for update in updates:
            racer.watched.append(WatchedVersion(update.version, np.array(update.centroids)))
            if update.version == last_version:
                return


def _stream_all(
    threads: ThreadPoolExecutor,
    racers: list[Racer],
    title: str,
    pixels: NDArray[np.uint8],
    batch_rows: int,
    display: Display,
) -> list[Pass]:
    display.begin(f"{len(pixels):,} pixels {title}", len(pixels))
    try:
        streams = _wait([threads.submit(_stream, racer, batches(pixels, batch_rows), display) for racer in racers])
    finally:
        display.end()
    return [
        Pass(updates, seconds, _inertia(racer.session, pixels))
        for racer, (updates, seconds) in zip(racers, streams, strict=True)
    ]


def _stream(racer: Racer, pixels: Iterator[NDArray[np.uint8]], display: Display) -> tuple[tuple[Update, ...], float]:
    start = time.perf_counter()
    updates: list[Update] = []
    for result in racer.session.ingest(pixels, max_in_flight=_IN_FLIGHT):
        updates.append(Update(result.version, result.accepted, result.inertia))
        display.advance(_progress_of(racer, updates, time.perf_counter() - start))
    seconds = time.perf_counter() - start
    display.finish(_progress_of(racer, updates, seconds))
    return tuple(updates), seconds


def _progress_of(racer: Racer, updates: list[Update], seconds: float) -> EngineProgress:
    rows = sum(update.rows for update in updates)
    return EngineProgress(racer.engine, rows, seconds, updates[-1].version, updates[-1].inertia / updates[-1].rows)


def _inertia(session: shoal.Session, pixels: NDArray[np.uint8]) -> float:
    distances = session.assign(pixels, return_distances=True).distances
    return float(np.sum(np.asarray(distances), dtype=np.float64))


def _run(racer: Racer, passes: tuple[Pass, ...], end: tuple[shoal.Snapshot, shoal.Assignment]) -> EngineRun:
    snapshot, assignment = end
    return EngineRun(
        engine=racer.engine,
        passes=passes,
        watched=tuple(racer.watched),
        centroids=np.array(snapshot.centroids),
        labels=np.array(assignment.labels),
    )


def _wait(futures: list[Future[Result]]) -> list[Result]:
    return [future.result() for future in futures]
