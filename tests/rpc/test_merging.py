"""MergeSessions over the wire: what is asked for, what comes of it, and what is refused."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest

from shoal.v1 import compare_pb2, compare_pb2_grpc, sessions_pb2, tensor_pb2
from tests.rpc.refusals import Refusal, no_session, refused_call
from tests.rpc.wire import Wire, array, batch, config, duration, tensor

INCREMENTAL, REFINED = sessions_pb2.UPDATE_RULE_INCREMENTAL, sessions_pb2.UPDATE_RULE_REFINED
FAILED = grpc.StatusCode.FAILED_PRECONDITION


def made(wire: Wire, name: str, rows: int = 40, middle: float = 0.0, **fields: Any) -> None:
    """Make a session that has seen rows around two places."""
    wire.create(name, config(2, **{"update_rule": REFINED, "random_state": 5, **fields}))
    points = np.random.default_rng(0).normal(size=(rows, 2)) + middle + 10 * (np.arange(rows) % 2)[:, None]
    wire.push(name, batch(points.astype(np.float32)))


def test_merged_sessions_make_a_session_of_version_1(wire: Wire, name: str) -> None:
    made(wire, f"{name}-a", 40)
    made(wire, f"{name}-b", 60, middle=100.0)

    merged = wire.merge([f"{name}-a", f"{name}-b"], name, config=config(4))

    snapshot = wire.centroids(name)
    assert (merged.name, merged.version, merged.points_accepted, merged.config.n_clusters) == (name, 1, 100, 4)
    assert merged.state == sessions_pb2.SESSION_STATE_READY
    assert (snapshot.version, snapshot.refined, snapshot.batch_points) == (1, True, 0)
    assert sorted(np.round(array(snapshot.centroids)[:, 0], -1).tolist()) == [0, 10, 100, 110]
    assert array(snapshot.weights).sum() == pytest.approx(100)
    assert wire.describe(name).config.init == merged.config.init
    np.testing.assert_array_equal(array(merged.config.init.centroids), array(snapshot.centroids))


def test_a_merged_session_has_the_first_ones_configuration_unless_told_otherwise(wire: Wire, name: str) -> None:
    half_life = sessions_pb2.HalfLife(value=50.0, unit=sessions_pb2.HALF_LIFE_UNIT_POINTS)
    made(wire, f"{name}-a", on_invalid=sessions_pb2.ON_INVALID_DROP, half_life=half_life, idle_ttl=duration(500))
    made(wire, f"{name}-b", random_state=6)

    like = wire.merge([f"{name}-a", f"{name}-b"], f"{name}-like").config
    changes = sessions_pb2.SessionConfig(
        engine=sessions_pb2.ENGINE_SCIPY,
        on_invalid=sessions_pb2.ON_INVALID_IMPUTE,
        half_life=sessions_pb2.HalfLife(value=7.0),
        idle_ttl=duration(600),
        random_state=9,
        update_rule=sessions_pb2.UPDATE_RULE_INCREMENTAL,
        summary_size=200,
    )
    other = wire.merge([f"{name}-a", f"{name}-b"], f"{name}-other", config=changes).config

    assert (like.n_clusters, like.half_life, like.random_state) == (2, half_life, 5)
    assert (like.on_invalid, like.idle_ttl.seconds) == (sessions_pb2.ON_INVALID_DROP, 500)
    assert (other.engine, other.on_invalid, other.half_life.value, other.idle_ttl.seconds, other.random_state) == (
        sessions_pb2.ENGINE_SCIPY,
        sessions_pb2.ON_INVALID_IMPUTE,
        7.0,
        600,
        9,
    )
    assert (other.update_rule, other.summary_size) == (sessions_pb2.UPDATE_RULE_INCREMENTAL, 200)


def test_a_repeated_merge_returns_the_session_that_the_first_one_made(wire: Wire, name: str) -> None:
    made(wire, f"{name}-a")
    first = wire.merge([f"{name}-a"], name, request_id="one")
    wire.push(name, batch([[1.0, 2.0]]))
    wire.delete(f"{name}-a")

    again = wire.merge([f"{name}-a"], name, request_id="one")
    status = refused_call(lambda: wire.merge([f"{name}-a"], name, request_id="two"))

    assert (again.uid, again.version) == (first.uid, 2)
    says = (f"session '{name}' exists already", "choose another name")
    Refusal("SESSION_EXISTS", says, code=grpc.StatusCode.ALREADY_EXISTS, session=name).check(status)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"n_features": 2}, "n_features"),
        ({"metric": sessions_pb2.METRIC_COSINE}, "metric"),
        ({"init": sessions_pb2.Init(method=sessions_pb2.INIT_METHOD_RANDOM)}, "init"),
        ({"init_size": 5}, "init_size"),
        ({"dtype": tensor_pb2.DTYPE_FLOAT64}, "dtype"),
        ({"durability": sessions_pb2.DURABILITY_MEMORY}, "durability"),
    ],
)
def test_what_follows_from_the_sessions_cannot_be_given(
    wire: Wire, name: str, fields: dict[str, Any], field: str
) -> None:
    made(wire, f"{name}-a")

    status = refused_call(lambda: wire.merge([f"{name}-a"], name, config=sessions_pb2.SessionConfig(**fields)))

    says = (f"{field} can't be given when sessions are merged", "what can: n_clusters, engine, half_life")
    Refusal("FIELD_IMMUTABLE", says, f"config.{field}").check(status)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"n_clusters": -1}, Refusal("N_CLUSTERS_INVALID", ("n_clusters is -1", "from 1 up"), "config.n_clusters")),
        (
            {"n_clusters": 41},
            Refusal("N_CLUSTERS_INVALID", ("n_clusters is 41", "have 40 points together"), "config.n_clusters"),
        ),
        (
            {"n_clusters": 2**31 - 1},
            Refusal("TOO_MANY_VALUES", ("allows 16,777,216",), code=grpc.StatusCode.RESOURCE_EXHAUSTED),
        ),
        ({"engine": 99}, Refusal("ENGINE_UNKNOWN", ("engine 99",), "config.engine")),
        ({"summary_size": 0}, Refusal("SUMMARY_SIZE_INVALID", ("summary_size is 0",), "config.summary_size")),
        ({"idle_ttl": duration(0)}, Refusal("IDLE_TTL_ZERO", ("idle_ttl is 0 s",), "config.idle_ttl")),
        (
            {"half_life": sessions_pb2.HalfLife(value=0.0)},
            Refusal("HALF_LIFE_INVALID", ("half_life is 0.0",), "config.half_life.value"),
        ),
    ],
)
def test_changes_that_are_wrong_are_refused(wire: Wire, name: str, fields: dict[str, Any], refusal: Refusal) -> None:
    made(wire, f"{name}-a")

    status = refused_call(lambda: wire.merge([f"{name}-a"], name, config=sessions_pb2.SessionConfig(**fields)))

    refusal.check(status)
    no_session(name).check(refused_call(lambda: wire.describe(name)))


def test_sessions_that_cannot_be_merged_are_refused_by_name(wire: Wire, name: str) -> None:
    made(wire, f"{name}-a")
    wire.create(f"{name}-warming", config(2, update_rule=REFINED))
    wire.create(f"{name}-plain", config(init=tensor([[0.0, 0.0], [1.0, 1.0]]), update_rule=INCREMENTAL))
    made(wire, f"{name}-cosine", metric=sessions_pb2.METRIC_COSINE)

    def status_with(other: str) -> Any:
        return refused_call(lambda: wire.merge([f"{name}-a", other], name))

    no_session(f"{name}-none").check(status_with(f"{name}-none"))
    Refusal("SESSION_WARMING", ("0 of 6 points",), code=FAILED, session=f"{name}-warming").check(
        status_with(f"{name}-warming")
    )
    Refusal(
        "SUMMARY_MISSING", ("keeps no summary", "update_rule='refined'"), code=FAILED, session=f"{name}-plain"
    ).check(status_with(f"{name}-plain"))
    Refusal("METRIC_MISMATCH", ("metric='cosine'",), "names", session=f"{name}-cosine").check(
        status_with(f"{name}-cosine")
    )
    Refusal("NAMES_INVALID", ("twice",), "names").check(status_with(f"{name}-a"))
    Refusal("NAMES_INVALID", ("names is empty",), "names").check(refused_call(lambda: wire.merge([], name)))
    many = [str(number) for number in range(16_000)]
    Refusal("NAMES_INVALID", ("more than 1,000 sessions",), "names").check(refused_call(lambda: wire.merge(many, name)))
    Refusal("NAME_INVALID", ("into is ''",), "into").check(refused_call(lambda: wire.merge([f"{name}-a"], "")))


def test_given_weights_of_centroids_come_back_and_are_read(wire: Wire, name: str) -> None:
    init = sessions_pb2.Init(centroids=tensor([[0.0], [9.0]]), weights=tensor(np.array([3, 0], np.uint8)))

    described = wire.create(name, config(init=init))
    wire.push(name, batch([[1.0], [8.0]]))

    assert array(described.config.init.weights).tolist() == [3.0, 0.0]
    assert array(wire.centroids(name).centroids).tolist() == [[0.25], [8.0]]
    assert array(wire.centroids(name).weights).tolist() == [4.0, 1.0]


def test_a_comparison_takes_no_weights_of_centroids(wire: Wire) -> None:
    init = sessions_pb2.Init(centroids=tensor([[0.0], [9.0]]), weights=tensor([1.0, 1.0]))
    request = compare_pb2.CompareRequest(points=tensor([[0.0], [1.0], [9.0]]), n_clusters=2, init=init)

    status = refused_call(lambda: list(compare_pb2_grpc.CompareServiceStub(wire.channel).Compare(request)))

    Refusal("INIT_WEIGHTS_INVALID", ("are for sessions", "leave them out"), "init.weights").check(status)
