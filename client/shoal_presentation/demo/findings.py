"""What the figures say, in sentences that change with them."""

from __future__ import annotations

import math

import numpy as np

from shoal_presentation.demo.comparison import few_digits
from shoal_presentation.demo.results import DemoResults, EngineRun, differing_labels, disagreement

_ROUNDING = 1e-4 * 255  # what the engines promise in float32, in levels of colour


def findings(results: DemoResults) -> list[tuple[str, str]]:
    """Return titles and plain texts, in the order of the report."""
    return [
        ("Do the engines agree?", _agreement(results)),
        ("Is it as good as the offline fit?", _fit(results)),
        ("What did the order of the pixels do?", _order(results)),
        ("What is lost?", _loss(results)),
        ("Is it fast?", _speed(results)),
        ("What did the watchers see?", _watching(results)),
    ]


def _agreement(results: DemoResults) -> str:
    largest, labels = disagreement(results.runs), differing_labels(results.runs)
    verdict = "That is more than rounding explains, and a bug worth reporting."
    if largest <= _ROUNDING:
        verdict = "That is rounding: " + (
            "a pixel half way between two colours may fall to either." if labels else "the pictures are the same."
        )
    return (
        f"After {results.runs[0].version:,} updates no coordinate of a centroid differs between two engines by more "
        f"than {few_digits(largest)} of the 255 levels of colour, and {labels:,} of "
        f"{len(results.photograph.pixels):,} pixels have a label that not all engines give. {verdict}"
    )


def _fit(results: DemoResults) -> str:
    above = max(run.inertia for run in results.runs) / results.offline.inertia - 1
    verdict = (
        f"It ends {above:.1%} above the offline fit’s inertia."
        if above > 0
        else f"It ends {-above:.1%} below the offline fit’s inertia, which is luck: k-means finds a local optimum."
    )
    return (
        f"The offline fit held all {len(results.photograph.pixels):,} pixels in memory and went over them "
        f"{results.offline.n_iter} times, from one k-means++ start. The stream showed each pixel twice, "
        f"{results.photograph.batch_rows:,} at a time, and began with nothing but the first rows of sky. {verdict} "
        f"{_colours_used(results.runs)}"
    )


def _colours_used(runs: tuple[EngineRun, ...]) -> str:
    n_clusters = len(runs[0].centroids)
    used = min(len(np.unique(run.labels)) for run in runs)
    return (
        f"All {n_clusters} colours are in use." if used == n_clusters else f"{used} of {n_clusters} colours are in use."
    )


def _order(results: DemoResults) -> str:
    first, last = (results.runs[0].passes[index].inertia / results.offline.inertia for index in (0, -1))
    batches = "one batch" if results.half_life == 1 else f"{results.half_life:g} batches"
    return (
        "The scan runs from the sky down to the trees, so the stream drifts: the curve jumps where the picture turns "
        f"to something new, and the centroids follow, because in these sessions what is {batches} old counts half. "
        "That has a price: at the bottom of the picture they have forgotten its top, and the inertia over all of it is "
        f"{first:.2f} × that of the offline fit. Shuffled, each batch is a fair sample, and it comes to {last:.2f} ×. "
        "The half-life was picked for this picture; without one the sessions would stay with the sky."
    )


def _loss(results: DemoResults) -> str:
    run = results.runs[0]
    channel = math.sqrt(run.inertia / results.photograph.pixels.size)
    return (
        f"{len(run.centroids)} colours stand for {results.photograph.n_colours:,}: a channel of a pixel is off by "
        f"{channel:.0f} of 255 levels (root mean square). Soft gradients, as in the sky, break into patches, and what "
        "is striking but small, such as the red of the pavilion, pales or goes brown. Inertia counts pixels, so the "
        "large areas win; the offline fit has the same taste."
    )


def _speed(results: DemoResults) -> str:
    fastest = max(results.runs, key=lambda run: run.rows_per_second)
    return (
        f"{fastest.engine} took {fastest.rows_per_second:,.0f} rows a second off the wire, each batch waiting for the "
        "answer to the one before, so that there was something to watch; more in flight are faster. The seconds in the "
        "table are no race: three sessions, their server, this client and its watchers shared the machine, while the "
        "offline fit had it to itself, and no wire. What the stream gives instead is clusters while the data arrives."
    )


def _watching(results: DemoResults) -> str:
    seen = ", ".join(f"{run.engine} {len(run.watched):,} of {run.version:,}" for run in results.runs)
    missed = any(len(run.watched) < run.version for run in results.runs)
    consequence = (
        "the distances above are those of the path as it was seen, and no more than the true ones"
        if missed
        else "here none did, and the distances above are exact"
    )
    return (
        f"Versions that reached each session’s watcher: {seen}. A watcher slower than the updates would skip versions, "
        f"never the newest; {consequence}."
    )
