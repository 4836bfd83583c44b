"""Each enum has one list of names: it has all of the enum's numbers, and is that of the types in signatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import pytest

import shoal
from shoal import wire
from shoal.v1 import compare_pb2, events_pb2, sessions_pb2
from shoal_server.clustering import config as models
from shoal_server.clustering import events
from shoal_server.sessions import port as sessions

# The names of each enum, the generated enum, and the types of the client and of the server that list the names too.
ENUMS: dict[str, tuple[Mapping[str, int], Any, list[Any]]] = {
    "engine": (wire.ENGINES, sessions_pb2.Engine, [shoal.Engine, models.EngineName]),
    "metric": (wire.METRICS, sessions_pb2.Metric, [shoal.Metric, models.Metric]),
    "on_invalid": (wire.ON_INVALID, sessions_pb2.OnInvalid, [shoal.OnInvalid, models.OnInvalid]),
    "init": (wire.INIT_METHODS, sessions_pb2.InitMethod, [shoal.InitMethod, models.InitMethod]),
    "unit": (wire.HALF_LIFE_UNITS, sessions_pb2.HalfLifeUnit, [shoal.HalfLifeUnit, models.HalfLifeUnit]),
    "durability": (wire.DURABILITIES, sessions_pb2.Durability, [shoal.Durability, sessions.Durability]),
    "update rule": (wire.UPDATE_RULES, sessions_pb2.UpdateRule, [shoal.UpdateRule, models.UpdateRule]),
    "event kind": (wire.EVENT_KINDS, events_pb2.EventKind, [shoal.EventKind, events.EventKind]),
    "compared engine": (wire.COMPARE_ENGINES, compare_pb2.CompareEngine, [shoal.CompareEngine]),
    "action": (wire.COMPARE_ACTIONS, compare_pb2.CompareAction, [shoal.CompareAction]),
}


@pytest.mark.parametrize("enum", ENUMS)
def test_every_number_of_an_enum_but_unspecified_has_one_name(enum: str) -> None:
    numbers, generated, _ = ENUMS[enum]

    assert sorted(numbers.values()) == sorted(set(generated.values()) - {0})


@pytest.mark.parametrize("enum", ENUMS)
def test_the_types_of_client_and_server_list_the_names_of_the_enum(enum: str) -> None:
    numbers, _, types = ENUMS[enum]

    assert [set(get_args(each)) for each in types] == [set(numbers)] * len(types)


def test_a_session_computes_in_precisions_that_arrays_have() -> None:
    assert {wire.DTYPES[number].name for number in wire.PRECISIONS.values()} == set(wire.PRECISIONS)
    assert set(get_args(shoal.Precision)) == set(get_args(models.Precision)) == set(wire.PRECISIONS)


def test_a_number_without_a_name_has_none() -> None:
    assert wire.name_of(sessions_pb2.ENGINE_SCIPY, wire.ENGINES) == "scipy"
    assert wire.name_of(sessions_pb2.ENGINE_UNSPECIFIED, wire.ENGINES) is None
    assert wire.name_of(99, wire.ENGINES) is None
