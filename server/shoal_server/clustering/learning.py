"""What a model keeps of its stream, besides the centroids, and of refinements that are under way."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from shoal_server.clustering.buckets import Reals
from shoal_server.clustering.refinement_schedule import RefinementSchedule
from shoal_server.clustering.summary import Summary
from shoal_server.engines.contract import Float64Array


class PendingLight(NamedTuple):
    """A light refinement that is done in rounds: how far it has come."""

    centroids: Float64Array  # (k, d) relative to the origin
    swaps_left: int  # 0: it is done
    swap_work: int = 0  # multiplications of its swaps
    work: int = 0  # multiplications of all its steps, swaps included
    small_cluster_cost: float = 1.0  # by what a small cluster that was preferred multiplied the inertia
    expected: float = np.inf  # inertia of a weight of 1 after its last round
    has_waited: bool = False  # for the batch after the end of a block
    outcome: Literal["better", "not better"] | None = None  # None: it hasn't been compared with the centroids
    begins_deep: bool = False  # whether a deep refinement follows with the batch after that


class PendingDeep(NamedTuple):
    """A deep refinement that is done in pieces: what it was begun with, and how far it has come."""

    points: Reals  # (m, d) relative to the origin
    weights: Float64Array  # (m,)
    centroids: Float64Array  # (k, d) relative to the origin
    fresh: bool
    number: int  # of the refinements before it
    work: int  # multiplications that it takes at most
    pieces: int  # of its work that the batches since then have paid for


class Learning(NamedTuple):
    """What a model keeps of its stream, and the refinements under way: the light one goes first."""

    summary: Summary
    schedule: RefinementSchedule
    light: PendingLight | None = None
    deep: PendingDeep | None = None
    is_put_off: bool = False  # a light one that is due: to the next batch

    def without_light(self) -> Learning:
        """Return this with the light refinement under way given up: what it has done is charged."""
        done = self.light.work if self.light else 0
        return self._replace(schedule=self.schedule.charged(done), light=None, is_put_off=False)

    def without_pending(self) -> Learning:
        """Return this with all refinements under way given up: what was charged for a deep one is refunded."""
        refund = self.deep.work if self.deep else 0
        learning = self.without_light()
        return learning._replace(schedule=learning.schedule.charged(-refund), deep=None)
