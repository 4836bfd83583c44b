"""Numbers at their extremes: half-lives, times, weights and values of every type; all engines agree."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose

from shoal_server.clustering.config import (
    EngineName,
    HalfLife,
    HalfLifeUnit,
    InitMethod,
    Metric,
    ModelConfig,
    OnInvalid,
    validate,
)
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.model import assign, new_model
from shoal_server.clustering.state import Batch, BatchResult, Model
from shoal_server.engines.contract import Engine, run_in_order
from shoal_server.errors import DomainError, Refusal, internal
from tests.clustering.builders import push, snapshot

NAMES: tuple[EngineName, ...] = get_args(EngineName)
DTYPES = [np.dtype(name) for name in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")]
INIT = np.array([[0.0, 0.0], [4.0, 4.0]])


def seconds(value: float) -> ModelConfig:
    return ModelConfig(2, init=INIT, half_life=HalfLife(value, "seconds"))


class TestForgetting:
    @pytest.mark.parametrize("late", [0, 600, 664, 665, 1000, 1021, 1022, 1023, 1040, 1060, 1074, 1075, 1e5, 1e300])
    def test_engines_agree_on_a_batch_that_is_many_half_lives_late(
        self, late: float, engines: dict[EngineName, Engine]
    ) -> None:
        # A cluster that only late points reach: nothing else has a weight beside theirs.
        after = {}
        for name, engine in engines.items():
            model, _ = push(new_model(seconds(1.0)), [[0.5, 0.25]], engine, event_time=0.0)
            model, result = push(model, [[3.0, 5.0], [3.5, 4.5], [0.1, 0.1]], engine, event_time=-late)
            after[name] = (snapshot(model).centroids, snapshot(model).weights, result)

        for centroids, weights, result in after.values():
            assert_allclose(centroids, after["numba"][0], rtol=1e-9)
            assert_allclose(weights, after["numba"][1], rtol=1e-9, atol=0)
            assert result.weight == after["numba"][2].weight
        if late > 664:
            assert after["numba"][2].weight == 0
            assert after["numba"][0].tolist() == [[0.5, 0.25], [4.0, 4.0]]

    @pytest.mark.parametrize("weight", [5e-324, 1e-320, 1e-310, 2e-308, 1e-250, 1.1e-200, 1e-100, 1e50])
    def test_engines_agree_on_a_sample_weight_of_any_size(
        self, weight: float, engines: dict[EngineName, Engine]
    ) -> None:
        rows = [[3.0, 5.0], [3.5, 4.5], [0.1, 0.1]]
        models = [
            push(new_model(ModelConfig(2, init=INIT)), rows, engine, sample_weight=[weight] * 3)[0]
            for engine in engines.values()
        ]

        for model in models:
            assert_allclose(snapshot(model).centroids, snapshot(models[0]).centroids, rtol=1e-9)
            assert_allclose(snapshot(model).weights, snapshot(models[0]).weights, rtol=1e-9, atol=0)

    @pytest.mark.parametrize("unit", get_args(HalfLifeUnit))
    @pytest.mark.parametrize("value", [5e-324, 1e-300, 1e-12, 1e12, 1.7976931348623157e308])
    def test_engines_agree_on_a_half_life_of_any_size(
        self, value: float, unit: HalfLifeUnit, engines: dict[EngineName, Engine]
    ) -> None:
        models = []
        for engine in engines.values():
            model = new_model(ModelConfig(2, init=INIT, half_life=HalfLife(value, unit)))
            for time in (0.0, 1.0, 0.5, 1e18, -1e18):
                model, _ = push(model, [[time % 3, 1.0], [3.0, 5.0]], engine, event_time=time)
            models.append(model)

        for model in models:
            assert_allclose(snapshot(model).centroids, snapshot(models[0]).centroids, rtol=1e-9)
            assert_allclose(snapshot(model).weights, snapshot(models[0]).weights, rtol=1e-9)


class TestImputing:
    @pytest.fixture(params=NAMES)
    def engine(self, request: pytest.FixtureRequest, engines: dict[EngineName, Engine]) -> Engine:
        return engines[request.param]

    def test_impute_fills_float16_points_with_a_mean_beyond_float16(self, engine: Engine) -> None:
        model = new_model(ModelConfig(1, init=np.zeros((1, 1)), on_invalid="impute"))
        model, _ = push(model, [[100_000.0]], engine, dtype=np.float32)

        model, result = push(model, [[np.nan], [1.0]], engine, dtype=np.float16)

        assert result.accepted == 2
        assert snapshot(model).centroids.item() == pytest.approx((100_000 + 100_000 + 1) / 3)

    def test_impute_fills_a_row_with_a_fractional_mean_among_integers(self, engine: Engine) -> None:
        model = new_model(ModelConfig(1, init=np.zeros((1, 1)), dtype="float32", on_invalid="impute"))
        model, _ = push(model, [[1], [2]], engine, dtype=np.int64)

        model, _ = push(model, [[9_000_000_000_000_000_000]], engine, dtype=np.int64)  # more than float32 can square

        assert snapshot(model).centroids.item() == pytest.approx(1.5)

    def test_impute_fills_float16_points_with_all_digits_of_a_float64_mean(self, engine: Engine) -> None:
        model = new_model(ModelConfig(1, init=np.zeros((1, 1)), dtype="float64", on_invalid="impute"))
        model, _ = push(model, [[1.0 + 1e-9]], engine)

        model, _ = push(model, [[np.nan]], engine, dtype=np.float16)

        assert snapshot(model).centroids.item() == pytest.approx(1.0 + 1e-9, rel=1e-12)


@st.composite
def arrays(draw: st.DrawFn, columns: int) -> Any:
    dtype = draw(st.sampled_from(DTYPES))
    special: list[float] = [0, 1]
    if dtype.kind == "f":
        top = float(np.finfo(dtype).max)
        tiny = float(np.finfo(dtype).smallest_subnormal)
        special += [-1.5, top, -top, tiny, top / 3, top**0.5, -(top**0.5) / 9, np.nan, np.inf, -np.inf, -0.0]
    else:
        bounds = np.iinfo(dtype)
        special += [bounds.min, bounds.max, bounds.max // 3, bounds.max - 1]
    elements = st.one_of(st.sampled_from([dtype.type(value).item() for value in special]), hnp.from_dtype(dtype))
    return draw(hnp.arrays(dtype, (draw(st.integers(1, 5)), columns), elements=elements))


WEIGHTS = st.sampled_from([0.0, 5e-324, 1e-310, 1e-200, 1e-100, 0.5, 1.0, 1e20, 1e50])
TIMES = st.sampled_from([0.0, -1e19, 1e19, 1.0, 1e-9, 665.0, 1030.0, -1060.0])


@st.composite
def batches(draw: st.DrawFn, columns: int) -> Batch:
    points = draw(arrays(columns))
    weight = draw(st.none() | hnp.arrays(np.float64, len(points), elements=WEIGHTS))
    return Batch(points, weight, draw(TIMES), draw(st.booleans()))


@st.composite
def configs(draw: st.DrawFn, columns: int) -> ModelConfig:
    k = draw(st.integers(1, 3))
    values = st.sampled_from([0.0, 1.0, -2.5, 1e-30, 1e15, -1e18, 1e90])
    methods: tuple[InitMethod, ...] = get_args(InitMethod)
    init: Any = draw(st.sampled_from(methods) | hnp.arrays(np.float64, (k, columns), elements=values))
    half_life = draw(
        st.none()
        | st.builds(HalfLife, st.sampled_from([5e-324, 1e-3, 1.0, 1e308]), st.sampled_from(get_args(HalfLifeUnit)))
    )
    return ModelConfig(
        k,
        metric=draw(st.sampled_from(get_args(Metric))),
        on_invalid=draw(st.sampled_from(get_args(OnInvalid))),
        init=init,
        init_size=draw(st.sampled_from([None, k])),
        random_state=0,
        dtype=draw(st.sampled_from([None, "float32", "float64"])),
        half_life=half_life,
    )


@st.composite
def sessions(draw: st.DrawFn) -> tuple[ModelConfig, list[Batch]]:
    columns = draw(st.integers(1, 3))
    return draw(configs(columns)), draw(st.lists(batches(columns), min_size=1, max_size=4))


class TestAnything:
    @pytest.mark.parametrize("name", NAMES)
    @given(session=sessions())
    def test_any_legal_batch_is_applied_or_refused_with_a_reason(
        self, name: EngineName, session: tuple[ModelConfig, Sequence[Batch]], engines: dict[EngineName, Engine]
    ) -> None:
        config, pushed = session
        bugs: list[Exception] = []

        def on_bug(bug: Exception) -> Refusal:
            bugs.append(bug)
            return internal()

        try:
            validate(config, max_centroid_values=100, max_init_values=100, max_summary_values=100, max_init_work=10**15)
        except DomainError:
            return
        model = new_model(config)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model, results = apply_batches(model, pushed, engines[name], run_in_order, lambda: False, on_bug)
        if bugs:
            raise bugs[0]

        assert len(results) == len(pushed)
        for result, batch in zip(results, pushed, strict=True):
            check_result(result, batch)
        check_model(model)
        for batch in pushed:
            check_assignment(model, batch, engines[name])


def check_result(result: BatchResult, batch: Batch) -> None:
    if result.refusal is not None:
        return
    assert result.accepted + result.dropped == len(batch.points)
    assert np.isfinite(result.inertia)
    assert result.inertia >= 0
    assert result.weight is None or 0 <= result.weight < np.inf
    assert 0 <= result.late < np.inf


def check_model(model: Model) -> None:
    if model.snapshot is None:
        return
    assert np.isfinite(model.snapshot.centroids).all()
    assert np.isfinite(model.snapshot.weights).all()
    assert np.isfinite(model.snapshot.movement).all()
    assert (model.snapshot.weights >= 0).all()


def check_assignment(model: Model, batch: Batch, engine: Engine) -> None:
    try:
        assignment = assign(model, batch.points, engine, run_in_order)
    except DomainError:
        return
    assert assignment.labels.shape == (len(batch.points),)
    assert assignment.labels.max(initial=-1) < model.config.n_clusters
