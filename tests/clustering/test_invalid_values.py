"""NaN, infinity, rows of zeros and values that are too large."""

from __future__ import annotations

import numpy as np
import pytest

from shoal_server.clustering.config import EngineName, ModelConfig
from shoal_server.clustering.model import assign, new_model, reconfigure
from shoal_server.engines.contract import Engine, run_in_order
from shoal_server.errors import DomainError
from tests.clustering.builders import push, snapshot

Engines = dict[EngineName, Engine]
NAN, INF = np.nan, np.inf


def _config(**options: object) -> ModelConfig:
    return ModelConfig(2, init=np.array([[1.0, 1.0], [9.0, 9.0]]), **options)  # type: ignore[arg-type]  # test options


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_reject_names_the_first_row_and_column_and_applies_nothing(engines: Engines, value: float) -> None:
    model = new_model(_config())

    with pytest.raises(DomainError, match=r"points\[1, 1\] is .*\(1 more rows are invalid\)") as caught:
        push(model, [[1, 1], [2, value], [NAN, 3]], engines["numba"])

    assert caught.value.refusal.reason == "NOT_FINITE"
    assert model.version == 0


def test_values_whose_sum_overflows_are_refused_and_make_no_centroid_infinite(engines: Engines) -> None:
    model = new_model(ModelConfig(2, init=np.array([[1e300, 0.0], [10, 10]])))  # which no session may have

    with np.errstate(all="ignore"), pytest.raises(DomainError, match="add up to more than") as caught:
        push(model, [[1, 1], [9, 9]], engines["numba"])

    assert caught.value.refusal.reason == "VALUE_TOO_LARGE"
    assert model.version == 0


def test_drop_leaves_invalid_rows_out_and_counts_them(engines: Engines) -> None:
    model = new_model(_config(on_invalid="drop"))

    model, outcome = push(model, [[1, 1], [2, NAN], [9, 9], [INF, 3]], engines["numba"], sample_weight=[1, 2, 3, 4])

    assert (outcome.accepted, outcome.dropped) == (2, 2)
    assert outcome.labels is not None
    assert outcome.labels.tolist() == [0, -1, 1, -1]
    np.testing.assert_array_equal(snapshot(model).weights, [1, 3])


def test_a_batch_with_every_row_dropped_makes_a_version(engines: Engines) -> None:
    model, outcome = push(new_model(_config(on_invalid="drop")), [[NAN, 1]], engines["numba"])

    assert (outcome.version, outcome.accepted, outcome.dropped) == (1, 0, 1)
    np.testing.assert_array_equal(snapshot(model).centroids, [[1, 1], [9, 9]])


def test_impute_fills_in_the_mean_of_the_column_so_far(engines: Engines) -> None:
    model = new_model(_config(on_invalid="impute"))
    model, _ = push(model, [[1, 2], [3, 4], [NAN, 6]], engines["numba"])

    model, outcome = push(model, [[NAN, 100.0]], engines["numba"])

    assert (outcome.accepted, outcome.dropped) == (1, 0)
    # The means so far are those of 1, 3 and of 2, 4, 6; what was filled in counts in no mean.
    assert model.state.column_means is not None
    np.testing.assert_array_equal(model.state.column_means.means, [2, 28])
    np.testing.assert_array_equal(model.state.column_means.rows, [2, 4])
    total = snapshot(model).weights @ snapshot(model).centroids
    np.testing.assert_allclose(total, [1 + 3 + 2 + 2, 2 + 4 + 6 + 100])


def test_impute_is_refused_when_the_column_has_no_mean_yet(engines: Engines) -> None:
    with pytest.raises(DomainError, match="column 1 has had no finite value") as caught:
        push(new_model(_config(on_invalid="impute")), [[1, NAN], [2, NAN]], engines["numba"])

    assert caught.value.refusal.reason == "IMPUTE_IMPOSSIBLE"


def test_on_invalid_can_change_between_two_batches(engines: Engines) -> None:
    model = reconfigure(new_model(_config()), _config(on_invalid="drop"))

    _, outcome = push(model, [[1, NAN], [2, 2]], engines["numba"])

    assert outcome.dropped == 1


@pytest.mark.parametrize("policy", ["reject", "impute"])
def test_a_row_of_zeros_is_refused_under_cosine(engines: Engines, policy: str) -> None:
    model = new_model(_config(metric="cosine", on_invalid=policy))

    with pytest.raises(DomainError, match=r"points\[1\] is all zeros") as caught:
        push(model, [[1, 2], [0, 0]], engines["numba"])

    assert caught.value.refusal.reason == "ZERO_ROW"


def test_a_row_of_zeros_can_be_dropped_under_cosine(engines: Engines) -> None:
    _, outcome = push(new_model(_config(metric="cosine", on_invalid="drop")), [[1, 2], [0, 0]], engines["numba"])

    assert (outcome.accepted, outcome.dropped) == (1, 1)


def test_a_value_too_large_for_the_precision_is_refused(engines: Engines) -> None:
    points = np.array([[1, 2], [1e30, 3]], np.float32)

    with pytest.raises(DomainError, match=r"points\[1, 0\] is 1e\+30") as caught:
        push(new_model(_config()), points, engines["numba"])
    model, _ = push(new_model(_config(dtype="float64")), points, engines["numba"])

    assert caught.value.refusal.reason == "VALUE_TOO_LARGE"
    assert snapshot(model).weights.sum() == 2


def test_assigning_follows_on_invalid(engines: Engines) -> None:
    model = new_model(_config(on_invalid="drop"))

    answer = assign(model, np.array([[9, 9], [NAN, 1], [1, 1]]), engines["numba"], run_in_order)
    nothing = assign(model, np.array([[NAN, 1]]), engines["sklearn"], run_in_order)

    assert answer.labels.tolist() == [1, -1, 0]
    np.testing.assert_array_equal(answer.distances, [0, NAN, 0])
    assert nothing.labels.tolist() == [-1]


@pytest.mark.parametrize(
    ("weight", "message"),
    [([1.0], "1 values for 2 rows"), ([1.0, -0.5], r"sample_weight\[1\] is -0.5"), ([NAN, 1], r"sample_weight\[0\]")],
)
def test_invalid_weights_are_refused(engines: Engines, weight: list[float], message: str) -> None:
    with pytest.raises(DomainError, match=message) as caught:
        push(new_model(_config()), [[1, 2], [3, 4]], engines["numba"], sample_weight=weight)

    assert caught.value.refusal.reason == "SAMPLE_WEIGHT_INVALID"
