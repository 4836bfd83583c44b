"""Invalid parameters of a watch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rpc.bad_points import GOOD, INF, NAN
from tests.rpc.refusals import Refusal, no_session, refused_call
from tests.rpc.wire import Wire, batch, config, duration

BAD_OPTIONS: list[tuple[dict[str, Any], Refusal]] = [
    (
        {"after_version": 2},
        Refusal("VERSION_IN_FUTURE", ("after_version is 2", "at version 1", "leave it out"), "after_version"),
    ),
    (
        {"after_version": 2**63 - 1},
        Refusal("VERSION_IN_FUTURE", (f"after_version is {2**63 - 1}", "at version 1"), "after_version"),
    ),
    (
        {"after_version": -1},
        Refusal("VERSION_NEGATIVE", ("after_version is -1", "count from 0"), "after_version"),
    ),
    *(
        (
            {"min_shift": shift},
            Refusal("MIN_SHIFT_INVALID", (f"min_shift is {shift}", "a number from 0 up"), "min_shift"),
        )
        for shift in (-0.5, NAN, INF, -INF)
    ),
    (
        {"min_interval": duration(-2)},
        Refusal("DURATION_NEGATIVE", ("min_interval is -2.0 s", "below 0"), "min_interval"),
    ),
    (
        {"progress_interval": duration(-2)},
        Refusal("DURATION_NEGATIVE", ("progress_interval is -2.0 s", "below 0"), "progress_interval"),
    ),
    (
        {"progress_interval": duration(0)},
        Refusal("PROGRESS_INTERVAL_INVALID", ("is 0.0 s", "at least 1.0 s, or leave it out"), "progress_interval"),
    ),
    (
        {"progress_interval": duration(0.99)},
        Refusal("PROGRESS_INTERVAL_INVALID", ("is 0.99 s", "at least 1.0 s, or leave it out"), "progress_interval"),
    ),
]


@pytest.mark.parametrize(
    ("options", "refusal"),
    BAD_OPTIONS,
    ids=[f"{key} {value!s}" for each, _ in BAD_OPTIONS for key, value in each.items()],
)
def test_an_invalid_watch_is_refused_and_leaves_no_watcher(
    wire: Wire, name: str, options: dict[str, Any], refusal: Refusal
) -> None:
    wire.create(name, config(init=GOOD))
    wire.push(name, batch(GOOD))

    status = refused_call(lambda: list(wire.watch(name, **options)))

    refusal.check(status)
    assert wire.describe(name).watchers == 0
    assert wire.push(name, batch(GOOD)).version == 2


def test_a_watch_is_refused_when_the_session_has_another_uid(wire: Wire, name: str) -> None:
    before = wire.create(name, config(init=GOOD))
    wire.delete(name)
    wire.create(name, config(init=GOOD))

    status = refused_call(lambda: list(wire.watch(name, session_uid=before.uid)))

    no_session(name).check(status)


def test_a_watch_by_uid_begins_with_the_current_version(wire: Wire, name: str) -> None:
    uid = wire.create(name, config(init=GOOD)).uid
    wire.push(name, batch(GOOD))

    watch = wire.watch(name, session_uid=uid, after_version=0)

    assert next(watch).update.snapshot == wire.centroids(name)
    watch.cancel()
