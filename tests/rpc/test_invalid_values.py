"""NaN, infinity and rows without direction under the policies that let a batch pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shoal.v1 import sessions_pb2, tensor_pb2
from tests.rpc.bad_points import CENTROIDS, GOOD, INF, NAN
from tests.rpc.refusals import Refusal
from tests.rpc.ways import ASSIGNING, UPDATING, Push, Way, check_refusal
from tests.rpc.wire import Wire, array, batch, config

DROP, IMPUTE = sessions_pb2.ON_INVALID_DROP, sessions_pb2.ON_INVALID_IMPUTE
COSINE = sessions_pb2.METRIC_COSINE

HOLES = [[0, 2], [NAN, 1], [9, 11], [1, -INF], [1e30, 1]]
FILLED = [0, -1, 1, -1, -1]  # the labels of HOLES: the last value is too large for float32


def centroids_of(wire: Wire, name: str) -> list[Any]:
    listed: list[Any] = array(wire.centroids(name).centroids).tolist()
    return listed


@pytest.mark.parametrize("open_way", UPDATING)
def test_drop_leaves_out_the_rows_that_are_not_finite_and_counts_them(
    wire: Wire, name: str, open_way: type[Way]
) -> None:
    wire.create(name, config(init=CENTROIDS, on_invalid=DROP))
    wire.create(f"{name}-clean", config(init=CENTROIDS))
    wire.push(f"{name}-clean", batch([HOLES[0], HOLES[2]], sample_weight=[1, 3]))

    with open_way(wire, name) as way:
        result = way.accepted(batch(HOLES, sample_weight=[1, 2, 3, 4, 5], return_labels=True))

    assert (result.version, result.accepted, result.dropped) == (1, 2, 3)
    assert array(result.labels).tolist() == FILLED
    assert centroids_of(wire, name) == centroids_of(wire, f"{name}-clean")
    session = wire.describe(name)
    assert (session.points_accepted, session.points_dropped) == (2, 3)


@pytest.mark.parametrize("open_way", UPDATING)
def test_a_batch_with_every_row_dropped_makes_a_version_that_moves_nothing(
    wire: Wire, name: str, open_way: type[Way]
) -> None:
    wire.create(name, config(init=CENTROIDS, on_invalid=DROP))

    with open_way(wire, name) as way:
        result = way.accepted(batch([[NAN, 1], [2, INF]], return_labels=True))
        after = centroids_of(wire, name)
        described = wire.describe(name)
        good = way.accepted(batch(GOOD))

    assert (result.version, result.accepted, result.dropped, result.inertia) == (1, 0, 2, 0.0)
    assert array(result.labels).tolist() == [-1, -1]
    assert after == CENTROIDS
    assert not described.HasField("inertia_per_point")
    assert (good.version, good.accepted) == (2, 2)


def test_dropped_rows_do_not_count_for_warming(wire: Wire, name: str) -> None:
    wire.create(name, config(2, init_size=3, on_invalid=DROP))

    first = wire.push(name, batch([[NAN, 1], [INF, 2]]))
    second = wire.push(name, batch([[1, 1], [NAN, 0], [9, 9]]))
    third = wire.push(name, batch([[1, 2], [NAN, NAN]], return_labels=True))

    assert [(each.warming.seen, each.warming.needed) for each in (first, second)] == [(0, 3), (2, 3)]
    assert [each.dropped for each in (first, second, third)] == [2, 1, 1]
    assert (third.version, array(third.labels)[1]) == (1, -1)


@pytest.mark.parametrize("open_way", ASSIGNING)
def test_a_dropped_row_is_assigned_to_nothing(wire: Wire, name: str, open_way: type[Way]) -> None:
    wire.create(name, config(init=CENTROIDS, on_invalid=DROP))
    wire.push(name, batch(GOOD))

    with open_way(wire, name) as way:
        some, none = way.accepted(batch(HOLES)), way.accepted(batch([[NAN, NAN]]))

    assert array(some.labels).tolist() == FILLED
    assert array(none.labels).tolist() == [-1]


def test_a_dropped_row_has_no_distance(wire: Wire, name: str) -> None:
    wire.create(name, config(init=CENTROIDS, on_invalid=DROP))

    answer = wire.assign(name, batch([[1, 2], [NAN, 1], [10, 12]]).points, return_distances=True)

    np.testing.assert_array_equal(array(answer.distances), [1.0, NAN, 4.0])


@pytest.mark.parametrize("open_way", UPDATING)
def test_impute_fills_in_the_mean_of_the_column_so_far(wire: Wire, name: str, open_way: type[Way]) -> None:
    wire.create(name, config(init=[[0, 0], [100, 100]], on_invalid=IMPUTE))
    wire.create(f"{name}-filled", config(init=[[0, 0], [100, 100]]))
    as_filled = [[[0, 0], [4, 8]], [[2, 6]], [[2, 14 / 3], [8, 2]], [[4, 4]]]

    with open_way(wire, name) as way:
        for holes in ([[0, 0], [4, 8]], [[NAN, 6]], [[NAN, INF], [8, 2]], [[-INF, 1e30]]):
            result = way.accepted(batch(holes))
            assert (result.accepted, result.dropped) == (len(holes), 0)
    for points in as_filled:
        wire.push(f"{name}-filled", batch(points))

    np.testing.assert_allclose(centroids_of(wire, name), centroids_of(wire, f"{name}-filled"), rtol=1e-6)


@pytest.mark.parametrize("open_way", ASSIGNING)
def test_impute_fills_in_assigned_points_and_changes_no_mean(wire: Wire, name: str, open_way: type[Way]) -> None:
    wire.create(name, config(init=[[0, 0], [100, 100]], on_invalid=IMPUTE))
    wire.push(name, batch([[90, 90], [94, 98]]))

    with open_way(wire, name) as way:
        answers = [way.accepted(batch([[NAN, 90], [0, 0]])) for _ in range(3)]

    assert [array(answer.labels).tolist() for answer in answers] == [[1, 0]] * 3


@pytest.mark.parametrize("open_way", UPDATING)
def test_impute_is_refused_for_a_column_that_never_had_a_value(wire: Wire, name: str, open_way: type[Way]) -> None:
    before = wire.create(name, config(2, n_features=2, on_invalid=IMPUTE))
    says = ("points[0, 1] is invalid", "column 1 has had no finite value", "push some rows")

    with open_way(wire, name) as way:
        status = way.refused(batch([[1, NAN], [2, INF]]))

        Refusal("IMPUTE_IMPOSSIBLE", says, "points").check(status)
        assert wire.describe(name) == before
        assert way.accepted(batch([[1, NAN], [2, 3]])).accepted == 2


@pytest.mark.parametrize("open_way", UPDATING)
def test_a_row_of_zeros_is_dropped_under_cosine(wire: Wire, name: str, open_way: type[Way]) -> None:
    wire.create(name, config(init=[[1, 0], [0, 1]], metric=COSINE, on_invalid=DROP))

    with open_way(wire, name) as way:
        result = way.accepted(batch([[0, 5], [0, 0], [3, 0]], return_labels=True))

    assert (result.accepted, result.dropped) == (2, 1)
    assert array(result.labels).tolist() == [1, -1, 0]


@pytest.mark.parametrize("open_way", [*UPDATING, *ASSIGNING])
def test_impute_is_refused_for_a_row_of_zeros_under_cosine(wire: Wire, name: str, open_way: type[Way]) -> None:
    wire.create(name, config(init=[[1, 0], [0, 1]], metric=COSINE, on_invalid=IMPUTE))
    wire.push(name, batch(GOOD))
    refusal = Refusal("ZERO_ROW", ("points[1] is all zeros", "cosine", "'drop'"), "points")

    with open_way(wire, name) as way:
        check_refusal(way, batch([[1, NAN], [0, 0]]), refusal, batch(GOOD))


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_integers_too_large_for_the_precision_are_refused(wire: Wire, name: str, dtype: str) -> None:
    wire.create(name, config(init=CENTROIDS, dtype=tensor_pb2.DTYPE_FLOAT32))
    bad = batch(np.array([[1, 2], [3, np.iinfo(dtype).max]], dtype))

    with Push(wire, name) as way:
        way.accepted(batch(GOOD))
        check_refusal(way, bad, Refusal("VALUE_TOO_LARGE", ("points[1, 1] is", "beyond 3.26e+18")), batch(GOOD))


def test_a_change_of_on_invalid_applies_from_the_next_batch(wire: Wire, name: str) -> None:
    wire.create(name, config(init=CENTROIDS, on_invalid=DROP))
    assert wire.push(name, batch(HOLES)).dropped == 3

    wire.update(name, config(on_invalid=IMPUTE), ["on_invalid"])

    assert wire.push(name, batch(HOLES)).dropped == 0
