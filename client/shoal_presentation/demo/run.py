"""Runs the demo: a server, its page, the three fits, their measurement and the report."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

import shoal
from shoal.testing import LocalServer
from shoal_presentation.demo.comparison import FitSummary, compare
from shoal_presentation.demo.display import Display, display_on
from shoal_presentation.demo.image import Photograph, load_photograph
from shoal_presentation.demo.page import page_of
from shoal_presentation.demo.quality import fit_offline, measure
from shoal_presentation.demo.report import write_report
from shoal_presentation.demo.results import PARTIAL_FIT, SHOAL, DemoResults, OnePass
from shoal_presentation.demo.streams import (
    N_CLUSTERS,
    RANDOM_STATE,
    WatchedSession,
    stream_to_partial_fit,
    stream_to_session,
    watched_session,
)


@dataclass(frozen=True)
class FinishedDemo:
    """A demo whose report is written and whose server, session and page still run."""

    summaries: list[FitSummary]
    report: Path
    target: str  # host:port of the server
    page_url: str | None


@contextmanager
def run_demo(folder: Path, step: int, *, server: str | None, timeout: float) -> Iterator[FinishedDemo]:
    """Run the demo and yield its results; server, session and page end with the context.

    Parameters
    ----------
    folder
        Where the report goes.
    step
        Every how many pixels of every how many rows to take.
    server
        ``host:port`` of the server to use. None: a local one is started.
    timeout
        Seconds that a call may take.
    """
    start = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    display = display_on(Console(stderr=True), (PARTIAL_FIT, SHOAL))
    photograph = load_photograph(step)
    with (
        _target(server, display) as target,
        page_of(target, display) as url,
        shoal.connect(target, timeout=timeout) as client,
        watched_session(client) as watched,
    ):
        # Last comes what there is to watch: who opens the page now is in time for it.
        with display.busy("fitting all pixels offline with scikit-learn"):
            offline, n_iter = fit_offline(photograph, N_CLUSTERS, RANDOM_STATE)
        partial_fit, session = _stream(watched, photograph, display)
        with display.busy("measuring every version"):
            curves = measure(photograph, (partial_fit, session), offline, RANDOM_STATE)
        results = DemoResults(photograph, partial_fit, session, offline, n_iter, curves, time.perf_counter() - start)
        with display.busy("writing the report"):
            report = write_report(results, _provenance(), folder).resolve()
        yield FinishedDemo(compare(results), report, target, url)


def _stream(watched: WatchedSession, photograph: Photograph, display: Display) -> tuple[OnePass, OnePass]:
    rows = len(photograph.pixels)
    display.begin(f"{rows:,} pixels in scan order, one pass, {photograph.n_batches} batches", rows)
    try:
        return stream_to_partial_fit(photograph, display), stream_to_session(watched, photograph, display)
    finally:
        display.end()


@contextmanager
def _target(server: str | None, display: Display) -> Iterator[str]:
    if server is not None:
        yield server
        return
    with ExitStack() as stack:
        with display.busy("starting a server"):
            local = stack.enter_context(LocalServer())
        yield local.target


def _provenance() -> Mapping[str, str]:
    packages = ("shoal", "numpy", "scikit-learn")
    return {
        "Made": datetime.now().astimezone().strftime("%d %B %Y, %H:%M %Z"),
        "On": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "With": ", ".join(f"{name} {version(name)}" for name in packages),
        "Shoal": f"create_session(…, {N_CLUSTERS}, random_state={RANDOM_STATE}), one batch in flight",
        "partial_fit": f"MiniBatchKMeans({N_CLUSTERS}, random_state={RANDOM_STATE})",
        "Offline": f"KMeans({N_CLUSTERS}, n_init=1, random_state={RANDOM_STATE})",
    }
