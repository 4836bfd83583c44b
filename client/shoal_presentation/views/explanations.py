"""Key moments: the questions that a beginner asks about a run, with answers in plain words.

The answers hold for SciPy 1.17 and scikit-learn 1.9; tests/views/test_explanations.py runs every claim.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal import Agreement, ComparisonStep
from shoal_presentation.views.convergence import distance_text
from shoal_presentation.views.numbers import count_text, listed, number_text
from shoal_presentation.views.run import Run, engine_text

_SCIPY = {"scipy", "scipy-kmeans2"}
_SKLEARN = {"sklearn", "sklearn-minibatch"}


@dataclass(frozen=True)
class KeyMoment:
    """A question and its answer."""

    question: str
    explanation: str


def key_moments(run: Run) -> tuple[KeyMoment, ...]:
    """Return the explanations of a run: first how its libraries work, then what happened in it."""
    return (*_libraries(run), *_events_of(run))


def _libraries(run: Run) -> Iterator[KeyMoment]:
    engines = set(run.engines)
    if engines & _SCIPY:
        yield _two_functions()
    if engines & _SKLEARN:
        yield _one_call()
    yield _why_they_differ(run)
    if engines & _SCIPY and engines & _SKLEARN:
        yield _tolerances(run)
    yield _objectives()
    yield _random_state(run)
    if "sklearn-minibatch" in engines:
        yield _mini_batch()
    if "numba" in engines:
        yield _kernel()


def _two_functions() -> KeyMoment:
    return KeyMoment(
        "Why does SciPy take two functions, one for centroids and one for labels?",
        "kmeans looks for a codebook: it returns the centroids and a distortion, and no labels. vq encodes points "
        "with a codebook: it returns each point’s label and its distance, and moves no centroid. The codebook of one "
        "set of points can so encode another. kmeans2 does return labels, but those of its last assignment, before "
        "the last update: vq with the final centroids is what makes labels and centroids fit one another.",
    )


def _one_call() -> KeyMoment:
    return KeyMoment(
        "Why is one call enough with scikit-learn?",
        "fit returns the model itself, and the model keeps all that fitting found: cluster_centers_, labels_, inertia_ "
        "and n_iter_. For new points the same model has predict. The price is that the loop runs unseen: the steps "
        "between the first and the last are inside the call.",
    )


def _why_they_differ(run: Run) -> KeyMoment:
    return KeyMoment(
        "Why may the centroids of two libraries differ a little?",
        "Mostly for three reasons. They begin elsewhere: k-means ends in the nearest valley, not in the deepest. "
        "They draw other random numbers, even from the same seed. They stop by other rules, so that one makes an "
        "iteration more. Here all begin with the same centroids and stop by one rule; what is left is the order in "
        "which numbers are added, and what happens to clusters that lose all "
        f"points{_other_method(run)}.{_largest(run)}",
    )


def _other_method(run: Run) -> str:
    return ", and that MiniBatchKMeans is another method" if "sklearn-minibatch" in run.engines else ""


def _largest(run: Run) -> str:
    if not run.result.agreements:
        return ""
    largest = max(agreement.largest_difference for agreement in run.result.agreements)
    if largest == 0:
        return " In this run matched centroids are the same to the last digit."
    return f" In this run matched centroids are {distance_text(run, largest)}."


def _tolerances(run: Run) -> KeyMoment:
    variance = float(run.start.points.astype(float).var(axis=0).mean())
    return KeyMoment(
        "Does the same tolerance mean the same to both libraries?",
        "No. SciPy’s thresh is absolute, in the unit of the points: kmeans stops when the mean distance changes by "
        "no more than it. scikit-learn’s tol is relative: the squared movements, added up, are compared with tol "
        f"times the mean variance of the columns, which is {number_text(variance)} here. Measure the same points in "
        "millimetres in place of metres, and scikit-learn stops where it did, while SciPy may go on for longer.",
    )


def _objectives() -> KeyMoment:
    return KeyMoment(
        "Are distortion and inertia the same?",
        "No. Distortion, as SciPy’s kmeans has it, is the mean of the distances; inertia, as scikit-learn has it, is "
        "the sum of their squares. It is the inertia that neither an assignment nor an update can make larger; the "
        "mean distance may rise a little on the way. Both are shown here, computed in one way for every engine.",
    )


def _random_state(run: Run) -> KeyMoment:
    if run.start.init == "given":
        here = "In this run the start was given, and random_state doesn’t touch it."
    else:
        here = f"In this run random_state {run.start.random_state} drew the start, once for all engines."
    return KeyMoment(
        "What is random_state for?",
        "It makes chance repeatable. KMeans, kmeans and kmeans2 draw only to find a start (SciPy calls its argument "
        "rng); with the initial centroids given they draw nothing, and repeat themselves without any seed. "
        f"MiniBatchKMeans may draw later too, to give a centroid with few points a new place. {here}",
    )


def _mini_batch() -> KeyMoment:
    return KeyMoment(
        "What does partial_fit do differently?",
        "A centroid is the mean of all points it has ever been given, those of earlier batches and passes too. Early "
        "points weigh on it to the end, so it moves less with each pass and may end elsewhere than KMeans does. It "
        "is made for points that don’t all fit into memory, or haven’t all come yet.",
    )


def _kernel() -> KeyMoment:
    return KeyMoment(
        "What is the engine called Shoal?",
        "The compiled kernel that also serves the streams. In a stream it remembers the points before; here it forgets "
        "them before each iteration, and so does what k-means does.",
    )


def _events_of(run: Run) -> Iterator[KeyMoment]:
    """Yield what this run's notes and result ask for; the figures are its own."""
    if any("no point is nearest" in note for step in run.steps for note in step.notes):
        yield _empty_clusters()
    for step in run.steps:
        for figure in step.own_figures:
            if step.engine == "scipy" and figure.name == "distortion":
                yield _own_distortion(step, figure.value)
    if any("aren't the nearest" in note for step in run.steps for note in step.notes):
        yield _not_nearest()
    stopped = [engine_text(result.engine).library for result in run.result.engines if not result.converged]
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
    one, other = engine_text(agreement.one).library, engine_text(agreement.other).library
    return KeyMoment(
        f"Why do {one} and {other} disagree on {count_text(agreement.points_that_differ, 'point')}?",
        "The names of clusters are no reason: these were matched before counting. The two have come to different "
        "centroids: look for the step at which the ways part, and compare the inertia. The lower one is the better "
        "fit, and there may be a better one still. The adjusted Rand index of the two is "
        f"{number_text(agreement.adjusted_rand_index)}.",
    )
