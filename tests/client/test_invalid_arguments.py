"""Every argument of the client at its extremes and of other types; there is no server here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from inspect import Parameter, signature
from typing import Any

import numpy as np
import pytest

import shoal
import shoal.aio
from tests.client.drivers import Driver

NOWHERE = "127.0.0.1:1"
HUGE = 10**5000  # more digits than Python writes
EAST, WEST = (timezone(timedelta(hours=hours)) for hours in (14, -14))


class NoZone(tzinfo):
    """A zone that knows no offset."""

    def utcoffset(self, _: datetime | None) -> None:
        return None

    def dst(self, _: datetime | None) -> None:
        return None

    def tzname(self, _: datetime | None) -> None:
        return None


NO_TEXT: list[Any] = [5, b"a", ["a"], "\udcff"]
NO_INT64: list[Any] = [True, False, "1", 1.5, [1], np.array([1, 2]), 2**70, HUGE, -HUGE]
NO_INT32: list[Any] = [*NO_INT64, 2**31]
NO_UINT32: list[Any] = [*NO_INT64, -1, 2**32]
NO_NUMBER: list[Any] = ["1", [1.0], 1j, 10**400, HUGE]
NO_SECONDS: list[Any] = [*NO_NUMBER, float("nan"), float("inf"), -1e300]
NO_FLAG: list[Any] = ["x", 2, None, np.array([True, False])]
NO_CHOICE: list[Any] = ["other", ["numba"], {}, 5, b"numba"]
NO_POINTS: list[Any] = [[1.0], "x", {}, [["a"]], [[1.0], [1.0, 2.0]], [[HUGE]]]
NO_TIME: list[Any] = [
    "2026-01-01",
    HUGE,
    datetime(2026, 1, 1),  # noqa: DTZ001  (the point of it)
    datetime(2026, 1, 1, tzinfo=NoZone()),
    datetime.min.replace(tzinfo=EAST),
    datetime.max.replace(tzinfo=WEST),
]

# The valid arguments of each method, and for each of its parameters what it refuses.
CREATE: dict[str, Any] = {"name": "a", "n_clusters": 2}
PUSH: dict[str, Any] = {"X": [[1.0]], "producer": "p", "sequence": 1}
CLIENT = {
    "create_session": (
        CREATE,
        {
            "name": NO_TEXT,
            "n_clusters": NO_INT32,
            "n_features": NO_INT32,
            "engine": NO_CHOICE,
            "metric": NO_CHOICE,
            "on_invalid": NO_CHOICE,
            "init": ["other", 5, *NO_POINTS],
            "init_weights": ["x", 5, [1.0, 2.0]],  # there are no centroids
            "init_size": NO_INT32,
            "random_state": NO_UINT32,
            "dtype": ["int8", ["float32"], 5, HUGE],
            "half_life": [20, "x", *map(shoal.HalfLife, NO_NUMBER), *(shoal.HalfLife(1, unit) for unit in NO_CHOICE)],
            "durability": NO_CHOICE,
            "idle_ttl": NO_SECONDS,
            "update_rule": NO_CHOICE,
            "summary_size": [*NO_INT32, -1],
            "outlier_threshold": NO_NUMBER,
            "on_drift": NO_CHOICE,
        },
    ),
    "merge_sessions": (
        {"names": ["a", "b"], "into": "c"},
        {
            "names": ["a", 5, None, *([name] for name in NO_TEXT if name != ["a"])],
            "into": NO_TEXT,
            "n_clusters": [*NO_INT32, 0],
            "engine": NO_CHOICE,
            "on_invalid": NO_CHOICE,
            "random_state": NO_UINT32,
            "half_life": [20, "x", *map(shoal.HalfLife, NO_NUMBER)],
            "idle_ttl": NO_SECONDS,
            "update_rule": NO_CHOICE,
            "summary_size": [*NO_INT32, -1],
            "outlier_threshold": NO_NUMBER,
            "on_drift": NO_CHOICE,
        },
    ),
    "session": ({"name": "a"}, {"name": NO_TEXT}),
    "list_sessions": ({}, {}),
    "compare": (
        {"X": [[1.0]]},
        {
            "X": NO_POINTS,
            "n_clusters": NO_INT32,
            "example": NO_TEXT,
            "init": ["other", 5, *NO_POINTS],
            "random_state": NO_UINT32,
            "engines": ["scipy", 5, (), [["scipy"]], ["other"], [5]],
            "max_iter": [*NO_INT32, 0],
            "tol": NO_NUMBER,
        },
    ),
    "close": ({}, {}),
}
SESSION = {
    "describe": ({}, {}),
    "update": (
        {},
        {
            "n_clusters": NO_INT32,
            "engine": [*NO_CHOICE, "", []],
            "half_life": [20, shoal.HalfLife("x")],  # type: ignore[arg-type]  # the point of it
            "on_invalid": [*NO_CHOICE, "", np.array([1, 2])],
            "idle_ttl": NO_SECONDS,
            "outlier_threshold": NO_NUMBER,
            "on_drift": [*NO_CHOICE, "", []],
            "etag": NO_TEXT,
        },
    ),
    "delete": ({}, {"etag": NO_TEXT}),
    "push": (
        PUSH,
        {
            "X": NO_POINTS,
            "sample_weight": ["x", [1.0, 2.0], [[1.0]], [HUGE]],
            "event_time": NO_TIME,
            "return_labels": NO_FLAG,
            "return_scores": NO_FLAG,
            "producer": [*NO_TEXT, ""],
            "sequence": [*NO_INT64, 2**63],
        },
    ),
    "ingest": (
        {"batches": []},
        {
            "batches": [5, None, HUGE, np.zeros((2, 2))],
            "producer": [*NO_TEXT, ""],
            "first_sequence": [*NO_INT64, 0, -1, 2**63 - 1],
            "return_labels": NO_FLAG,
            "return_scores": NO_FLAG,
            "max_in_flight": [*NO_INT64, 0, -1],
            "on_error": NO_CHOICE,
        },
    ),
    "assign": ({"X": [[1.0]]}, {"X": NO_POINTS, "return_distances": NO_FLAG, "return_scores": NO_FLAG}),
    "assign_stream": (
        {"batches": []},
        {
            "batches": [5, None, HUGE, np.zeros((2, 2))],
            "return_distances": NO_FLAG,
            "return_scores": NO_FLAG,
            "max_in_flight": [*NO_INT64, 0, -1],
        },
    ),
    "centroids": ({}, {}),
    "recent_points": ({}, {"max_points": NO_INT32}),
    "events": ({}, {"after": NO_INT64}),
    "watch_events": ({}, {"after": NO_INT64}),
    "watch": (
        {},
        {
            "after_version": NO_INT64,
            "min_interval": NO_SECONDS,
            "min_shift": NO_NUMBER,
            "delta": NO_FLAG,
            "progress_interval": NO_SECONDS,
        },
    ),
}
SHOWN_AS = {"X": "points"}  # the field of the request
UNCHECKED = {"exist_ok"}  # only its truth counts


def cases(methods: dict[str, tuple[dict[str, Any], dict[str, list[Any]]]]) -> list[Any]:
    return [
        pytest.param(method, valid, argument, value, id=f"{method}-{argument}-{number}")
        for method, (valid, refused) in methods.items()
        for argument, values in refused.items()
        for number, value in enumerate(values)
    ]


@pytest.fixture
def client(driver: Driver) -> Iterator[shoal.Client]:
    with driver.connect(NOWHERE) as client:
        yield client


def check_refused(call: Any, valid: dict[str, Any], argument: str, value: object) -> None:
    with pytest.raises(shoal.InvalidArgumentError) as refused:
        call(**{**valid, argument: value})

    field = refused.value.violations[0].field
    assert field in {argument, f"{argument}.value", f"{argument}.unit", SHOWN_AS.get(argument)}
    assert field.partition(".")[0] in refused.value.message
    assert len(refused.value.message) < 400


@pytest.mark.parametrize(("method", "valid", "argument", "value"), cases(CLIENT))
def test_client_refuses_an_invalid_argument_and_names_it(
    client: shoal.Client, method: str, valid: dict[str, Any], argument: str, value: object
) -> None:
    check_refused(getattr(client, method), valid, argument, value)


@pytest.mark.parametrize(("method", "valid", "argument", "value"), cases(SESSION))
def test_session_refuses_an_invalid_argument_and_names_it(
    client: shoal.Client, method: str, valid: dict[str, Any], argument: str, value: object
) -> None:
    check_refused(getattr(client.session("a"), method), valid, argument, value)


@pytest.mark.parametrize(
    ("kind", "methods"),
    [(shoal.Client, CLIENT), (shoal.aio.Client, CLIENT), (shoal.Session, SESSION), (shoal.aio.Session, SESSION)],
)
def test_every_argument_of_every_public_method_is_tried(kind: Any, methods: dict[str, Any]) -> None:
    public = {
        name: {each.name for each in signature(method).parameters.values() if each.kind is not Parameter.VAR_KEYWORD}
        for name, method in vars(kind).items()
        if callable(method) and not name.startswith("_")
    }

    assert {name: names - {"self"} - UNCHECKED for name, names in public.items()} == {
        name: set(refused) for name, (_, refused) in methods.items()
    }


@pytest.mark.parametrize(
    "timeout",
    [0, -1, float("nan"), float("inf"), 1e300, 1_000_000_001, pytest.param(HUGE, id="huge"), None, "30", [30], 1j],
)
def test_connect_refuses_a_timeout_that_grpc_cannot_wait(driver: Driver, timeout: Any) -> None:
    with pytest.raises(shoal.InvalidArgumentError, match=r"timeout is .*; give seconds above 0, at most 1,000,000,000"):
        driver.connect(NOWHERE, timeout=timeout)


@pytest.mark.parametrize("number", [10**30, -(10**30)])
def test_a_number_of_an_event_or_a_version_counts_from_0(client: shoal.Client, number: int) -> None:
    session = client.session("a")

    with pytest.raises(shoal.InvalidArgumentError, match="use at least 0, at most 9,223") as refused:
        session.events(after=number)
    assert refused.value.reason == "AFTER_INVALID"
    for call in (lambda: session.watch_events(number), lambda: session.watch(after_version=number)):
        with pytest.raises(shoal.InvalidArgumentError, match="use at least 0, at most 9,223"):
            next(iter(call()))


def test_the_longest_timeout_is_waited_for(driver: Driver) -> None:
    with driver.connect(NOWHERE, timeout=1_000_000_000) as client, pytest.raises(shoal.UnavailableError):
        client.session("a").describe()


def test_connect_refuses_a_target_that_is_not_unicode(driver: Driver) -> None:
    for target in ("\udcff:1", "unix:/run/\udcff"):
        with pytest.raises(shoal.InvalidArgumentError, match="isn't Unicode"):
            driver.connect(target)
