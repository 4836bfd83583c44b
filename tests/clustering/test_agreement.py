"""The three engines against one another and against the naive oracle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal_server.clustering.config import EngineName, HalfLife, Metric, ModelConfig
from shoal_server.clustering.model import apply, assign, new_model
from shoal_server.clustering.state import Batch, BatchResult, Model
from shoal_server.engines.contract import Engine, run_in_order
from tests import naive
from tests.effort import examples

KINDS: list[type[np.floating[Any]]] = [np.float32, np.float64]
TOLERANCE: dict[type[np.floating[Any]], float] = {np.float32: 1e-4, np.float64: 1e-9}
BORDER: dict[type[np.floating[Any]], float] = {np.float32: 1e-4, np.float64: 1e-10}


@dataclass(frozen=True)
class Case:
    """Some batches for one model."""

    config: ModelConfig
    scale: float
    kind: type[np.floating[Any]]
    batches: list[Batch]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    dtype = draw(st.sampled_from(KINDS))
    d, k = draw(st.integers(1, 70)), draw(st.integers(1, 40))
    rows = draw(st.lists(st.integers(1, 3000), min_size=1, max_size=4))
    metric: Metric = draw(st.sampled_from(["euclidean", "cosine"]))
    weighted, forgetting = draw(st.booleans()), draw(st.booleans())
    scale = draw(st.sampled_from([1e-3, 1.0, 1e3]))
    offset = draw(st.sampled_from([0.0, 30.0])) if metric == "euclidean" else 0.0
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def normal(n: int) -> NDArray[Any]:
        return (scale * (random.normal(size=(n, d)) + offset)).astype(dtype)

    def pushed(n: int) -> NDArray[Any]:
        # What a session also takes: smaller floats, and integers where the scale leaves something of them. Under cosine
        # they could round a row to zeros, which have no direction.
        smaller = [np.float16, np.int16] if scale == 1e3 else [np.float16]
        kind = draw(st.sampled_from([dtype, *smaller] if metric == "euclidean" else [dtype]))
        return normal(n).astype(kind)

    batches = [Batch(pushed(n), random.exponential(size=n) if weighted else None) for n in rows]
    half_life = HalfLife(draw(st.floats(0.2, 5)), "batches") if forgetting else None
    config = ModelConfig(
        k, init=normal(k), metric=metric, half_life=half_life, dtype="float32" if dtype is np.float32 else "float64"
    )
    return Case(config, 1.0 if metric == "cosine" else scale, dtype, batches)


@examples(60)
@given(case=cases())
@pytest.mark.parametrize("name", ["numba", "sklearn", "scipy"])
def test_an_engine_agrees_with_the_oracle(name: EngineName, case: Case, engines: dict[EngineName, Engine]) -> None:
    oracle = naive.start(np.asarray(case.config.init), cosine=case.config.metric == "cosine")
    model = new_model(case.config)
    kind = case.kind
    fading = 0.5 ** (1 / case.config.half_life.value) if case.config.half_life else 1.0

    for batch in case.batches:
        clear = _clear(batch, oracle, BORDER[kind])
        labels, distances = naive.assign(clear.points, oracle)
        model, outcome = apply(model, clear, engines[name], run_in_order)
        oracle = naive.update(oracle, clear.points, clear.sample_weight, fading)
        assume(oracle.shortest > 0.05)

        _check_outcome(outcome, labels, distances, clear, case)
        _check_model(model, oracle, case.scale, TOLERANCE[kind])


@examples(30)
@given(case=cases())
def test_all_engines_assign_the_same_labels(case: Case, engines: dict[EngineName, Engine]) -> None:
    kind = case.kind
    oracle = naive.start(np.asarray(case.config.init), cosine=case.config.metric == "cosine")
    clear = _clear(case.batches[0], oracle, BORDER[kind])
    model, _ = apply(new_model(case.config), clear, engines["numba"], run_in_order)
    points = _clear(clear, naive.update(oracle, clear.points, clear.sample_weight, 0.0), BORDER[kind]).points

    answers = [assign(model, points, engine, run_in_order) for engine in engines.values()]

    squares = (
        float(np.square(points.astype(np.float64)).sum(axis=1).max()) if case.config.metric == "euclidean" else 1.0
    )
    distances = np.array([answer.distances for answer in answers])
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer.labels, answers[0].labels)
    np.testing.assert_allclose(distances - distances[0], 0, rtol=0, atol=TOLERANCE[kind] * squares)


def _clear(batch: Batch, oracle: naive.NaiveModel, share: float) -> Batch:
    """Return the rows that no rounding can put on the other side of a border; if there is none, a centroid."""
    clear = naive.far_from_borders(batch.points, oracle, share)
    if not clear.any():
        return Batch(oracle.centroids[:1].astype(batch.points.dtype), return_labels=True)
    weight = None if batch.sample_weight is None else batch.sample_weight[clear]
    return Batch(batch.points[clear], weight, return_labels=True)


def _check_outcome(
    outcome: BatchResult, labels: NDArray[np.intp], distances: naive.Array, batch: Batch, case: Case
) -> None:
    weight = np.ones(len(distances)) if batch.sample_weight is None else batch.sample_weight
    # Points that lie on their centroid are off it by what the precision rounds them: 3 roundings of length 1 at most.
    rounding = 2 * float(np.finfo(case.kind).eps) * case.scale
    np.testing.assert_array_equal(outcome.labels, labels)
    np.testing.assert_allclose(
        outcome.inertia, np.dot(distances, weight), rtol=2 * TOLERANCE[case.kind], atol=rounding**2 * weight.sum()
    )


def _check_model(model: Model, oracle: naive.NaiveModel, scale: float, tolerance: float) -> None:
    assert model.snapshot is not None
    np.testing.assert_allclose(model.snapshot.centroids, oracle.centroids, rtol=0, atol=tolerance * scale)
    np.testing.assert_allclose(model.snapshot.weights, oracle.weights, rtol=1e-12)
