"""Which refinement of a model is due after a batch, if any: the schedule applied to the model's size."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from shoal_server.clustering.identity import succession_work
from shoal_server.clustering.refinement import expected_rounds, expected_work
from shoal_server.clustering.refinement_schedule import FIXED_WORK, Depth, RefinementSchedule
from shoal_server.clustering.state import Model
from shoal_server.clustering.update import newest
from shoal_server.engines.chunks import row_work

FRESH_STARTS = 2  # deep refinements that also start from scratch: no bad start survives them
# A light refinement of more multiplications, which are 15 ms, is done in rounds with the batches that follow: unless
# its batch takes a quarter of that work or more, or there are more values of centroids. That many take longer in any
# case, and what was found some batches before was worth little: image patches ended at 1.09 instead of 1.01.
_WORK_AT_ONCE, _MAX_TIMES_OF_BATCH, MAX_ROUND_VALUES = 500_000_000, 4, 1 << 12
# One of more multiplications than this, which are 8 ms, has a batch of its own: it is put off by one that has ended a
# block, or has waited for some pieces of a deep refinement.
_WORK_BESIDE_OTHER = 250_000_000
# What a value of the points counts besides, that no cache keeps from one swap to the next: 35 ns.
_CACHED_VALUES, _UNCACHED_WORK = 1 << 19, 420


class DueRefinements(NamedTuple):
    """What decides, beside the schedule, whether a refinement of a model is due: the same until one begins or ends."""

    is_refined: bool  # whether there are any
    n_clusters: int
    n_features: int
    size: int  # points of the summary
    has_pending_light: bool  # whether one is under way
    has_pending_deep: bool
    row_work: int  # multiplications that assign a row

    def depth(self, schedule: RefinementSchedule) -> Depth | None:
        """Return which refinement is due at this point of the schedule; None: none. Asked after each batch."""
        if self.has_pending_light or not schedule.is_due(self.n_clusters) or not self.is_refined:
            return None
        if not schedule.may_take(self._light_work(schedule), self.row_work):
            return None
        return "deep" if self.may_begin_deep(schedule) else "light"

    def may_begin_deep(self, schedule: RefinementSchedule) -> bool:
        """Return whether a deep refinement is to follow a light one."""
        return not self.has_pending_deep and schedule.may_begin_deep(self.deep_work(schedule), self.row_work)

    def is_done_in_rounds(self, schedule: RefinementSchedule, batch_rows: int) -> bool:
        """Return whether a light refinement is done in rounds that is due after a batch of so many rows."""
        return self._is_longer(_WORK_AT_ONCE, schedule, batch_rows)

    def may_be_put_off(self, schedule: RefinementSchedule, batch_rows: int) -> bool:
        """Return whether a light refinement that is due after a batch of so many rows is left to the next batch."""
        return self._is_longer(_WORK_BESIDE_OTHER, schedule, batch_rows)

    def _is_longer(self, work: int, schedule: RefinementSchedule, batch_rows: int) -> bool:
        k, d = self.n_clusters, self.n_features
        if schedule.is_urgent or k * d > MAX_ROUND_VALUES:
            return False
        points = self._points(schedule)
        needed = expected_work(points, k, d, "light", fresh=False)
        uncached = _UNCACHED_WORK * max(points * d - _CACHED_VALUES, 0)
        return needed + uncached > work and needed > _MAX_TIMES_OF_BATCH * batch_rows * self.row_work

    def deep_work(self, schedule: RefinementSchedule) -> int:
        """Return how many multiplications a deep refinement takes at most."""
        fresh = schedule.deep_refinements < FRESH_STARTS
        return expected_work(self._points(schedule), self.n_clusters, self.n_features, "deep", fresh=fresh)

    def _light_work(self, schedule: RefinementSchedule) -> int:
        return _light_work(self._points(schedule), self.n_clusters, self.n_features)

    def _points(self, schedule: RefinementSchedule) -> int:
        return min(schedule.rows, self.size)


def due_refinements(model: Model) -> DueRefinements:
    """Return when a model's refinements are due."""
    k, d = newest(model).centroids.shape
    config, learning = model.config, model.state.learning
    pends = (False, False) if learning is None else (learning.light is not None, learning.deep is not None)
    return DueRefinements(config.rule(d) == "refined", k, d, config.summary_points(d), *pends, row_work(k, d))


@lru_cache(maxsize=1024)  # asked for after each batch
def _light_work(points: int, n_clusters: int, n_features: int) -> int:
    """Return how many multiplications a light refinement takes at most, with all that belongs to it."""
    work = expected_work(points, n_clusters, n_features, "light", fresh=False)
    if work > _WORK_AT_ONCE and n_clusters * n_features <= MAX_ROUND_VALUES:
        rounds, each = expected_rounds(points, n_clusters, n_features)
        work += rounds * (each + FIXED_WORK)
    return work + FIXED_WORK + succession_work(points)
