"""The key facts of a run, in five to eight lines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shoal import ComparedEngine
from shoal_presentation.views.convergence import convergence_step, distance_text, has_converged
from shoal_presentation.views.flow import origin_text
from shoal_presentation.views.numbers import count_text, listed, number_text
from shoal_presentation.views.run import Run, engine_text

_SIZES = 8  # clusters whose sizes are listed one by one
_SAME = 1e-9  # relative: explained by rounding


def key_facts_of(run: Run) -> tuple[str, ...]:
    """Return the key facts, one a line."""
    return tuple(_lines(run))


def _lines(run: Run) -> Iterator[str]:
    start, first = run.start, run.result.engines[0]
    yield (
        f"{count_text(len(start.points), 'point')} in {count_text(start.points.shape[1], 'column')}, "
        f"k = {len(start.initial_centroids)}, initial centroids {origin_text(start)}."
    )
    yield "k-means repeats two steps: it assigns points to their nearest centroids, and moves these to the means."
    yield _convergence(run, first)
    yield _sizes(first)
    yield _inertia(run)
    yield _agreement(run)
    stopped = [engine_text(result.engine).library for result in run.result.engines if not result.converged]
    if stopped:
        yield f"Stopped by max_iter = {start.max_iter:,}, perhaps before converging: {listed(stopped)}."
    noted = sum(len(step.notes) for step in run.steps)
    if noted:
        yield f"The libraries did {count_text(noted, 'thing')} that may surprise you: see the notes."


def _convergence(run: Run, first: ComparedEngine) -> str:
    library, iterations = engine_text(first.engine).library, count_text(first.iterations, "iteration")
    if has_converged(run, first.engine):
        step = convergence_step(run, first.engine)
        return f"{library} made {iterations}; after step {step.number} its centroids no longer changed."
    if first.converged:
        return (
            f"{library} made {iterations}; the last moved its centroids by no more than {number_text(run.start.tol)}."
        )
    return f"{library} made {iterations} and was stopped: its centroids might still move."


def _sizes(first: ComparedEngine) -> str:
    sizes = np.bincount(first.labels, minlength=len(first.centroids)).tolist()
    library = engine_text(first.engine).library
    if len(sizes) == 1:
        return f"{library} has one cluster, with all points."
    if len(sizes) > _SIZES:
        return f"{library}’s {len(sizes):,} clusters have from {min(sizes):,} to {max(sizes):,} points."
    return f"{library}’s clusters have {listed([f'{size:,}' for size in sizes])} points."


def _inertia(run: Run) -> str:
    results = sorted(run.result.engines, key=lambda result: result.inertia)
    best, worst = results[0], results[-1]
    if len(results) == 1:
        return f"Inertia {number_text(best.inertia)}, mean distance {number_text(best.distortion)}."
    if worst.inertia - best.inertia <= _SAME * worst.inertia:
        return f"Inertia {number_text(best.inertia)} with every engine: all fit equally well."
    return (
        f"Inertia from {number_text(best.inertia)} ({engine_text(best.engine).library}, the best fit) to "
        f"{number_text(worst.inertia)} ({engine_text(worst.engine).library})."
    )


def _agreement(run: Run) -> str:
    agreements = run.result.agreements
    if not agreements:
        return "Only one engine ran. Add a second one to compare them."
    worst = max(agreements, key=lambda agreement: agreement.points_that_differ)
    if worst.points_that_differ:
        return (
            f"{engine_text(worst.one).library} and {engine_text(worst.other).library} disagree on "
            f"{worst.points_that_differ:,} of {count_text(len(run.start.points), 'point')}."
        )
    apart = distance_text(run, max(agreement.largest_difference for agreement in agreements))
    return f"All engines put the points into the same clusters, with centroids that are {apart}."
