"""When the centroids are refined: decided by counted rows, weight and work, never by a clock.

A refinement is due once a third of all weight is new since the last one, or once the points lie so much farther from
the centroids than the last one left the summary's that the sum of it, the regret, is a share of the inertia. Light
refinements come often, deep ones once half of the weight is new since the last deep one, and both within a budget of
multiplications that grows with the rows.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from shoal_server.clustering.buckets import Reals
from shoal_server.clustering.summary import Summary
from shoal_server.engines.contract import Float64Array

Depth = Literal["light", "deep"]

NEW_WEIGHT, NEW_WEIGHT_DEEP = 1 / 3, 1 / 2  # of all weight
REGRET, LARGE_REGRET = 0.02, 0.2  # of the inertia that the last refinement left
# Multiplications that refinements may take, some 12 of which a core does in a nanosecond: FIRST_WORK at first, for
# models of more values than SMALL_MODEL so many times more, up to MAX_FIRST_WORK; and for each row a share of what
# assigning it takes.
FIRST_WORK, MAX_FIRST_WORK, SMALL_MODEL = 6_000_000_000, 40_000_000_000, 1024
ROW_SHARE = 0.1
RESERVE = 1 / 3  # of what there is at first, that deep refinements leave to light ones
MAX_LIGHT_WORK = 10_000_000_000  # no refinement takes place where a light one takes longer


class RefinementSchedule(NamedTuple):
    """Sums over the rows so far, forgotten as the centroids' weights are."""

    age: float = 0.0  # half-lives that have passed
    rows: int = 0  # accepted, all of them
    weight: float = 0.0
    new_weight: float = 0.0  # since the last refinement
    new_weight_deep: float = 0.0  # since the last deep one
    regret: float = 0.0  # inertia beyond what the last refinement left
    expected: float | None = None  # inertia of a weight of 1 that the last refinement left; None: there was none
    refinements: int = 0
    deep_refinements: int = 0
    work: int = 0  # multiplications of all refinements

    def after(self, half_lives: float, rows: int, weight: float, inertia: float) -> RefinementSchedule:
        """Return the schedule after one more batch.

        Parameters
        ----------
        half_lives
            That have passed since the batch before.
        rows, weight, inertia
            Of the batch.
        """
        kept = 0.5**half_lives
        regret = 0.0 if self.expected is None else self.regret * kept + inertia - self.expected * weight
        return RefinementSchedule(
            self.age + half_lives,
            self.rows + rows,
            self.weight * kept + weight,
            self.new_weight * kept + weight,
            self.new_weight_deep * kept + weight,
            regret,
            self.expected,
            self.refinements,
            self.deep_refinements,
            self.work,
        )

    @property
    def is_due(self) -> bool:
        """Whether a refinement is due, if there is work left for one."""
        return self._is_new or self._regrets(REGRET)

    def depth(self, light_work: int, deep_work: int, assign_work: int) -> Depth | None:
        """Return which refinement there is work for, once one is due; None: for none, as with very many clusters.

        Parameters
        ----------
        light_work, deep_work
            Multiplications that one of each takes at most.
        assign_work
            Multiplications that assigning one point takes.
        """
        if light_work > MAX_LIGHT_WORK:
            return None
        first = min(FIRST_WORK * max(assign_work / SMALL_MODEL, 1.0), MAX_FIRST_WORK)
        left = first + ROW_SHARE * self.rows * assign_work - self.work
        is_stale = not self.deep_refinements or self.new_weight_deep >= NEW_WEIGHT_DEEP * self.weight
        if is_stale and left - deep_work >= first * RESERVE:
            return "deep"
        if left >= light_work or self._regrets(LARGE_REGRET):
            return "light"
        return None

    def refined(self, expected: float, work: int) -> RefinementSchedule:
        """Return the schedule after a refinement.

        Parameters
        ----------
        expected
            Inertia of a weight of 1 that it left.
        work
            Multiplications that it took.
        """
        return self._replace(
            new_weight=0.0, regret=0.0, expected=expected, refinements=self.refinements + 1, work=self.work + work
        )

    def begun_deep(self, work: int) -> RefinementSchedule:
        """Return the schedule once a deep refinement has begun that takes so many multiplications at most."""
        return self._replace(new_weight_deep=0.0, deep_refinements=self.deep_refinements + 1, work=self.work + work)

    @property
    def _is_new(self) -> bool:
        return not self.refinements or self.new_weight >= NEW_WEIGHT * self.weight

    def _regrets(self, share: float) -> bool:
        return self.expected is not None and self.regret > share * self.expected * self.weight

    def done_deep(self, expected_work: int, work: int) -> RefinementSchedule:
        """Return the schedule once a deep refinement has ended that took fewer multiplications than expected."""
        return self._replace(work=self.work + work - expected_work)


class PendingRefinement(NamedTuple):
    """A deep refinement under way: what it was begun with, and how far it has come."""

    points: Reals  # (m, d) relative to the origin
    weights: Float64Array  # (m,)
    centroids: Float64Array  # (k, d) relative to the origin
    fresh: bool
    number: int  # of the refinements before it
    work: int  # multiplications that it takes at most
    pieces: int  # of its work that the batches since then have paid for


class Learning(NamedTuple):
    """What a model keeps of the stream besides its centroids."""

    summary: Summary
    schedule: RefinementSchedule
    pending: PendingRefinement | None = None
