"""Update rules, summaries and refinements between the wire and the inside."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from shoal import wire
from shoal.v1 import clustering_pb2, sessions_pb2, tensor_pb2
from shoal_server.clustering.config import MAX_SUMMARISED_VALUES, ModelConfig
from shoal_server.clustering.state import BatchResult, Snapshot, read_only_snapshot
from shoal_server.errors import Reason, Refusal
from shoal_server.rpc import watch_messages
from shoal_server.rpc.batches import encode_result
from shoal_server.rpc.config import decode_config, encode_description
from shoal_server.sessions.port import Description, SentVersion, SessionConfig
from shoal_server.settings import Settings
from tests.rpc.pickling_server import passed
from tests.rpc.wire import config

NO_SETTINGS: dict[str, Any] = {}
LIMITS = Settings(**NO_SETTINGS).limits()
LABELS = np.zeros(2000, np.int32)
RESULTS = {
    "applied": BatchResult(3, 2, 0, 1.5, sequence=7),
    "labelled": BatchResult(3, len(LABELS), 0, 1.5, LABELS, sequence=7),
    "dropped, late and weighted": BatchResult(3, 1, 1, 1.5, late=2.0, weight=0.5),
}


def model_of(message: sessions_pb2.SessionConfig) -> ModelConfig:
    """Return what the server takes a configuration for, on the other side of the port."""

    def tensor(_: tensor_pb2.Tensor) -> wire.Tensor:
        raise AssertionError("it has none")

    return passed(decode_config(message, LIMITS, tensor)).model


def described(model: ModelConfig, n_features: int | None) -> sessions_pb2.SessionConfig:
    """Return the configuration as a description of the session has it."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    session = Description("s", "u", SessionConfig(model), n_features, "e", None, 0, 0, 0, 0, 0, 0, now, now, 0.0)
    return encode_description(passed(session)).config


def version(number: int, *, refined: bool) -> Snapshot:
    """Return a version of two centroids on the other side of the port."""
    centroids = np.array([[0.0], [float(number)]])
    return passed(read_only_snapshot(number, centroids, np.ones(2), 0.5, np.zeros(2), 9, 0, refined))


@pytest.mark.parametrize(
    ("n_features", "rule"), [(None, "refined"), (MAX_SUMMARISED_VALUES, "incremental")], ids=["unknown", "many columns"]
)
def test_a_configuration_that_says_nothing_comes_back_with_the_rule_for_its_width(
    n_features: int | None, rule: str
) -> None:
    model = model_of(config())

    back = described(model, n_features)

    assert (model.update_rule, model.summary_size) == (None, None)
    assert back.update_rule == wire.UPDATE_RULES[rule]
    assert bool(back.summary_size) == (rule == "refined")


@pytest.mark.parametrize("rule", wire.UPDATE_RULES)
@pytest.mark.parametrize("size", [0, 1, 70, 2**31 - 1])
def test_an_update_rule_and_a_summary_size_go_in_and_come_back(rule: str, size: int) -> None:
    number = wire.UPDATE_RULES[rule]

    model = model_of(config(update_rule=number, summary_size=size))
    back = described(model, 3)

    assert (model.update_rule, model.summary_size) == (rule, size)
    assert (back.update_rule, back.summary_size) == (number, size)


@pytest.mark.parametrize("n_features", [None, 3, 2**20])
@pytest.mark.parametrize("rule", wire.UPDATE_RULES)
def test_a_description_has_the_size_of_the_summary_that_the_server_chose(rule: Any, n_features: int | None) -> None:
    model = ModelConfig(2, update_rule=rule)

    back = described(model, n_features)

    assert back.HasField("summary_size")
    assert back.summary_size == model.summary_points(n_features)
    assert bool(back.summary_size) == (rule == "refined")


@pytest.mark.parametrize("title", RESULTS)
def test_a_result_says_that_a_refinement_followed_in_either_encoding(title: str) -> None:
    result = RESULTS[title]

    refined = encode_result(passed(result._replace(refined=True)))
    plain = encode_result(passed(result))

    assert refined.message.refined
    expected = clustering_pb2.BatchResult()
    expected.CopyFrom(plain.message)
    expected.refined = True
    assert refined.message == expected
    for encoded in (refined, plain):
        one = clustering_pb2.BatchResult.FromString(wire.encode_batch_result(encoded))
        (of_many,) = clustering_pb2.IngestResponse.FromString(
            wire.encode_ingest_response(wire.IngestResponse(None, [encoded]))
        ).results
        assert one == of_many
        assert one.refined == encoded.message.refined
        assert wire.decode_batch_result(wire.encode_batch_result(encoded)).message.refined == one.refined


def test_a_result_without_a_refinement_has_no_byte_for_it() -> None:
    plain = encode_result(RESULTS["applied"]).message

    assert "refined" not in {field.name for field, _ in plain.ListFields()}


def test_a_refused_batch_has_no_refinement() -> None:
    refused = BatchResult(sequence=7, refusal=Refusal(Reason.SHAPE_INVALID, "no good", "points"), refined=True)

    assert not encode_result(refused).message.refined


@pytest.mark.parametrize("refined", [True, False])
def test_a_version_says_whether_a_refinement_made_it_whole_and_in_a_delta(refined: bool) -> None:
    snapshot = version(3, refined=refined)
    base = SentVersion(2, version(2, refined=not refined).centroids)

    whole, delta = (
        clustering_pb2.WatchCentroidsResponse.FromString(watch_messages._encode_update(snapshot, each, "u")).update
        for each in (None, base)
    )
    read = watch_messages._encode_snapshot(snapshot, "u")

    assert [each.refined for each in (whole.snapshot, delta.snapshot, read)] == [refined] * 3
    assert delta.HasField("rows")


def test_snapshots_that_differ_in_the_refinement_alone_differ_in_one_field_on_the_wire() -> None:
    snapshot = version(3, refined=False)

    refined = watch_messages._encode_snapshot(replace(snapshot, refined=True), "u")
    refined.ClearField("refined")

    assert refined == watch_messages._encode_snapshot(snapshot, "u")
