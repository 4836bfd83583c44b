from __future__ import annotations

import numpy as np
import pytest

import shoal


def test_a_session_is_described_with_its_requested_configuration(client: shoal.Client, name: str) -> None:
    session = client.create_session(
        name,
        4,
        n_features=2,
        engine="sklearn",
        metric="cosine",
        on_invalid="drop",
        init="random",
        init_size=20,
        random_state=7,
        dtype=np.float64,
        half_life=shoal.HalfLife(1.5, "points"),
        durability="memory",
        idle_ttl=3600.5,
        update_rule="incremental",
        summary_size=0,
    )

    described = session.describe()

    config = described.config
    assert (described.name, described.state, described.version) == (name, "warming", 0)
    assert described.warming == shoal.Warming(seen=0, needed=20)
    assert (config.n_clusters, config.n_features, config.engine, config.metric) == (4, 2, "sklearn", "cosine")
    assert (config.on_invalid, config.init, config.init_size, config.random_state) == ("drop", "random", 20, 7)
    assert (config.dtype, config.half_life) == ("float64", shoal.HalfLife(1.5, "points"))
    assert (config.durability, config.idle_ttl) == ("memory", 3600.5)
    assert (config.update_rule, config.summary_size) == ("incremental", 0)
    assert described.create_time.tzinfo is not None


def test_explicit_centroids_come_back_and_make_the_session_ready(client: shoal.Client, name: str) -> None:
    given = np.array([[0.0, 1.0], [2.0, 3.0]])

    described = client.create_session(name, 2, init=given).describe()

    assert described.state == "ready"
    assert described.warming is None
    np.testing.assert_array_equal(described.config.init, given)
    np.testing.assert_array_equal(client.session(name).centroids().centroids, given)


def test_second_session_of_a_name_raises_unless_exist_ok(client: shoal.Client, name: str) -> None:
    client.create_session(name, 2)

    with pytest.raises(shoal.SessionExistsError) as caught:
        client.create_session(name, 3)

    assert caught.value.reason == "SESSION_EXISTS"
    assert caught.value.session == name
    again = client.create_session(name, 3, exist_ok=True)
    assert again.describe().config.n_clusters == 2


def test_sessions_are_listed_by_name_over_several_pages(client: shoal.Client, name: str) -> None:
    names = [f"{name}-{number:03}" for number in range(120)]  # a page has 100
    for each in reversed(names):
        client.create_session(each, 2)

    listed = [session.name for session in client.list_sessions()]

    assert [each for each in listed if each.startswith(name)] == names
    assert listed == sorted(listed)


def test_update_changes_only_given_fields_and_none_resets_to_the_default(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2, engine="scipy", on_invalid="drop", half_life=shoal.HalfLife(5))

    changed = session.update(engine="sklearn", half_life=None)

    assert changed.config.engine == "sklearn"
    assert changed.config.half_life is None
    assert changed.config.on_invalid == "drop"
    assert session.update(engine=None, on_invalid=None).config.engine == "numba"
    assert session.describe().config.on_invalid == "reject"


def test_a_stale_etag_stops_an_update_and_a_deletion(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2)
    stale = session.describe().etag
    fresh = session.update(engine="scipy", etag=stale).etag

    with pytest.raises(shoal.StaleEtagError):
        session.update(engine="numba", etag=stale)
    with pytest.raises(shoal.StaleEtagError):
        session.delete(etag=stale)

    session.delete(etag=fresh)
    with pytest.raises(shoal.SessionNotFoundError):
        session.describe()


def test_update_without_changes_raises(client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 2)

    with pytest.raises(shoal.InvalidArgumentError, match="nothing to change; give one of n_clusters, engine"):
        session.update()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_clusters": 2**31}, "n_clusters is 2147483648; use at least 1, at most 2,147,483,647"),
        ({"n_features": 2**31}, "n_features is 2147483648; use at least 1, at most 2,147,483,647"),
        ({"init_size": -(2**31) - 1}, "init_size is -2147483649; use at least 1, at most 2,147,483,647"),
        ({"random_state": 2**32}, "random_state is 4294967296; use at least 0, at most 4,294,967,295"),
        ({"n_clusters": 10**9}, "n_clusters can be 16,777,216 at most"),
        ({"durability": "durable"}, "durability 'durable' is not available yet; use 'memory'"),
        ({"durability": "disk"}, "unknown durability 'disk'; use 'memory'"),
        ({"update_rule": "refined", "summary_size": 0}, "summary_size is 0, and update_rule 'refined' fits the cent"),
        ({"update_rule": "lloyd"}, "update_rule 'lloyd' is not known; use one of incremental, refined"),
        ({"summary_size": -1}, "summary_size is -1; use at least 0, at most 2,147,483,647"),
    ],
)
def test_invalid_configuration_is_reported_with_a_valid_value(
    client: shoal.Client, name: str, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises((shoal.InvalidArgumentError, shoal.LimitExceededError)) as caught:
        client.create_session(name, **{"n_clusters": 2, **arguments})  # type: ignore[arg-type]

    assert message in str(caught.value)


def test_only_an_init_that_float64_can_hold_is_advised_to_use_it(client: shoal.Client, name: str) -> None:
    messages = []
    for value in (1e30, 1e300):
        with pytest.raises(shoal.InvalidArgumentError) as caught:
            client.create_session(name, 2, init=[[value, 0.0], [1.0, 2.0]])
        messages.append(str(caught.value))

    assert ["dtype='float64'" in message for message in messages] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"n_clusters": 0}, "n_clusters"),
        ({"n_clusters": 2.5}, "n_clusters"),
        ({"n_clusters": 2**40}, "n_clusters"),
        ({"engine": "spark"}, "engine"),
        ({"metric": "manhattan"}, "metric"),
        ({"on_invalid": "ignore"}, "on_invalid"),
        ({"init": "zeros"}, "init"),
        ({"init": [1.0, 2.0]}, "init"),
        ({"init": np.zeros((3, 2))}, "init"),
        ({"random_state": -1}, "random_state"),
        ({"dtype": "int8"}, "dtype"),
        ({"half_life": 20}, "half_life"),
        ({"half_life": shoal.HalfLife(0)}, "half_life"),
        ({"idle_ttl": float("nan")}, "idle_ttl"),
        ({"idle_ttl": -1.0}, "idle_ttl"),
        ({"idle_ttl": 10**400}, "idle_ttl"),
        ({"idle_ttl": 315_576_000_001}, "idle_ttl"),
        ({"durability": "eternal"}, "durability"),
        ({"update_rule": "eternal"}, "update_rule"),
        ({"summary_size": 2**31}, "summary_size"),
    ],
)
def test_invalid_configuration_names_its_field(
    client: shoal.Client, name: str, arguments: dict[str, object], field: str
) -> None:
    with pytest.raises(shoal.InvalidArgumentError) as caught:
        client.create_session(name, **{"n_clusters": 2, **arguments})  # type: ignore[arg-type]

    assert field in caught.value.message
    assert field in caught.value.violations[0].field
    with pytest.raises(shoal.SessionNotFoundError):
        client.session(name).describe()
