"""Questions about a run, with answers computed from it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import CompareEngine, ComparisonStep
from shoal_presentation.views.convergence import convergence_step, has_converged
from shoal_presentation.views.numbers import centroids_text, count_text, labels_text, listed, number_text, steps_of
from shoal_presentation.views.run import Run, engine_text

_ASKED = 12  # points in the question about labels
_WRONG = 3  # wrong options of a question


@dataclass(frozen=True)
class Question:
    """A question with one right option."""

    text: str
    options: tuple[str, ...]  # all different
    answer: int  # the index of the right one
    hint: str
    explanation: str


def quiz_of(run: Run) -> tuple[Question, ...]:
    """Return the questions. The order of the options depends on the run, and is the same for the same run."""
    return (_on_labels(run), _on_convergence(run), _on_random_state(run))


def _question(run: Run, text: str, options: Sequence[str], hint: str, explanation: str) -> Question:
    """Return a question with shuffled options; the first of `options` is the right one."""
    start = run.start
    marks = (text.encode(), start.initial_centroids.tobytes(), np.ascontiguousarray(start.points).tobytes())
    order = np.random.default_rng([zlib.crc32(mark) for mark in marks]).permutation(len(options)).tolist()
    return Question(text, tuple(options[index] for index in order), order.index(0), hint, explanation)


def _on_labels(run: Run) -> Question:
    step = next(step for step in run.steps if step.labels is not None)
    if step.labels is None:
        raise AssertionError("every engine ends with labels")
    asked = step.labels[:_ASKED]
    points = "the points" if len(step.labels) <= _ASKED else f"the first {_ASKED} points"
    library = engine_text(step.engine).library
    wrong = _wrong_labels(asked, run.start.points[:_ASKED], step.centroids)
    return _question(
        run,
        f"Step {step.number}: which labels does {library} give {points}?",
        [labels_text(labels) for labels in (asked, *wrong)],
        f"Centroids are counted from 0. Find the nearest of {_centroids(run, step)} for each point.",
        f"A label is the row of the point’s centroid. In step {step.number} {library} gives {labels_text(asked)}.",
    )


def _on_convergence(run: Run) -> Question:
    engine = run.engines[0]
    library, step = engine_text(engine).library, convergence_step(run, engine)
    steps = run.steps_of(engine)
    wrong = _wrong_steps(step.number, [each.number for each in steps])
    settled = has_converged(run, engine)
    asked = f"{library}’s centroids no longer change" if settled else f"{library} has its final centroids"
    why = _since(step, steps[-1]) if settled else _although(run, engine)
    return _question(
        run,
        f"Which is the first step after which {asked}?",
        [f"step {number}" for number in (step.number, *wrong)],
        "Go up the table from the last step, as long as the centroids stay the same.",
        f"After step {step.number} they are {_centroids(run, step)}; {why}.",
    )


def _although(run: Run, engine: CompareEngine) -> str:
    """Return why an engine stopped although its centroids might still move."""
    (result,) = (result for result in run.result.engines if result.engine == engine)
    if result.converged:
        return f"the engine stops there, because they moved by no more than {number_text(run.start.tol)}"
    return f"{count_text(result.iterations, 'iteration')} are all that it may make; another one might still move them"


def _centroids(run: Run, step: ComparisonStep) -> str:
    return centroids_text(step.centroids, steps_of(run.start.points))


def _since(step: ComparisonStep, last: ComparisonStep) -> str:
    if step is last:
        return "it is the last one of this engine"
    return f"nothing moves them up to step {last.number}, the last one of this engine"


_ALL = "the centroids and the labels of every engine"
_NOTHING = "nothing: the centroids and the labels stay the same"
_LABELS_ALONE = "only the labels: centroids are means, and means aren’t random"
_K = "k, the number of centroids"
_START = "the initial centroids, and so the result of every engine"
_DRAWING: CompareEngine = "sklearn-minibatch"  # the one engine that may draw after the start


def _on_random_state(run: Run) -> Question:
    right, wrong, why = _without_random_state(run)
    return _question(
        run,
        "If you repeat the comparison without random_state, what may differ at the end?",
        [right, *wrong],
        "Where is anything random? Who chooses the initial centroids, and does an engine draw anything after that?",
        f"{why} Differences by rounding don’t count.",
    )


def _without_random_state(run: Run) -> tuple[str, tuple[str, ...], str]:
    """Return what may change, what may not, and why."""
    if run.start.init == "given" and _DRAWING in run.engines:
        right = f"the result of {engine_text(_DRAWING).library}, if it draws a new place for a centroid with few points"
        why = "The initial centroids were given, but partial_fit may move a centroid with few points to a random point."
        return right, (_START, _LABELS_ALONE, _K), why
    if run.start.init == "given":
        why = "The initial centroids were given, and no engine of this run draws anything after that."
        return _NOTHING, (_ALL, _LABELS_ALONE, _K), why
    if _leads_to_one_end(run):
        why = "Every start leads to the same result, because there is only one way to cluster these points."
        return _NOTHING, (_ALL, _LABELS_ALONE, _K), why
    return _ALL, (_NOTHING, _LABELS_ALONE, _K), _why_all(run)


def _why_all(run: Run) -> str:
    libraries = listed([engine_text(engine).library for engine in run.engines])
    return (
        "random_state decides which points are drawn as initial centroids. Other points may lead to other clusters, or "
        f"to the same ones in another order. This holds for {libraries}."
    )


def _leads_to_one_end(run: Run) -> bool:
    return len(run.start.initial_centroids) == 1 or not np.ptp(run.start.points, axis=0).any()


def _wrong_labels(right: NDArray[np.int32], points: NDArray[Any], centroids: NDArray[np.float64]) -> list[NDArray[Any]]:
    """Return wrong labels (n,) for points (n, d) and centroids (m, d)."""
    found = {tuple(right.tolist()): right}
    for labels in _plausible_labels(right, points, centroids):
        found.setdefault(tuple(labels.tolist()), labels)
    return list(found.values())[1 : 1 + _WRONG]


def _plausible_labels(
    right: NDArray[np.int32], points: NDArray[Any], centroids: NDArray[np.float64]
) -> Iterator[NDArray[Any]]:
    """Yield plausible wrong labels; the last three always differ from the right ones and one another."""
    m = len(centroids)
    offsets = points.astype(np.float64)[:, None, :] - centroids[None, :, :]
    yield (m - 1 - right).astype(np.int32)  # the centroids counted from the end
    yield np.linalg.norm(offsets, axis=2).argmax(axis=1).astype(np.int32)  # the farthest
    yield right + 1  # counted from 1
    yield np.full_like(right, -1)  # no cluster at all
    yield right + 2


def _wrong_steps(right: int, steps: Sequence[int]) -> list[int]:
    """Return wrong numbers of steps near the right one, preferably steps of the engine."""
    later = range(steps[-1] + 1, steps[-1] + 1 + _WRONG)
    near = sorted((number for number in steps if number != right), key=lambda number: (abs(number - right), number))
    return [*near, *later][:_WRONG]
