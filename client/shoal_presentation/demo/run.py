"""Runs the demo: a server, its page, the race of the engines, the offline fit and the report."""

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
from sklearn.cluster import KMeans

import shoal
from shoal.testing import LocalServer, load_engines
from shoal_presentation.demo.comparison import FitSummary, compare
from shoal_presentation.demo.display import Display, display_on
from shoal_presentation.demo.image import Photograph, load_photograph
from shoal_presentation.demo.page import page_of
from shoal_presentation.demo.race import ENGINES, HALF_LIFE, N_CLUSTERS, RANDOM_STATE, race
from shoal_presentation.demo.report import write_report
from shoal_presentation.demo.results import DemoResults, OfflineRun


@dataclass(frozen=True)
class FinishedDemo:
    """A demo whose report is written and whose server, sessions and page still run."""

    summaries: list[FitSummary]
    report: Path
    target: str  # host:port of the server
    page_url: str | None


@contextmanager
def run_demo(folder: Path, step: int, *, server: str | None, timeout: float) -> Iterator[FinishedDemo]:
    """Run the demo and yield its results; server, sessions and page end with the context.

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
    display = display_on(Console(stderr=True), ENGINES)
    picture = load_photograph(step)
    with (
        _target(server, display) as target,
        page_of(target, display) as url,
        shoal.connect(target, timeout=timeout) as client,
        race(client, picture, display) as runs,
    ):
        with display.busy("fitting all pixels offline with scikit-learn"):
            offline = fit_offline(picture, N_CLUSTERS, RANDOM_STATE)
        results = DemoResults(picture, runs, offline, time.perf_counter() - start, HALF_LIFE.value)
        with display.busy("writing the report"):
            report = write_report(results, _provenance(), folder).resolve()
        yield FinishedDemo(compare(results), report, target, url)


def fit_offline(photograph: Photograph, n_clusters: int, random_state: int) -> OfflineRun:
    """Fit all pixels at once with scikit-learn's KMeans, from one initialisation."""
    start = time.perf_counter()
    model = KMeans(n_clusters, n_init=1, random_state=random_state).fit(photograph.pixels)
    return OfflineRun(
        centroids=model.cluster_centers_,
        labels=model.labels_,
        inertia=float(model.inertia_),
        seconds=time.perf_counter() - start,
        n_iter=int(model.n_iter_),
    )


@contextmanager
def _target(server: str | None, display: Display) -> Iterator[str]:
    if server is not None:
        yield server
        return
    with ExitStack() as stack:
        with display.busy("starting a server"):
            local = stack.enter_context(LocalServer(preload=True))
            load_engines(local.target)
        yield local.target


def _provenance() -> Mapping[str, str]:
    packages = ("shoal", "numpy", "scikit-learn", "scipy")
    return {
        "Made": datetime.now().astimezone().strftime("%d %B %Y, %H:%M %Z"),
        "On": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "With": ", ".join(f"{name} {version(name)}" for name in packages),
        "Sessions": f"{N_CLUSTERS} clusters, k-means++ with random_state {RANDOM_STATE}, half-life "
        f"{HALF_LIFE.value:g} (in {HALF_LIFE.unit}), durability memory",
    }
