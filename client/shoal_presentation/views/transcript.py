"""The transcript: one or two sentences for each step, and for the results."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal import Agreement, ComparedEngine, ComparisonStep
from shoal_presentation.views.convergence import distance_text, has_moved
from shoal_presentation.views.flow import origin_text
from shoal_presentation.views.numbers import centroids_text, count_text, labels_text, number_text, steps_of
from shoal_presentation.views.run import Run, engine_text

_MOVING = {"update", "converged"}


def transcript_of(run: Run) -> tuple[str, ...]:
    """Return a text for each step in order, then one for each engine's result and one for each pair of engines."""
    told_apart = steps_of(run.start.points)
    steps = [f"Step {step.number}. {_sentence(step, run, told_apart)}" for step in run.steps]
    ends = [_end(result, told_apart) for result in run.result.engines]
    return (*steps, *ends, *(_agreement(run, agreement) for agreement in run.result.agreements))


def _sentence(step: ComparisonStep, run: Run, told_apart: NDArray[np.float64]) -> str:
    library = engine_text(step.engine).library
    said = (
        f"{library} {_deed(step, run, told_apart)} {_movement(step) if step.action in _MOVING else _objectives(step)}"
    )
    return " ".join([said.strip(), *(f"Of note: {note}." for note in step.notes)])


def _deed(step: ComparisonStep, run: Run, told_apart: NDArray[np.float64]) -> str:
    centroids, labels = centroids_text(step.centroids, told_apart), labels_text(step.labels)
    iterations = count_text(step.iteration, "iteration")
    match step.action:
        case "initialise":
            text = f"begins with {count_text(len(step.centroids), 'centroid')}, {origin_text(run.start)}: {centroids}."
        case "assign":
            text = f"assigns each point to its nearest centroid: {labels}."
        case "update":
            text = f"moves each centroid to the mean of {_averaged(step)}: {centroids}."
        case "converged":
            text = f"updates once more, and has converged after {iterations}: {centroids}."
        case "stopped":
            text = f"has made all {iterations} that it may, and assigns for the last time: {labels}."
        case "fit":
            text = f"makes {iterations} in one call, and comes to the centroids {centroids} and the labels {labels}."
        case action:
            text = f"does {action}: {centroids}."
    return text


def _averaged(step: ComparisonStep) -> str:
    return "all points that it has been given so far" if step.engine == "sklearn-minibatch" else "its points"


def _objectives(step: ComparisonStep) -> str:
    if step.inertia is None or step.distortion is None:
        return ""
    return f"The inertia is {number_text(step.inertia)}, the mean distance {number_text(step.distortion)}."


def _movement(step: ComparisonStep) -> str:
    if step.movement is None or not has_moved(step):
        return "No centroid has moved."
    farthest = int(step.movement.argmax())
    distance = number_text(step.movement[farthest])
    if len(step.movement) == 1:
        return f"It has moved by {distance}."
    return f"Centroid {farthest} has moved the farthest, by {distance}."


def _end(result: ComparedEngine, told_apart: NDArray[np.float64]) -> str:
    ending = "it has converged" if result.converged else "it was stopped"
    centroids = centroids_text(result.centroids, told_apart)
    return (
        f"At the end {engine_text(result.engine).library} has the centroids {centroids} "
        f"and the labels {labels_text(result.labels)}, with inertia {number_text(result.inertia)}; {ending} after "
        f"{count_text(result.iterations, 'iteration')}."
    )


def _agreement(run: Run, agreement: Agreement) -> str:
    both = f"{engine_text(agreement.one).library} and {engine_text(agreement.other).library}"
    apart = f"matched centroids are {distance_text(run, agreement.largest_difference)}"
    if not agreement.points_that_differ:
        return f"{both} have the same clusters; {apart}."
    return f"{both} differ on {count_text(agreement.points_that_differ, 'point')}; {apart}."
