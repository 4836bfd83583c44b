"""The findings of the demo, in sentences that depend on its figures."""

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
        ("Does the order of the pixels matter?", _order(results)),
        ("What is lost?", _loss(results)),
        ("Is it fast?", _speed(results)),
        ("What did the watchers see?", _watching(results)),
    ]


def _agreement(results: DemoResults) -> str:
    largest, labels = disagreement(results.runs), differing_labels(results.runs)
    verdict = "That is more than rounding explains, and a bug worth reporting."
    if largest <= _ROUNDING:
        verdict = "That is rounding: " + (
            "a pixel halfway between two colours may get either." if labels else "the pictures are the same."
        )
    return (
        f"After {results.runs[0].version:,} updates no coordinate of a centroid differs between two engines by more "
        f"than {few_digits(largest)} of the 255 levels of colour, and {labels:,} of "
        f"{len(results.photograph.pixels):,} pixels have different labels. {verdict}"
    )


def _fit(results: DemoResults) -> str:
    above = max(run.inertia for run in results.runs) / results.offline.inertia - 1
    verdict = (
        f"It ends {above:.1%} above the offline fit’s inertia."
        if above > 0
        else f"It ends {-above:.1%} below the offline fit’s inertia, which is luck: k-means finds a local optimum."
    )
    return (
        f"The offline fit had all {len(results.photograph.pixels):,} pixels in memory and read them "
        f"{results.offline.n_iter} times, from one k-means++ start. The stream sent each pixel twice, "
        f"{results.photograph.batch_rows:,} at a time, and started from the first rows of sky. {verdict} "
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
        "Yes. The scan runs from the sky down to the trees, so the stream drifts. The curve jumps where the picture "
        f"changes, and the centroids follow, because points count half after {batches}. The price: at the bottom of "
        "the picture the sessions have forgotten its top, and the inertia of the whole picture is "
        f"{first:.2f} × that of the offline fit. With shuffled pixels each batch is a fair sample, and it is "
        f"{last:.2f} ×. The half-life was chosen for this picture; without one the centroids would stay in the sky."
    )


def _loss(results: DemoResults) -> str:
    run = results.runs[0]
    channel = math.sqrt(run.inertia / results.photograph.pixels.size)
    return (
        f"{len(run.centroids)} colours stand for {results.photograph.n_colours:,}, so a channel of a pixel is off by "
        f"{channel:.0f} of 255 levels (root mean square). Soft gradients, as in the sky, break into patches. Small "
        "striking areas, such as the red of the pavilion, turn pale or brown. Inertia counts pixels, so large areas "
        "win, in the offline fit too."
    )


def _speed(results: DemoResults) -> str:
    fastest = max(results.runs, key=lambda run: run.rows_per_second)
    return (
        f"{fastest.engine} received {fastest.rows_per_second:,.0f} rows a second over gRPC. Each batch waited for the "
        "result of the previous one, so that you could watch; with more batches in flight it is faster. Don’t compare "
        "the seconds in the table: three sessions, their server, this client and its watchers shared the machine, but "
        "the offline fit had it to itself and used no network. In return, the stream gives clusters while data arrives."
    )


def _watching(results: DemoResults) -> str:
    seen = ", ".join(f"{run.engine} {len(run.watched):,} of {run.version:,}" for run in results.runs)
    missed = any(len(run.watched) < run.version for run in results.runs)
    consequence = (
        "so the distances above are of the versions seen, and no more than the true ones"
        if missed
        else "here none did, so the distances above are exact"
    )
    return (
        f"Versions that reached each session’s watcher: {seen}. A watcher slower than the updates skips versions, but "
        f"never the newest; {consequence}."
    )
