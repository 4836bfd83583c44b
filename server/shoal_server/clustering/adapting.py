"""Batches on the lookout for drift, and what a model does after one.

One that is to adapt forgets at once: all that has come weighs as much afterwards as a part of the batches by which the
drift was found. So those that follow soon outweigh it, and with a summary a refinement begins with the next one. Its
half-life stays as it is. A drift that goes on is found again, and forgotten for again.
"""

from __future__ import annotations

import math
from dataclasses import replace

from shoal_server.clustering.drift import Drift, DriftWatch, watched
from shoal_server.clustering.events import Event, tell
from shoal_server.clustering.state import BatchResult, Model
from shoal_server.clustering.update import newest

# Of the weight of the batches by which a drift was found. On blobs that all move, the batch after it was fitted to 1.04
# to 1.22 of the offline inertia with this; with 1/16 to 1.5 to 2.1, and with 1/4 to 2.4 to 5.3.
REMAINING = 1 / 50
_MAX_HALF_LIVES = 60.0


def watch_results(model: Model, results: list[BatchResult], count: int) -> tuple[DriftWatch, int, Drift | None]:
    """Return the watch after the first `count` of several batches, or those up to the first drift; see `watched`."""
    return watched(model.state.drift, map(_measured, results[:count]))


def after_drift(model: Model, drift: Drift | None) -> Model:
    """Return the model after a batch by which a drift was found (None: there was none), with its event.

    If it is to adapt, it has forgotten.
    """
    if drift is None:
        return model
    model = tell(model, [Event("drift", before=drift.before, after=drift.after)])
    before = newest(model)
    total = float(before.weights.sum())
    if model.config.on_drift != "adapt" or not 0 < REMAINING * drift.weight < total:
        return model
    half_lives = min(math.log2(total / (REMAINING * drift.weight)), _MAX_HALF_LIVES)
    weights = before.weights * 0.5**half_lives
    weights.setflags(write=False)
    learning = model.state.learning
    if learning is not None:
        learning = learning.without_light()  # it has been fitted to what is forgotten
        learning = learning._replace(schedule=learning.schedule.forgetting(half_lives))
    return model.with_state(model.state._replace(snapshot=replace(before, weights=weights), learning=learning))


def _measured(result: BatchResult) -> tuple[int, float, float]:
    accepted, weight = result.accepted, result.weight
    return accepted, accepted if weight is None else weight, result.inertia
