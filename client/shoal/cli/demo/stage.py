"""Puts the demo together: a server, its page, the race, the offline fit, the report, and what is said about them."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

import shoal
from shoal.cli.demo import photograph
from shoal.cli.demo.comparison import Standing, compare, few_digits
from shoal.cli.demo.display import Display, display_on
from shoal.cli.demo.offline import fit_offline
from shoal.cli.demo.page import page_of, stay
from shoal.cli.demo.race import ENGINES, HALF_LIFE, N_CLUSTERS, RANDOM_STATE, race
from shoal.cli.demo.report import write_report
from shoal.cli.demo.results import DemoResults
from shoal.cli.failures import tell
from shoal.cli.invocation import Invocation
from shoal.cli.output import show_thing, show_things
from shoal.testing import LocalServer, load_engines


def perform(how: Invocation, folder: Path, step: int, *, stays: bool) -> None:
    """Run the demo, say where its report is, and stay with the page if wanted."""
    start = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    display = display_on(Console(stderr=True), ENGINES)
    picture = photograph.load(step)
    with (
        _target(how, display) as target,
        page_of(target, display) as url,
        shoal.connect(target, timeout=how.timeout) as client,
        race(client, picture, display) as runs,
    ):
        with display.busy("fitting all pixels offline with scikit-learn"):
            offline = fit_offline(picture, N_CLUSTERS, RANDOM_STATE)
        _report(DemoResults(picture, runs, offline, time.perf_counter() - start, HALF_LIFE.value), folder, how, display)
        if stays and url is not None:
            stay(target)


def _report(results: DemoResults, folder: Path, how: Invocation, display: Display) -> None:
    with display.busy("writing the report"):
        report = write_report(results, _provenance(), folder).resolve()
    _show(compare(results), report, how)
    tell(f"the report: {report}\nopen it in a browser: {report.as_uri()}")


@contextmanager
def _target(how: Invocation, display: Display) -> Iterator[str]:
    if how.server is not None:
        yield how.server
        return
    with ExitStack() as stack:
        with display.busy("starting a server"):
            server = stack.enter_context(LocalServer())
            load_engines(server.target)
        yield server.target


def _show(standings: list[Standing], report: Path, how: Invocation) -> None:
    if how.output == "json":
        show_thing({"report": str(report), "fits": [asdict(standing) for standing in standings]}, "json")
    else:
        show_things([_row(standing) for standing in standings], "table")


def _row(standing: Standing) -> dict[str, str | int | float | None]:
    differs = standing.largest_disagreement
    return {
        "fit": standing.fit,
        "inertia/point": round(standing.inertia_per_point, 2),
        "x offline": round(standing.ratio_to_offline, 4),
        "seconds": round(standing.seconds, 2),
        "rows/s": round(standing.rows_per_second),
        "disagreement": None if differs is None else f"{few_digits(differs)} levels",
    }


def _provenance() -> Mapping[str, str]:
    packages = ("shoal", "numpy", "scikit-learn", "scipy")
    return {
        "Made": datetime.now().astimezone().strftime("%d %B %Y, %H:%M %Z"),
        "On": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "With": ", ".join(f"{name} {version(name)}" for name in packages),
        "Sessions": f"{N_CLUSTERS} clusters, k-means++ with random_state {RANDOM_STATE}, half-life "
        f"{HALF_LIFE.value:g} (in {HALF_LIFE.unit}), durability memory",
    }
