"""When refinements are due, by counted rows, weight and work."""

from __future__ import annotations

import numpy as np
import pytest

from shoal_server.clustering.config import DEFAULT_SUMMARY_SIZE, ModelConfig
from shoal_server.clustering.refinement_schedule import (
    BEGINNING_ROWS,
    FIRST_WORK,
    OPTIMISM,
    REGRET,
    RESERVE,
    ROUTINE_SHARE,
    SMALL_ROW_WORK,
    RefinementSchedule,
)

ROW_WORK = SMALL_ROW_WORK
LIGHT_WORK = 1_000_000 * ROW_WORK


def _refined(rows: int, *, points_per_centroid: int = 100) -> RefinementSchedule:
    """Return the schedule of a stream of so many rows, each of inertia 1, that has just been refined for nothing."""
    schedule = RefinementSchedule().after(0.0, rows, float(rows), float(rows))
    return schedule.refined(1.0, 1 / points_per_centroid, 0)


def _after(schedule: RefinementSchedule, rows: int, inertia_per_row: float = 1.0) -> RefinementSchedule:
    return schedule.after(0.0, rows, float(rows), rows * inertia_per_row)


def test_a_refinement_at_the_beginning_needs_not_be_paid_by_the_rows_since_the_last_one() -> None:
    schedule = _after(_refined(BEGINNING_ROWS // 2), BEGINNING_ROWS // 2)

    assert schedule.may_take(LIGHT_WORK, ROW_WORK)


def test_a_later_refinement_without_regret_waits_until_the_rows_since_the_last_one_have_paid_for_it() -> None:
    needed = int(LIGHT_WORK / ROUTINE_SHARE / ROW_WORK)
    refined = _refined(BEGINNING_ROWS)

    assert not _after(refined, needed - 1).may_take(LIGHT_WORK, ROW_WORK)
    assert _after(refined, needed).may_take(LIGHT_WORK, ROW_WORK)


def test_a_later_deep_refinement_waits_for_the_rows_since_the_last_deep_one() -> None:
    needed = int(LIGHT_WORK / ROUTINE_SHARE / ROW_WORK)
    schedule = _refined(BEGINNING_ROWS).begun_deep(LIGHT_WORK)

    half = _after(schedule, needed - needed // 2).refined(1.0, 0.01, 0)

    assert not half.may_begin_deep(LIGHT_WORK, ROW_WORK)
    assert _after(half, needed // 2).may_begin_deep(LIGHT_WORK, ROW_WORK)


def test_a_later_refinement_with_regret_does_not_wait() -> None:
    schedule = _after(_refined(BEGINNING_ROWS), BEGINNING_ROWS, 1.0 + 2 * REGRET + 2 * OPTIMISM / 100)

    assert schedule.may_take(LIGHT_WORK, ROW_WORK)


def test_rows_farther_off_than_a_small_sample_said_are_no_regret_after_the_beginning() -> None:
    inertia = 1.0 + 2 * REGRET + 0.9 * OPTIMISM / 10

    assert _after(_refined(BEGINNING_ROWS), BEGINNING_ROWS, inertia).may_take(LIGHT_WORK, ROW_WORK)
    few_points = _refined(BEGINNING_ROWS, points_per_centroid=10)
    assert not _after(few_points, BEGINNING_ROWS, inertia).may_take(LIGHT_WORK, ROW_WORK)


@pytest.mark.parametrize("spare", [0, -1])
def test_regret_overdraws_the_work_by_no_more_than_the_reserve(spare: int) -> None:
    reserve = int(RESERVE * FIRST_WORK)
    rows = 1000
    spent = FIRST_WORK + rows * ROW_WORK
    schedule = _after(RefinementSchedule().refined(1.0, 0.01, 0)._replace(work=spent), rows, 10.0)

    assert schedule.may_take(reserve + spare, ROW_WORK)
    assert not schedule.may_take(reserve + 1, ROW_WORK)


def test_the_more_work_has_been_taken_the_more_regret_another_refinement_needs() -> None:
    def least_regret(taken: float) -> float:
        schedule = RefinementSchedule().after(0.0, 1000, 1000.0, 1000.0).refined(1.0, 0.01, 0)
        schedule = schedule._replace(work=int(taken * FIRST_WORK) + 1000 * ROW_WORK)
        shares = np.arange(0.01, 1.0, 0.01)
        return float(
            next(share for share in shares if schedule._replace(regret=1000 * share).may_take(LIGHT_WORK, ROW_WORK))
        )

    at_first, half, all_of_it = map(least_regret, (0.0, 0.5, 1.0))

    assert REGRET < at_first < 1.6 * REGRET
    assert 1.6 * REGRET < half < 2.2 * REGRET
    assert 4.7 * REGRET < all_of_it < 5.3 * REGRET


def test_a_default_summary_has_twenty_points_for_each_of_many_centroids() -> None:
    assert ModelConfig(16, update_rule="refined").summary_points(3) == DEFAULT_SUMMARY_SIZE
    assert ModelConfig(1024, update_rule="refined").summary_points(128) == 20_480


def test_a_default_summary_holds_no_more_values_than_its_limit() -> None:
    points = ModelConfig(262_144, update_rule="refined").summary_points(1)

    assert points * (1 + 4) <= 1 << 22
