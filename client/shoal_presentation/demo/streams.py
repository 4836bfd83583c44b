"""Streams the photograph once, in scan order: into a session that is watched, and into scikit-learn's partial_fit."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
from sklearn.cluster import MiniBatchKMeans

import shoal
from shoal_presentation.demo.display import Display, StreamProgress
from shoal_presentation.demo.image import Photograph
from shoal_presentation.demo.quality import fit_of
from shoal_presentation.demo.results import PARTIAL_FIT, SHOAL, OnePass, Version

N_CLUSTERS = 64
RANDOM_STATE = 0
# What is applied together is published once. With one batch in flight a watcher gets nearly every version; with
# ingest's default it gets one in twenty, at twice the speed.
_IN_FLIGHT = 1


@dataclass(frozen=True)
class WatchedSession:
    """A session, and what its watcher has been sent so far."""

    session: shoal.Session
    updates: SimpleQueue[shoal.CentroidUpdate | None]  # None: the watch has ended
    watch: Future[None]


@contextmanager
def watched_session(client: shoal.Client) -> Iterator[WatchedSession]:
    """Create a session and watch it; it exists until the context ends."""
    session = client.create_session(
        f"demo-photograph-{secrets.token_hex(3)}",  # on a shared server two demos may run at once
        N_CLUSTERS,
        n_features=3,
        random_state=RANDOM_STATE,
        durability="memory",
    )
    updates: SimpleQueue[shoal.CentroidUpdate | None] = SimpleQueue()
    # The end of the session is the end of the watch, should anything fail: so the thread is waited for after it.
    with ThreadPoolExecutor(1) as thread:
        try:
            yield WatchedSession(session, updates, thread.submit(_watch, session, updates))
        finally:
            with suppress(shoal.SessionNotFoundError):  # whoever watches on the page may have deleted it there
                session.delete()


def _watch(session: shoal.Session, updates: SimpleQueue[shoal.CentroidUpdate | None]) -> None:
    try:
        for update in session.watch():
            updates.put(update)
    finally:
        updates.put(None)


def stream_to_session(watched: WatchedSession, photograph: Photograph, display: Display) -> OnePass:
    """Push every batch into the session, and return the versions that its watcher was sent.

    Parameters
    ----------
    watched
        A new session.
    photograph
        What to stream.
    display
        Shows how far it is.
    """
    start = time.perf_counter()
    rows, refinements = 0, 0
    for result in watched.session.ingest(photograph.batches(), max_in_flight=_IN_FLIGHT):
        rows += result.accepted
        refinements += result.refined
        progress = StreamProgress(SHOAL, rows, time.perf_counter() - start, result.version + result.refined)
        display.advance(progress)
    display.finish(progress)
    end = watched.session.centroids()
    fit = fit_of(SHOAL, np.array(end.centroids), photograph, progress.seconds)
    return OnePass(fit, tuple(_versions(watched, end.version)), refinements)


def stream_to_partial_fit(photograph: Photograph, display: Display) -> OnePass:
    """Call `MiniBatchKMeans.partial_fit` with every batch, with scikit-learn's defaults.

    Parameters
    ----------
    photograph
        What to stream.
    display
        Shows how far it is.
    """
    start = time.perf_counter()
    model = MiniBatchKMeans(N_CLUSTERS, random_state=RANDOM_STATE)
    versions: list[Version] = []
    rows = 0
    for version, batch in enumerate(photograph.batches(), start=1):
        model.partial_fit(batch)
        rows += len(batch)
        versions.append(Version(version, rows, model.cluster_centers_.copy()))
        progress = StreamProgress(PARTIAL_FIT, rows, time.perf_counter() - start, version)
        display.advance(progress)
    display.finish(progress)
    return OnePass(fit_of(PARTIAL_FIT, versions[-1].centroids, photograph, progress.seconds), tuple(versions), 0)


def _versions(watched: WatchedSession, last: int) -> Iterator[Version]:
    """Yield the versions that the watcher is sent, up to the last one."""
    for update in iter(watched.updates.get, None):
        yield Version(update.version, update.points_accepted, np.array(update.centroids), update.refined)
        if update.version >= last:
            return
    watched.watch.result()  # raises why the watch ended
