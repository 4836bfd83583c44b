"""When the centroids are refined: decided by counted rows, weight and work, never by a clock.

A refinement is due once a third of all weight is new since the last one, or once the points lie so much farther from
the centroids than the last one left the summary's that the sum of it, the regret, is a share of the inertia: a share
that grows as the budget is used up, a number of multiplications that grows with the rows. It is a light one, unless a
third of the weight is new since the last deep one, too. After the beginning of a stream one without regret also waits
until the rows since the last one have taken ten times its work: then ingest is hardly slower than without refinements.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Depth = Literal["light", "deep"]

NEW_WEIGHT = 1 / 3  # of all weight, since the last refinement; and since the last deep one
REGRET = 0.02  # of the inertia that the last refinement left
# A refinement of so much regret isn't done in rounds, twice what optimism explains aside. Of blobs that come one after
# another, 500 in 4 columns or 16 in 256, a pass ended at 2 to 4 times the inertia, or was at 3 times on its way, where
# all long ones were.
URGENT = 0.1
# Once SPARED of the first work has been taken, the regret that makes a refinement due doubles with every further
# DOUBLING of it: a stream that goes to new places again and again can't use up early what its last rows will need.
SPARED, DOUBLING = 1 / 4, 1 / 3
# Multiplications that refinements may take, some 12 of which a core does in a nanosecond: FIRST_WORK at first, for
# models whose rows take more than SMALL_ROW_WORK so many times more, up to MAX_FIRST_WORK; and for each row as much as
# assigning it takes.
FIRST_WORK, MAX_FIRST_WORK, SMALL_ROW_WORK = 10_000_000_000, 40_000_000_000, 1500
FIXED_WORK = 30_000_000  # of each refinement besides that of its search: to join the summary, and to begin a new block
# Of what there is at first: deep refinements leave so much to light ones, and these overdraw it by so much if there is
# regret enough.
RESERVE = 1 / 3
# By how much rows may be farther from centroids than the points that these were fitted to, in numbers of centroids for
# each point: 0.9 (16 columns) to 3.7 (3 columns), measured.
OPTIMISM = 4
BEGINNING_ROWS = 1 << 18  # a deep one that has begun by then is done before 300,000 rows of a small model
# After these, what a refinement without regret may take of the work that the rows since the last one took to assign.
ROUTINE_SHARE = 1 / 10
MIN_ROWS_PER_CLUSTER = 3  # for the first refinement; and new ones between two, for each cluster


class RefinementSchedule(NamedTuple):
    """Sums over the rows so far, forgotten as the centroids' weights are."""

    age: float = 0.0  # half-lives that have passed
    rows: int = 0  # accepted, all of them
    weight: float = 0.0
    new_weight: float = 0.0  # since the last refinement
    new_weight_deep: float = 0.0  # since the last deep one
    regret: float = 0.0  # inertia beyond what the last refinement left
    expected: float | None = None  # inertia of a weight of 1 that the last refinement left; None: there was none
    optimism: float = 0.0  # share by which rows' inertia may be above that, because centroids fit a sample better
    new_rows: int = 0  # since the last refinement
    new_rows_deep: int = 0  # since the last deep one
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
            self.optimism,
            self.new_rows + rows,
            self.new_rows_deep + rows,
            self.refinements,
            self.deep_refinements,
            self.work,
        )

    def forgetting(self, half_lives: float) -> RefinementSchedule:
        """Return the schedule after so many half-lives without a batch, at whose end a deep refinement is due."""
        forgot = self.after(half_lives, 0, 0.0, 0.0)
        return forgot._replace(new_weight=forgot.weight, new_weight_deep=forgot.weight)

    def is_due(self, n_clusters: int) -> bool:
        """Return whether a refinement is due, if there is work left for one."""
        has_rows = self.new_rows >= MIN_ROWS_PER_CLUSTER * n_clusters and self.weight > 0
        return has_rows and (self._is_new or self._regrets(REGRET))

    def work_left(self, row_work: int) -> float:
        """Return how many multiplications refinements may take, where so many assign a row; below 0: overdrawn."""
        return _first_work(row_work) + self.rows * row_work - self.work

    def may_take(self, work: int, row_work: int) -> bool:
        """Return whether a light refinement of so much work may take place."""
        if not self._is_worth(work, self.new_rows * row_work):
            return False
        left, first = self.work_left(row_work), _first_work(row_work)
        if self._is_new and left >= work:
            return True
        taken = max(1 - left / first - SPARED, 0.0)
        return left + RESERVE * first >= work and self._regrets(REGRET * 2 ** (taken / DOUBLING))

    @property
    def is_urgent(self) -> bool:
        """Return whether the stream has gone where the centroids are not: they are to be refined at once."""
        return self._regrets(URGENT, 2 * self.optimism)

    def may_begin_deep(self, work: int, row_work: int) -> bool:
        """Return whether a deep refinement of so much work is due and may begin."""
        is_stale = not self.deep_refinements or self.new_weight_deep >= NEW_WEIGHT * self.weight
        is_worth = is_stale and self._is_worth(work, self.new_rows_deep * row_work)
        return is_worth and self.work_left(row_work) - work >= RESERVE * _first_work(row_work)

    def refined(self, expected: float, centroids_per_point: float, work: int) -> RefinementSchedule:
        """Return the schedule after a refinement.

        Parameters
        ----------
        expected
            Inertia of a weight of 1 that it left.
        centroids_per_point
            Their number divided by that of the points that they were fitted to.
        work
            Multiplications that it took.
        """
        return self._replace(
            new_weight=0.0,
            new_rows=0,
            regret=0.0,
            expected=expected,
            optimism=OPTIMISM * centroids_per_point,
            refinements=self.refinements + 1,
            work=self.work + work + FIXED_WORK,
        )

    def begun_deep(self, work: int) -> RefinementSchedule:
        """Return the schedule once a deep refinement has begun that takes so many multiplications at most."""
        return self._replace(
            new_weight_deep=0.0,
            new_rows_deep=0,
            deep_refinements=self.deep_refinements + 1,
            work=self.work + work,
        )

    def charged(self, work: int) -> RefinementSchedule:
        """Return the schedule once so many more multiplications have been taken; below 0: fewer than were charged."""
        return self._replace(work=self.work + work)

    def resized(self) -> RefinementSchedule:
        """Return the schedule of another number of clusters, for which no deep refinement has begun."""
        return self._replace(new_weight_deep=self.weight, new_rows_deep=self.rows, deep_refinements=0)

    @property
    def _is_new(self) -> bool:
        return not self.refinements or self.new_weight >= NEW_WEIGHT * self.weight

    def _is_worth(self, work: int, assigning: int) -> bool:
        """Return whether a refinement is worth its work; `assigning` the rows since the last one took so much."""
        is_beginning = self.rows <= BEGINNING_ROWS or not self.refinements
        return is_beginning or self._regrets(REGRET, self.optimism) or work <= ROUTINE_SHARE * assigning

    def _regrets(self, share: float, optimism: float = 0.0) -> bool:
        if self.expected is None:
            return False
        return self.regret > self.expected * (share * self.weight + optimism * self.new_weight)


def _first_work(row_work: int) -> float:
    return float(min(FIRST_WORK * max(row_work / SMALL_ROW_WORK, 1.0), MAX_FIRST_WORK))
