"""Recluster and DescribeClusters, over gRPC, as any client calls them."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest

from shoal.v1 import clustering_pb2, sessions_pb2
from tests.rpc.bad_points import GOOD
from tests.rpc.refusals import Refusal, refused_call
from tests.rpc.wire import PATIENCE, Wire, array, batch, config

REFINED = sessions_pb2.UPDATE_RULE_REFINED
POINTS = np.random.default_rng(0).normal(size=(500, 2)) + np.repeat([[0, 0], [20, 0]], 250, axis=0)


def recluster(wire: Wire, name: str, *numbers: int, **fields: Any) -> list[clustering_pb2.ReclusterResponse]:
    request = clustering_pb2.ReclusterRequest(session=name, n_clusters=numbers, **fields)
    return list(wire.clustering.Recluster(request, timeout=PATIENCE))


def describe(wire: Wire, name: str, **fields: Any) -> clustering_pb2.ClusterReport:
    request = clustering_pb2.DescribeClustersRequest(session=name, **fields)
    return wire.clustering.DescribeClusters(request, timeout=PATIENCE)


@pytest.fixture
def session(wire: Wire, name: str) -> str:
    """The name of a refined session that has two blobs."""
    wire.create(name, config(3, random_state=1, update_rule=REFINED))
    wire.push(name, batch(POINTS))
    return name


def test_the_start_comes_first_then_each_number_once_in_order_and_the_suggestion_last(wire: Wire, session: str) -> None:
    responses = recluster(wire, session, 3, 1, 2, 3)

    assert [each.WhichOneof("event") for each in responses] == ["start", *["clustering"] * 3, "suggestion"]
    start, *clusterings, last = responses
    assert list(start.start.n_clusters) == [1, 2, 3]
    assert (start.start.version, start.start.summary_points) == (wire.centroids(session).version, 500)
    assert start.start.weight == pytest.approx(500)
    for number, each in enumerate(clusterings, 1):
        clustering = each.clustering
        assert clustering.n_clusters == number
        assert array(clustering.centroids).shape == (number, 2)
        assert array(clustering.weights).sum() == pytest.approx(500)
        assert clustering.HasField("silhouette") == (number > 1)
    assert last.suggestion.n_clusters == 2
    assert last.suggestion.reason


@pytest.mark.parametrize(("rows", "largest"), [(500, 20), (12, 12), (20, 20), (2, 2)])
def test_without_numbers_2_to_20_are_tried_as_far_as_there_are_points(
    wire: Wire, name: str, rows: int, largest: int
) -> None:
    wire.create(name, config(2, random_state=1, init_size=2, update_rule=REFINED))
    wire.push(name, batch(POINTS[:rows]))

    start, *rest = recluster(wire, name)

    assert list(start.start.n_clusters) == list(range(2, largest + 1))
    assert [each.clustering.n_clusters for each in rest if each.HasField("clustering")] == list(range(2, largest + 1))
    assert rest[-1].HasField("suggestion") == (largest > 2)


def test_without_numbers_a_single_point_is_too_few(wire: Wire, name: str) -> None:
    wire.create(name, config(1, update_rule=REFINED, init_size=1))
    wire.push(name, batch(POINTS[:1]))

    status = refused_call(lambda: recluster(wire, name))

    Refusal("N_CLUSTERS_INVALID", ("n_clusters is 2", "has 1 point: use"), "n_clusters").check(status)


def test_reclustering_leaves_the_session_as_it_is(wire: Wire, session: str) -> None:
    before = (wire.centroids(session), wire.describe(session))

    recluster(wire, session, 2, 5)

    assert (wire.centroids(session), wire.describe(session)) == before


def test_the_same_random_state_gives_the_same_bits(wire: Wire, session: str) -> None:
    one, other = (recluster(wire, session, 2, 7, random_state=4) for _ in range(2))

    assert one == other


def test_a_report_has_a_row_for_each_cluster(wire: Wire, session: str) -> None:
    report = describe(wire, session)

    assert report.version == wire.centroids(session).version
    assert report.ids == wire.centroids(session).ids
    for tensor, shape in (
        (report.weights, (3,)), (report.counts, (3,)), (report.radii, (3,)), (report.means, (3, 2)),
        (report.variances, (3, 2)), (report.nearest, (3,)), (report.nearest_distances, (3,)),
        (report.typical_points, (9, 2)), (report.typical_labels, (9,)),
    ):  # fmt: skip
        assert array(tensor).shape == shape
    assert array(report.typical_labels).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_a_report_has_no_typical_points_where_none_are_wanted(wire: Wire, session: str) -> None:
    assert array(describe(wire, session, n_typical=0).typical_points).shape == (0, 2)


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ([0, 2], ("n_clusters has 0", "1 up")),
        ([-(2**31)], ("n_clusters has -2147483648", "1 up")),
        ([501], ("n_clusters is 501", "has 500 points")),
        ([2**31 - 1], ("2,147,483,647", "has 500 points")),
        (range(1, 258), ("257 numbers", "1 to 256")),
    ],
)
def test_invalid_numbers_of_clusters_are_refused(wire: Wire, session: str, numbers: Any, says: tuple[str, ...]) -> None:
    status = refused_call(lambda: recluster(wire, session, *numbers))

    Refusal("N_CLUSTERS_INVALID", says, "n_clusters").check(status)


@pytest.mark.parametrize("n_typical", [-1, 1001, 2**31 - 1])
def test_an_invalid_number_of_typical_points_is_refused(wire: Wire, session: str, n_typical: int) -> None:
    status = refused_call(lambda: describe(wire, session, n_typical=n_typical))

    Refusal("N_TYPICAL_INVALID", (f"n_typical is {n_typical:,}", "0 to 1,000"), "n_typical").check(status)


@pytest.mark.parametrize("call", [lambda wire, name: recluster(wire, name, 2), describe])
@pytest.mark.parametrize(
    ("settings", "reason", "says"),
    [
        (
            {"update_rule": sessions_pb2.UPDATE_RULE_INCREMENTAL},
            "SUMMARY_MISSING",
            ("update_rule='refined'", "summary_size"),
        ),
        ({"update_rule": REFINED}, "SESSION_WARMING", ("0 of 6 points", "push more")),
        (
            {"update_rule": REFINED, "init": GOOD},
            "SUMMARY_EMPTY",
            ("no rows", "count in it from the first push on, if they have weights", "push more"),
        ),
    ],
)
def test_a_session_without_summary_centroids_or_points_is_refused(
    wire: Wire, name: str, call: Any, settings: dict[str, Any], reason: str, says: tuple[str, ...]
) -> None:
    wire.create(name, config(2, **settings))

    status = refused_call(lambda: call(wire, name))

    Refusal(reason, says, code=grpc.StatusCode.FAILED_PRECONDITION, session=name).check(status)


@pytest.mark.parametrize("call", [lambda wire, name: recluster(wire, name, 2), describe])
def test_a_session_that_is_not_there_is_refused(wire: Wire, name: str, call: Any) -> None:
    status = refused_call(lambda: call(wire, name))

    Refusal("SESSION_NOT_FOUND", (name,), code=grpc.StatusCode.NOT_FOUND, session=name).check(status)
