"""The table that compares each engine with the offline fit, for the terminal, JSON and the report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal_presentation.demo.results import DemoResults, EngineRun, disagreement


@dataclass(frozen=True)
class FitSummary:
    """The results of one fit; the names are those of the JSON."""

    fit: str
    inertia: float
    inertia_per_point: float
    ratio_to_offline: float
    seconds: float
    rows_per_second: float
    largest_disagreement: float | None  # with another engine, in levels of colour; None for the offline fit


def compare(results: DemoResults) -> list[FitSummary]:
    """Return a row for each engine and, last, one for the offline fit."""
    offline, rows = results.offline, len(results.photograph.pixels)
    summaries = [_standing(run, results) for run in results.runs]
    per_second = rows / offline.seconds
    last = FitSummary("offline KMeans", offline.inertia, offline.inertia / rows, 1.0, offline.seconds, per_second, None)
    return [*summaries, last]


def _standing(run: EngineRun, results: DemoResults) -> FitSummary:
    return FitSummary(
        fit=run.engine,
        inertia=run.inertia,
        inertia_per_point=run.inertia / len(results.photograph.pixels),
        ratio_to_offline=run.inertia / results.offline.inertia,
        seconds=run.seconds,
        rows_per_second=run.rows_per_second,
        largest_disagreement=max(disagreement([run, other]) for other in results.runs),
    )


_TOO_MANY_ZEROS = 1e-6


def few_digits(value: float) -> str:
    """Return a small number with one significant digit: 0.0003, or 5e-14 if there would be many zeros."""
    if 0 < value < _TOO_MANY_ZEROS:
        return f"{value:.0e}"
    return np.format_float_positional(value, precision=1, fractional=False, trim="-")
