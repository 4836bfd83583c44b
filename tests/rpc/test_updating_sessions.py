"""Refused updates change nothing; accepted ones are applied in order with the batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import grpc
import numpy as np
import pytest

from shoal.v1 import clustering_pb2, sessions_pb2
from tests.rpc.bad_points import GOOD, INF, NAN
from tests.rpc.refusals import Refusal, refused_call
from tests.rpc.ways import Stream, opening
from tests.rpc.wire import Wire, array, batch, config, duration, plain

CHANGEABLE = "n_clusters, engine, half_life, on_invalid, idle_ttl"
IMMUTABLE = [
    "n_features",
    "metric",
    "init",
    "init_size",
    "random_state",
    "dtype",
    "durability",
    "update_rule",
    "summary_size",
]


def half_life(value: float, unit: Any = sessions_pb2.HALF_LIFE_UNIT_BATCHES) -> sessions_pb2.HalfLife:
    return sessions_pb2.HalfLife(value=value, unit=unit)


BAD_UPDATES: list[tuple[sessions_pb2.SessionConfig, list[str], Refusal]] = [
    (config(), [], Refusal("UPDATE_MASK_EMPTY", ("nothing to change; give one of n_clusters, engine",), "update_mask")),
    *(
        (
            config(engine=sessions_pb2.ENGINE_SCIPY),
            ["engine", path],
            Refusal("FIELD_UNKNOWN", ("update_mask names", CHANGEABLE), "update_mask"),
        )
        for path in ("", "colour", "config.engine", "half_life.value", "Engine", "*", "x" * 100_000)
    ),
    *(
        (
            config(engine=sessions_pb2.ENGINE_SCIPY),
            ["engine", path],
            Refusal("FIELD_IMMUTABLE", (f"{path} can't change", CHANGEABLE, "another session"), "update_mask"),
        )
        for path in IMMUTABLE
    ),
    (
        config(engine=99),
        ["engine"],
        Refusal("ENGINE_UNKNOWN", ("engine 99", "numba, sklearn, scipy"), "config.engine"),
    ),
    (
        config(on_invalid=99),
        ["on_invalid"],
        Refusal("ON_INVALID_UNKNOWN", ("on_invalid 99", "reject, drop, impute"), "config.on_invalid"),
    ),
    *(
        (
            config(half_life=half_life(value)),
            ["half_life"],
            Refusal("HALF_LIFE_INVALID", (f"half_life is {value}", "above 0"), "config.half_life.value"),
        )
        for value in (0.0, -2.0, NAN, INF)
    ),
    (
        config(half_life=half_life(1, 99)),
        ["half_life"],
        Refusal("HALF_LIFE_UNIT_UNKNOWN", ("unit 99", "batches, points, seconds"), "config.half_life.unit"),
    ),
    (
        config(idle_ttl=duration(0)),
        ["idle_ttl"],
        Refusal("IDLE_TTL_ZERO", ("idle_ttl is 0 s", "leave it out"), "config.idle_ttl"),
    ),
    (
        config(idle_ttl=duration(-1)),
        ["idle_ttl"],
        Refusal("DURATION_NEGATIVE", ("idle_ttl is -1.0 s", "below 0"), "config.idle_ttl"),
    ),
]


@pytest.mark.parametrize(
    ("asked", "paths", "refusal"),
    BAD_UPDATES,
    ids=[f"{refusal.reason}-{'-'.join(paths)[:30]}" for _, paths, refusal in BAD_UPDATES],
)
def test_an_invalid_update_is_refused_and_changes_nothing(
    wire: Wire, name: str, asked: sessions_pb2.SessionConfig, paths: list[str], refusal: Refusal
) -> None:
    before = wire.create(name, config(init=GOOD))

    status = refused_call(lambda: wire.update(name, asked, paths, before.etag))

    refusal.check(status)
    assert wire.describe(name) == before
    assert wire.push(name, batch(GOOD)).version == 1


@pytest.mark.parametrize("stale", ["nonsense", "x" * 100_000, None], ids=["made up", "huge", "of the version before"])
def test_a_stale_etag_stops_an_update_and_a_deletion(wire: Wire, name: str, stale: str | None) -> None:
    first = wire.create(name, config())
    second = wire.update(name, config(engine=sessions_pb2.ENGINE_SCIPY), ["engine"], first.etag)
    etag = first.etag if stale is None else stale
    says = ("is stale", f"has '{second.etag}'", "read the session and try again")
    refusal = Refusal("ETAG_MISMATCH", says, code=grpc.StatusCode.ABORTED, session=name)

    refusal.check(refused_call(lambda: wire.update(name, config(), ["engine"], etag)))
    refusal.check(refused_call(lambda: wire.delete(name, etag)))

    assert wire.describe(name) == second
    assert second.etag != first.etag
    assert wire.delete(name, second.etag).version == 0


def test_only_the_fields_that_the_mask_names_change(wire: Wire, name: str) -> None:
    before = wire.create(name, config(engine=sessions_pb2.ENGINE_SCIPY, half_life=half_life(5), idle_ttl=duration(9)))

    after = wire.update(
        name, config(7, engine=sessions_pb2.ENGINE_SKLEARN, on_invalid=sessions_pb2.ON_INVALID_DROP), ["on_invalid"]
    )

    expected = sessions_pb2.SessionConfig()
    expected.CopyFrom(before.config)
    expected.on_invalid = sessions_pb2.ON_INVALID_DROP
    assert after.config == expected
    assert after.update_time.ToNanoseconds() > before.update_time.ToNanoseconds()


def test_a_field_in_the_mask_without_a_value_is_reset_to_its_default(wire: Wire, name: str) -> None:
    wire.create(
        name,
        config(
            engine=sessions_pb2.ENGINE_SCIPY,
            half_life=half_life(5),
            idle_ttl=duration(900),
            on_invalid=sessions_pb2.ON_INVALID_IMPUTE,
        ),
    )

    after = wire.update(name, sessions_pb2.SessionConfig(), ["engine", "half_life", "on_invalid", "idle_ttl"])

    assert after.config.engine == sessions_pb2.ENGINE_NUMBA
    assert after.config.on_invalid == sessions_pb2.ON_INVALID_REJECT
    assert not after.config.HasField("half_life")
    assert not after.config.HasField("idle_ttl")
    assert wire.describe(name) == after


def test_an_engine_can_be_changed_between_any_two_batches(wire: Wire, name: str) -> None:
    batches = [*np.random.default_rng(3).normal(size=(12, 50, 3))]
    engines = (sessions_pb2.ENGINE_NUMBA, sessions_pb2.ENGINE_SKLEARN, sessions_pb2.ENGINE_SCIPY)
    changes = {4 * place: config(engine=engine) for place, engine in enumerate(engines)}
    wire.create(f"{name}-one", plain(4, init=batches[0][:4]))
    wire.create(f"{name}-three", plain(4, init=batches[0][:4]))

    one = centroids_along_a_stream(wire, f"{name}-one", batches, lambda _: None)
    three = centroids_along_a_stream(
        wire, f"{name}-three", batches, lambda place: update_if(wire, f"{name}-three", changes.get(place), ["engine"])
    )

    np.testing.assert_allclose(three, one, rtol=0, atol=1e-9)
    assert wire.describe(f"{name}-three").config.engine == sessions_pb2.ENGINE_SCIPY


def test_a_change_of_the_half_life_applies_only_to_later_batches(wire: Wire, name: str) -> None:
    batches = [np.full((1, 1), float(value)) for value in (8, 4, 2, 1)]
    wire.create(name, plain(1, init=np.zeros((1, 1))))
    nearly_lloyd = config(half_life=half_life(1e-3))

    means = centroids_along_a_stream(
        wire, name, batches, lambda place: update_if(wire, name, nearly_lloyd if place == 2 else None, ["half_life"])
    )

    assert [mean.item() for mean in means] == [8, 6, 2, 1]


def update_if(wire: Wire, name: str, change: sessions_pb2.SessionConfig | None, paths: Iterable[str]) -> None:
    if change is not None:
        wire.update(name, change, paths)


def centroids_along_a_stream(
    wire: Wire, name: str, batches: list[Any], before_each: Callable[[int], None]
) -> list[Any]:
    """Return the centroids after each batch of one Ingest stream."""
    seen = []
    with Stream(wire.clustering.Ingest) as stream:
        stream.send(opening(name))
        stream.receive()
        for place, points in enumerate(batches):
            before_each(place)
            stream.send(clustering_pb2.IngestRequest(batches=[batch(points)]))
            assert stream.receive().results[0].accepted == len(points)
            seen.append(array(wire.centroids(name).centroids))
    return seen
