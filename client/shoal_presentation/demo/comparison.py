"""The table that compares the fits, for the terminal, JSON and the report."""

from __future__ import annotations

from dataclasses import dataclass

from shoal_presentation.demo.results import DemoResults


@dataclass(frozen=True)
class FitSummary:
    """The results of one fit; the names are those of the JSON."""

    fit: str
    inertia: float
    inertia_per_point: float
    ratio_to_offline: float
    seconds: float
    rows_per_second: float


def compare(results: DemoResults) -> list[FitSummary]:
    """Return a row for each fit, the offline one last."""
    rows = len(results.photograph.pixels)
    return [
        FitSummary(fit.name, fit.inertia, fit.inertia / rows, results.ratio(fit), fit.seconds, rows / fit.seconds)
        for fit in results.fits
    ]
