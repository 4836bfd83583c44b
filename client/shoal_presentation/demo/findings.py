"""The findings of the demo, in sentences that depend on its figures."""

from __future__ import annotations

import math

import numpy as np

from shoal_presentation.demo.results import PARTIAL_FIT, SHOAL, DemoResults, Fit

_TOP = 4  # the top quarter of the picture is sky


def headline(results: DemoResults) -> str:
    """Return the finding of the plot in a sentence."""
    shoal, partial_fit = (results.ratio(one.fit) for one in (results.shoal, results.partial_fit))
    return (
        f"After one pass Shoal has {shoal:.2f} times the inertia of an offline fit, partial_fit {partial_fit:.2f} times"
    )


def findings(results: DemoResults) -> list[tuple[str, str]]:
    """Return titles and plain texts, in the order of the report."""
    return [
        ("Is one pass enough?", _one_pass(results)),
        ("And before the end?", _before_the_end(results)),
        ("What does partial_fit do?", _partial_fit(results)),
        ("What does Shoal do instead?", _refinements(results)),
        ("What is lost?", _loss(results)),
        ("Is it fast?", _speed(results)),
    ]


def _one_pass(results: DemoResults) -> str:
    ratio = results.ratio(results.shoal.fit)
    reason = " That can be: k-means finds a local optimum, and the offline fit started once." if ratio < 1 else ""
    return (
        f"Shoal saw each pixel once, in scan order, and is {_against_offline(ratio)}, which had all "
        f"{len(results.photograph.pixels):,} pixels in memory and read them {results.n_iter} times.{reason} "
        f"partial_fit saw the same pixels in the same order, and has "
        f"{results.ratio(results.partial_fit.fit):.2f} times the offline fit’s inertia."
    )


def _before_the_end(results: DemoResults) -> str:
    shoal, partial_fit = results.ratios(SHOAL), results.ratios(PARTIAL_FIT)
    return (
        f"You can stop at any time. At {len(shoal)} moments of the stream an offline fit was made of the pixels that "
        f"had come by then. Shoal had {_range(shoal)} times its inertia, partial_fit {_range(partial_fit)} times."
    )


def _partial_fit(results: DemoResults) -> str:
    partial_fit = results.partial_fit.fit
    return (
        "The stream begins with sky, so partial_fit places its first centroids there. Each later pixel only pulls its "
        "nearest centroid a little, and the less, the more pixels that one has had. Now and then it moves centroids "
        "that have very few pixels to random ones of the batch, and only so do more of them get to the trees. "
        f"{_sky_colours(partial_fit)} of its {len(partial_fit.centroids)} colours have most of their pixels in the top "
        f"quarter of the picture; {_sky_colours(results.shoal.fit)} of Shoal’s and {_sky_colours(results.offline)} of "
        "the offline fit’s do."
    )


def _sky_colours(fit: Fit) -> int:
    sky = fit.labels[: len(fit.labels) // _TOP]
    in_sky, everywhere = (np.bincount(labels, minlength=len(fit.centroids)) for labels in (sky, fit.labels))
    return int(np.count_nonzero(2 * in_sky > everywhere))


def _refinements(results: DemoResults) -> str:
    one = results.shoal
    missed = one.last_version - len({version.version for version in one.versions})
    seen = f"The watcher was sent {one.last_version - missed:,} of {one.last_version:,} versions"
    why = "; those that are published together reach it as one." if missed else "."
    return (
        "It keeps a summary of the stream: a few thousand weighted points that stand for all pixels so far. Now and "
        f"then it fits its centroids to the summary anew: after {one.refinements} of {results.photograph.n_batches} "
        f"batches here, often at first, seldom once nothing new comes. Each refinement is a version. {seen}{why}"
    )


def _loss(results: DemoResults) -> str:
    shoal, partial_fit = (_channel_error(fit, results) for fit in (results.shoal.fit, results.partial_fit.fit))
    return (
        f"{len(results.offline.centroids)} colours stand for {results.photograph.n_colours:,}, so a channel of a pixel "
        f"is off by {shoal:.0f} of 255 levels with Shoal and by {partial_fit:.0f} with partial_fit (root mean square). "
        "Soft gradients, as in the sky, break into bands. Inertia counts pixels, so large areas win over small "
        "striking ones, in the offline fit too."
    )


def _channel_error(fit: Fit, results: DemoResults) -> float:
    return math.sqrt(fit.inertia / results.photograph.pixels.size)


def _speed(results: DemoResults) -> str:
    shoal, rows = results.shoal.fit, len(results.photograph.pixels)
    return (
        f"Shoal received {rows / shoal.seconds:,.0f} rows a second over gRPC, refinements included. Each batch waited "
        "for the result of the previous one, so that you could watch; with more batches in flight it is faster. The "
        f"three took turns: Shoal {shoal.seconds:.1f} s, partial_fit {results.partial_fit.fit.seconds:.1f} s, the "
        f"offline fit {results.offline.seconds:.1f} s. The last two used no network, and only the stream had "
        "centroids to serve from its first batch on."
    )


def _against_offline(ratio: float) -> str:
    return f"{abs(ratio - 1):.1%} {'above' if ratio >= 1 else 'below'} the inertia of an offline fit"


def _range(ratios: tuple[float, ...]) -> str:
    return f"{min(ratios):.2f} to {max(ratios):.2f}"
