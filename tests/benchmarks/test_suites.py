"""The parts of the suites: points, the kernel's adapter, the bare server. Nothing is timed."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_sample_image
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks import datasets, peers
from benchmarks.__main__ import SUITES
from benchmarks.processes import Bare, Process, Taken, measure
from benchmarks.shoal_kernel import Assigning, Kernel, ready_engine, threads

FOLDER = Path(datasets.__file__).parent


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_is_a_module_that_yields_rows(name: str) -> None:
    tree = ast.parse((FOLDER / f"{name}.py").read_text())

    assert "rows" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_module_of_the_benchmarks_is_python_with_a_docstring() -> None:
    assert all(ast.get_docstring(ast.parse(path.read_text())) for path in FOLDER.rglob("*.py"))


def test_patches_are_cut_side_by_side() -> None:
    china = load_sample_image("china.jpg")

    second_of_the_second_row = datasets.patches()[china.shape[1] // 8 + 1]

    np.testing.assert_array_equal(second_of_the_second_row, china[8:16, 8:16].ravel())


def test_embeddings_are_distinct_sentences_of_length_one() -> None:
    found = datasets.embeddings()

    assert found.shape == (8192, 384)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=2e-3)
    assert len(np.unique(found, axis=0)) > 0.999 * len(found)


def test_a_sample_of_real_points_has_no_point_twice_and_fills_every_cluster() -> None:
    sample = datasets.real_sample("digits", 16)

    assert sample.points.shape == (1797, 64)
    assert sample.points.dtype == sample.centroids.dtype == np.float32
    assert len(np.unique(_nearest(sample))) == 16


def test_the_benchmarked_kernel_gives_the_nearest_centroids() -> None:
    sample = datasets.random_sample(16, 8, 500)

    labels = Assigning(sample.points, sample.centroids, ready_engine()).contribute()

    np.testing.assert_array_equal(labels, _nearest(sample))


def test_the_benchmarked_model_moves_the_same_with_batches_alone_or_together() -> None:
    sample = datasets.random_sample(4, 8, 600)
    batches = [*sample.points.reshape(6, 100, 4)]
    alone, together = (Kernel(sample.centroids, ready_engine(), threads(1)) for _ in range(2))

    for batch in batches:
        alone.apply(batch)
    together.apply_batches(batches)

    assert alone.version == together.version == 6
    np.testing.assert_array_equal(alone.centroids, together.centroids)
    assert not np.array_equal(alone.centroids, sample.centroids)


def test_the_bare_server_acknowledges_every_row_for_any_grouping_of_batches() -> None:
    batches = [np.ones((rows, 3), np.float32) for rows in (1, 2, 3, 4, 5)]

    with Process("bare_server") as process, Bare(process.said) as bare:
        bare.nothing()

        assert [bare.stream(batches, together) for together in (1, 2, 5)] == [15, 15, 15]


def test_a_process_that_fails_before_it_is_ready_says_so() -> None:
    with pytest.raises(RuntimeError, match="before it was ready"):
        Process("no_such_module")


def test_rates_and_cpu_are_computed_from_the_bytes_moved() -> None:
    clock = iter([1.0, 3.0])
    batches = [np.ones((10, 4), np.float32)] * 5

    taken = measure(lambda: None, batches, lambda: next(clock))

    assert (taken.rows, taken.bytes, taken.cpu_seconds) == (50, 800, 2.0)
    assert Taken(rows=50, bytes=10**9, seconds=2.0, cpu_seconds=3.0).rate == 25
    assert Taken(rows=50, bytes=10**9, seconds=2.0, cpu_seconds=3.0).cpu_per_gb == 3


def _nearest(sample: datasets.Sample) -> np.ndarray:
    apart = sample.points[:, None].astype(np.float64) - sample.centroids
    labels: np.ndarray = (apart**2).sum(axis=2).argmin(axis=1)
    return labels


def test_libraries_get_their_threads_back_after_the_suites_of_one_thread() -> None:
    with threadpool_limits(2):
        with peers.OneThread():
            within = _thread_counts()
        after = _thread_counts()

    assert set(within.values()) == {1}
    assert set(after.values()) == {2}


def _thread_counts() -> dict[str, int]:
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
