"""Key moments that not every run has: what its notes and its result give cause to explain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal import Agreement, ComparisonStep
from shoal_presentation.views.numbers import count_text, listed, number_text
from shoal_presentation.views.run import Run, words_of


@dataclass(frozen=True)
class KeyMoment:
    """A question and its answer."""

    question: str
    explanation: str


def happenings(run: Run) -> Iterator[KeyMoment]:
    """Yield what this run's notes and result ask for; the figures are its own."""
    if any("no point is nearest" in note for step in run.steps for note in step.notes):
        yield _empty_clusters()
    for step in run.steps:
        for figure in step.own_figures:
            if step.engine == "scipy" and figure.name == "distortion":
                yield _own_distortion(step, figure.value)
    if any("aren't the nearest" in note for step in run.steps for note in step.notes):
        yield _not_nearest()
    stopped = [words_of(result.engine).library for result in run.result.engines if not result.converged]
    if stopped:
        yield _stopped(run, stopped)
    differing = [agreement for agreement in run.result.agreements if agreement.points_that_differ]
    if differing:
        yield _other_clusters(max(differing, key=lambda agreement: agreement.points_that_differ))


def _empty_clusters() -> KeyMoment:
    return KeyMoment(
        "What becomes of a cluster that no point is nearest to?",
        "There is no mean of no points, and each library helps itself. kmeans drops the centroid and goes on with "
        "one less. kmeans2 leaves it where it is and warns, or raises with missing='raise'. KMeans moves it to the "
        "point that is farthest from its own centroid, so that there are still k of them. From then on the libraries "
        "are on different ways.",
    )


def _own_distortion(step: ComparisonStep, value: float) -> KeyMoment:
    same = step.distortion is not None and number_text(value) == number_text(step.distortion)
    here = "both are" if same else f"step {step.number} has {number_text(step.distortion or 0.0)}, and kmeans says"
    return KeyMoment(
        "Can the distortion that kmeans returns be trusted?",
        "It is measured before the last update and belongs to the codebook before that; the codebook returned may be "
        f"another. Where nothing moves any more the two are the same: here {here} {number_text(value)}. To be sure, "
        "take the mean of the distances that vq returns with the final codebook.",
    )


def _not_nearest() -> KeyMoment:
    return KeyMoment(
        "Why do some labels not name the nearest centroid?",
        "fit stops as soon as an assignment repeats the labels of the one before. If the update in between had moved "
        "an empty cluster to a far point, the labels repeat while the centroids don’t fit them yet. predict on the "
        "same points gives the nearest ones.",
    )


def _stopped(run: Run, libraries: list[str]) -> KeyMoment:
    return KeyMoment(
        "Has every engine finished?",
        f"Perhaps not: {listed(libraries)} made all the iterations that are allowed, {run.start.max_iter:,}, and the "
        "centroids might still move. Allow more iterations, or a larger tol, and see whether they settle.",
    )


def _other_clusters(agreement: Agreement) -> KeyMoment:
    one, other = words_of(agreement.one).library, words_of(agreement.other).library
    return KeyMoment(
        f"Why do {one} and {other} disagree on {count_text(agreement.points_that_differ, 'point')}?",
        "The names of clusters are no reason: these were matched before counting. The two have come to different "
        "centroids: look for the step at which the ways part, and compare the inertia. The lower one is the better "
        "fit, and there may be a better one still. The adjusted Rand index of the two is "
        f"{number_text(agreement.adjusted_rand_index)}.",
    )
