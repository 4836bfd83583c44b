"""Large chunks are worked off in pieces: between two of them others go first, and the pieces change no bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shoal_server.engines import chunks
from shoal_server.engines import scipy as scipy_module
from shoal_server.engines.chunks import PIECE_WORK, piece_rows, row_work
from shoal_server.engines.contract import Contribution, Engine, Frame, Task, run_in_order
from shoal_server.engines.scipy import ScipyEngine
from tests.engines.builders import frame_of
from tests.warm import warm_engine

ROWS = 9_000
SHAPES = [(9, 5), (64, 16), (300, 24)]  # (k, d); of the last ones rows are added up once they are labelled


class Counting:
    """Runs tasks in order, and counts their pieces."""

    def __init__(self) -> None:
        self.pieces = 0

    def __call__(self, task: Task, count: int) -> None:
        for index in range(count):
            self.pieces += 1
            for _ in task(index) or ():
                self.pieces += 1


def problem(shape: tuple[int, int], dtype: Any, *, cosine: bool) -> tuple[Any, Frame]:
    random = np.random.default_rng(0)
    k, d = shape
    frame = frame_of(random.normal(size=(k, d)).astype(np.float32))
    if cosine:
        unit = frame.centroids / np.linalg.norm(frame.centroids, axis=1, keepdims=True)
        frame = Frame(unit, np.zeros(d, np.float32), np.zeros(k), cosine=True)
    return (10 * random.normal(size=(ROWS, d))).astype(dtype), frame


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_pieces_of_a_chunk_give_the_same_bits_as_the_chunk(
    shape: tuple[int, int], dtype: Any, cosine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    points, frame = problem(shape, dtype, cosine=cosine)
    if cosine:
        points[(points == 0).all(axis=1)] = 1
    engine, counting = warm_engine(), Counting()
    whole = engine.contribute(points, None, frame, run_in_order)

    monkeypatch.setattr(chunks, "PIECE_WORK", 500 * row_work(*shape))
    cut = engine.contribute(points, None, frame, counting)

    assert counting.pieces >= ROWS // 600
    check_same_bits(cut, whole)


def test_calling_vq_for_a_few_rows_at_a_time_gives_the_same_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    points, frame = problem((300, 24), np.float32, cosine=False)
    counting = Counting()
    whole = ScipyEngine().contribute(points, None, frame, run_in_order)

    monkeypatch.setattr(scipy_module, "PIECE_WORK", 100 * row_work(300, 24))
    cut = ScipyEngine().contribute(points, None, frame, counting)

    assert counting.pieces >= ROWS // 100
    check_same_bits(cut, whole)


@pytest.mark.parametrize("k", [100_000, 2**20])
def test_memory_of_vq_stays_small_for_any_number_of_centroids(k: int) -> None:
    points, frame = np.ones((40, 5), np.float32), frame_of(np.zeros((k, 5), np.float32))
    counting = Counting()

    ScipyEngine().assign(points, frame, counting, return_distances=False)

    assert len(points) / counting.pieces * k * 8 <= max(2 * 2**20 * 8, k * 8)


@pytest.mark.parametrize("engine", [warm_engine, ScipyEngine])
def test_a_batch_of_little_work_is_one_piece(engine: Any) -> None:
    points, frame = problem((9, 5), np.float32, cosine=False)
    counting, ready = Counting(), engine()

    run_small(ready, points[:100], frame, counting)

    assert counting.pieces == 2


def run_small(engine: Engine, points: Any, frame: Frame, counting: Counting) -> None:
    engine.contribute(points, None, frame, counting)
    engine.assign(points, frame, counting, return_distances=True)


def test_a_piece_is_at_least_one_whole_group() -> None:
    assert piece_rows(8, 8, 24) % 24 == 0
    assert piece_rows(8, 8) * row_work(8, 8) <= PIECE_WORK
    assert piece_rows(2**24, 1, 24) == 24


def check_same_bits(one: Contribution, other: Contribution) -> None:
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(one.sums, other.sums)
    np.testing.assert_allclose(one.inertia, other.inertia, rtol=1e-12)
