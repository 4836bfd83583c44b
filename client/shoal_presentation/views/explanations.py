"""Key moments: questions that beginners ask about a run, with answers.

The answers hold for SciPy 1.17 and scikit-learn 1.9; tests/views/test_explanations.py checks every claim.
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
        "Because they do different things. kmeans computes a codebook: it returns the centroids and a distortion, but "
        "no labels. vq encodes points with a codebook: it returns each point’s label and distance, and moves no "
        "centroid. So the codebook of one set of points can encode another set. kmeans2 also returns labels, but they "
        "are from its last assignment, before the last update. To get labels that fit the final centroids, call vq.",
    )


def _one_call() -> KeyMoment:
    return KeyMoment(
        "Why is one call enough with scikit-learn?",
        "Because fit returns the model, which keeps all results: cluster_centers_, labels_, inertia_ and n_iter_. Its "
        "method predict assigns new points. The price is that you can’t see the steps, because the whole loop runs "
        "inside the call.",
    )


def _why_they_differ(run: Run) -> KeyMoment:
    return KeyMoment(
        "Why may the centroids of two libraries differ a little?",
        "Usually for three reasons. They start from different centroids, and k-means ends in the nearest local "
        "minimum, not the best one. They draw different random numbers, even from the same seed. They stop by "
        "different rules, so one makes another iteration. Here all start from the same centroids and stop by one rule. "
        "The remaining differences are the order in which numbers are added, and the treatment of clusters that lose "
        "all their "
        f"points{_other_method(run)}.{_largest(run)}",
    )


def _other_method(run: Run) -> str:
    return ", and MiniBatchKMeans, which is another method" if "sklearn-minibatch" in run.engines else ""


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
        "No. SciPy’s thresh is absolute, in the unit of the points: kmeans stops when the mean distance changes by at "
        "most thresh. scikit-learn’s tol is relative: fit stops when the sum of the squared movements is at most tol "
        f"times the mean variance of the columns, which is {number_text(variance)} here. If you measure the points in "
        "millimetres instead of metres, scikit-learn stops at the same step, while SciPy may continue for longer.",
    )


def _objectives() -> KeyMoment:
    return KeyMoment(
        "Are distortion and inertia the same?",
        "No. SciPy’s distortion is the mean of the distances; scikit-learn’s inertia is the sum of their squares. No "
        "assignment or update can raise the inertia, but the mean distance may rise a little on the way. Both are "
        "shown here, computed in the same way for every engine.",
    )


def _random_state(run: Run) -> KeyMoment:
    if run.start.init == "given":
        here = "In this run the start was given, so random_state has no effect on it."
    else:
        here = f"In this run random_state {run.start.random_state} drew the start, once for all engines."
    return KeyMoment(
        "What is random_state for?",
        "It makes random choices repeatable. KMeans, kmeans and kmeans2 draw only to find a start (in SciPy the "
        "argument is rng). With given initial centroids they draw nothing, and need no seed to repeat a run. "
        f"MiniBatchKMeans may also draw later, to move a centroid that has few points. {here}",
    )


def _mini_batch() -> KeyMoment:
    return KeyMoment(
        "What does partial_fit do differently?",
        "Its centroids are the means of all points that they have ever been given, also in earlier batches and passes. "
        "Early points count to the end, so a centroid moves less with each pass and may end in another place than "
        "with KMeans. Use it for points that don’t fit into memory, or that haven’t all come yet.",
    )


def _kernel() -> KeyMoment:
    return KeyMoment(
        "What is the engine called Shoal?",
        "The compiled kernel that also serves sessions. In a session it remembers earlier points. Here it forgets them "
        "before each iteration, which makes it plain k-means.",
    )


def _events_of(run: Run) -> Iterator[KeyMoment]:
    """Yield explanations of what happened in this run, with its figures."""
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
        "What happens to a cluster that no point is nearest to?",
        "It has no mean, and each library does something else. kmeans drops the centroid and continues with one fewer. "
        "kmeans2 leaves it in place and warns, or raises with missing='raise'. KMeans moves it to the point that is "
        "farthest from its own centroid, so that k centroids remain. From then on the results of the libraries differ.",
    )


def _own_distortion(step: ComparisonStep, value: float) -> KeyMoment:
    same = step.distortion is not None and number_text(value) == number_text(step.distortion)
    here = "both are" if same else f"step {step.number} has {number_text(step.distortion or 0.0)}, and kmeans says"
    return KeyMoment(
        "Can the distortion that kmeans returns be trusted?",
        "Only if nothing moved at the end. kmeans measures it before the last update, so it may belong to another "
        f"codebook than the one returned. Here {here} {number_text(value)}. To be sure, take the mean of the distances "
        "that vq returns with the final codebook.",
    )


def _not_nearest() -> KeyMoment:
    return KeyMoment(
        "Why do some labels not name the nearest centroid?",
        "Because fit stops as soon as an assignment repeats the labels of the previous one. If the update in between "
        "moved an empty cluster to a far point, the labels don’t fit the centroids yet. predict on the same points "
        "returns the nearest ones.",
    )


def _stopped(run: Run, libraries: list[str]) -> KeyMoment:
    return KeyMoment(
        "Has every engine finished?",
        f"Perhaps not: {listed(libraries)} reached max_iter = {run.start.max_iter:,}, and the "
        "centroids might still move. Allow more iterations, or a larger tol, to see whether they converge.",
    )


def _other_clusters(agreement: Agreement) -> KeyMoment:
    one, other = engine_text(agreement.one).library, engine_text(agreement.other).library
    return KeyMoment(
        f"Why do {one} and {other} disagree on {count_text(agreement.points_that_differ, 'point')}?",
        "Because they found different centroids. The numbering of the clusters isn’t the cause: they were matched "
        "first. Find the step at which the two begin to differ, and compare their inertia. The lower inertia is the "
        "better fit, although a still better one may exist. The adjusted Rand index of the two is "
        f"{number_text(agreement.adjusted_rand_index)}.",
    )
