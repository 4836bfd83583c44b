"""The size of a session's summary: what is asked for, or a default that every session can be refined with."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_server.clustering.config import (
    DEFAULT_SUMMARY_SIZE,
    DEFAULT_SUMMARY_VALUES,
    DEFAULT_UPDATE_RULE,
    MAX_SUMMARISED_VALUES,
    WIDE_SUMMARY_VALUES,
    ModelConfig,
    UpdateRule,
    validate,
)
from shoal_server.errors import DomainError

LIMIT = 1000  # values


def reason_of(config: ModelConfig) -> str:
    """Return why a configuration is refused; empty: it isn't."""
    try:
        validate(
            config, max_centroid_values=10**6, max_init_values=10**6, max_summary_values=LIMIT, max_init_work=10**15
        )
    except DomainError as error:
        return error.refusal.reason
    return ""


def test_an_incremental_session_has_no_summary_unless_it_asks_for_one() -> None:
    assert ModelConfig(8).update_rule == "incremental"
    assert ModelConfig(8).summary_points(3) == 0
    assert ModelConfig(8, summary_size=70).summary_points(3) == 70


@pytest.mark.parametrize("n_features", [None, 1, 16, WIDE_SUMMARY_VALUES // DEFAULT_SUMMARY_SIZE - 4])
def test_a_refined_session_has_a_summary_of_the_default_size(n_features: int | None) -> None:
    assert ModelConfig(8, update_rule="refined").summary_points(n_features) == DEFAULT_SUMMARY_SIZE


@pytest.mark.parametrize("rule", ["incremental", "refined"])
@pytest.mark.parametrize("n_features", [None, 3, 10**6])
def test_a_summary_has_the_size_that_is_asked_for(rule: UpdateRule, n_features: int | None) -> None:
    assert ModelConfig(8, update_rule=rule, summary_size=70).summary_points(n_features) == 70


@given(k=st.integers(1, 10**7), n_features=st.integers(1, 10**7))
def test_a_summary_of_the_default_size_is_bounded_and_has_points_for_every_centroid(k: int, n_features: int) -> None:
    points = ModelConfig(k, update_rule="refined").summary_points(n_features)

    assert points >= 2 * k
    assert points <= max(DEFAULT_SUMMARY_SIZE, 20 * k)
    assert points == 2 * k or points * (n_features + 4) <= DEFAULT_SUMMARY_VALUES
    assert points <= 100 * k or points * (n_features + 4) <= WIDE_SUMMARY_VALUES


@pytest.mark.parametrize("rule", ["incremental", "refined"])
@pytest.mark.parametrize("size", [-(2**31), -1])
def test_a_summary_size_below_0_is_refused(rule: UpdateRule, size: int) -> None:
    assert reason_of(ModelConfig(2, update_rule=rule, summary_size=size)) == "SUMMARY_SIZE_INVALID"


@pytest.mark.parametrize("rule", ["incremental", "refined"])
@pytest.mark.parametrize(("k", "least"), [(1, 100), (50, 100), (250, 250)])
def test_a_summary_has_a_hundred_points_and_one_for_each_centroid(rule: UpdateRule, k: int, least: int) -> None:
    for size in (1, least - 1):
        assert reason_of(ModelConfig(k, update_rule=rule, summary_size=size)) == "SUMMARY_SIZE_INVALID"
    assert reason_of(ModelConfig(k, update_rule=rule, summary_size=least)) == ""


def test_a_refined_session_needs_a_summary() -> None:
    assert reason_of(ModelConfig(50, update_rule="refined", summary_size=0)) == "SUMMARY_SIZE_INVALID"


@pytest.mark.parametrize("n_features", [None, 1, MAX_SUMMARISED_VALUES // 64])
def test_a_session_that_names_no_rule_gets_the_default_while_its_centroids_are_few(n_features: int | None) -> None:
    config = ModelConfig(64, update_rule=None)

    assert config.rule(n_features) == DEFAULT_UPDATE_RULE == "refined"
    assert config.summary_points(n_features) == replace(config, update_rule="refined").summary_points(n_features)


@pytest.mark.parametrize("asked_columns", [None, MAX_SUMMARISED_VALUES // 64 + 1])
def test_a_session_that_names_no_rule_is_incremental_when_a_summary_would_be_refused(asked_columns: int | None) -> None:
    columns = MAX_SUMMARISED_VALUES // 64 + 1
    config = ModelConfig(64, asked_columns, update_rule=None)

    assert (config.rule(columns), config.summary_points(columns)) == ("incremental", 0)
    assert reason_of(config) == ""


def test_a_session_that_names_no_rule_and_wants_no_summary_is_incremental() -> None:
    config = ModelConfig(8, update_rule=None, summary_size=0)

    assert (config.rule(3), config.summary_points(3)) == ("incremental", 0)
    assert reason_of(config) == ""


def test_a_session_that_names_no_rule_is_refused_the_summary_it_asks_for_when_its_centroids_are_too_many() -> None:
    config = ModelConfig(2, MAX_SUMMARISED_VALUES, update_rule=None, summary_size=100)

    assert reason_of(replace(config, n_features=1)) == ""
    assert reason_of(config) == "TOO_MANY_VALUES"


@pytest.mark.parametrize("rule", ["incremental", "refined"])
@pytest.mark.parametrize("n_features", [None, 3, 10**6])
def test_a_rule_that_is_named_is_the_rule(rule: UpdateRule, n_features: int | None) -> None:
    assert ModelConfig(8, update_rule=rule).rule(n_features) == rule


def test_a_session_with_a_summary_has_a_limit_of_its_own() -> None:
    config = ModelConfig(2**12, 2**6 + 1, update_rule="refined")

    assert reason_of(config) == "TOO_MANY_VALUES"
    assert reason_of(replace(config, update_rule="incremental", summary_size=None)) == ""
    assert reason_of(replace(config, n_features=64)) == ""


@pytest.mark.parametrize("rule", ["incremental", "refined"])
def test_a_summary_of_more_values_than_the_limit_is_refused(rule: UpdateRule) -> None:
    columns = 10
    config = ModelConfig(2, columns, update_rule=rule, summary_size=LIMIT // columns + 1)

    assert reason_of(config) == "TOO_MANY_VALUES"
    assert reason_of(ModelConfig(2, columns, update_rule=rule, summary_size=LIMIT // columns)) != "TOO_MANY_VALUES"


def test_the_limit_counts_for_no_summary_of_the_default_size() -> None:
    assert reason_of(ModelConfig(2, 10, update_rule="refined")) != "TOO_MANY_VALUES"


@pytest.mark.parametrize("size", [None, 0, 100])
def test_an_incremental_session_may_have_a_summary(size: int | None) -> None:
    assert reason_of(ModelConfig(2, summary_size=size)) == ""
