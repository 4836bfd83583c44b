"""Tests in their own process: a cold start, and memory that may not be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from shoal_server.engines.numba import NumbaEngine, compilation
from shoal_server.process import available_cores

FUNCTIONS = 34  # that are compiled: half of them in each precision

# Prints how many functions were loaded, how many compiled, how many processes helped, and what was reported.
STARTING = """
    import json, sys
    helpers = []
    sys.addaudithook(lambda event, arguments: helpers.append(event) if event == "subprocess.Popen" else None)
    from shoal_server.engines.numba import NumbaEngine
    reports = []
    engine = NumbaEngine(lambda *report: reports.append(report))
    engine.warm_up()
    functions = [function for kernels in engine._kernels.values() for function in vars(kernels).values()]
    stats = [each.stats for each in functions]
    print(json.dumps([sum(sum(each.cache_hits.values()) for each in stats),
                      sum(sum(each.cache_misses.values()) for each in stats),
                      len(helpers), reports]))
"""

# Rows at either end of memory between two pages that kill whoever reads them.
READING = """
    import ctypes, mmap
    import numpy as np
    from shoal_server.clustering.summary import absorb, empty_summary, weighted_points
    from shoal_server.engines.contract import FusedBatches, run_in_order
    from tests.engines.builders import WIDTHS, both_ways, bounded, frame_of, row_counts
    from shoal_server.engines.numba import NumbaEngine
    engine = NumbaEngine()
    engine.warm_up()
    page, size = mmap.PAGESIZE, 400 * mmap.PAGESIZE
    memory = mmap.mmap(-1, size + 2 * page)
    begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for guarded in (begin, begin + page + size):
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(guarded), page, mmap.PROT_WRITE * 0) == 0
    between = (ctypes.c_char * size).from_address(begin + page)
    random = np.random.default_rng(0)
    for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        for d in WIDTHS:
            for axes, cosine in ((0, False), (4, False), (0, True)):
                frame = bounded(frame_of(random.normal(size=(9, d)).astype(dtype), cosine=cosine), axes)
                for n in row_counts(dtype):
                    for offset in (0, size - n * d * dtype.itemsize):
                        points = np.frombuffer(between, dtype, n * d, offset).reshape(n, d)
                        points[...] = random.normal(size=(n, d))
                        both_ways(engine, points, np.ones(n), frame)
                        wide = frame.centroids.astype(float)
                        engine.apply_batches(FusedBatches([points], np.ones(1), wide, frame, True), run_in_order)
                        summary = absorb(
                            empty_summary(4, d, dtype), points, None, np.zeros(n, np.int32), frame.centroids, 0.0, 0,
                            engine.summary_kernels(dtype), run_in_order,
                        )
                        weighted_points(summary, 0.0, engine.summary_kernels(dtype), run_in_order)
    print("survived")
"""


# A machine with vectors of another width: compiled code uses what it has, and must be right with it.
NARROW = """
    import numpy as np
    from shoal_server.clustering.summary import absorb, empty_summary, weighted_points
    from shoal_server.engines.contract import run_in_order
    from shoal_server.engines.numba import simd
    simd.VECTOR_BYTES, simd.VECTOR_REGISTERS = 16, 32
    from shoal_server.engines.numba import NumbaEngine
    from shoal_server.engines.numba.compilation import compile_precision
    from tests.engines.builders import both_ways, bounded, frame_of
    engine, precision = NumbaEngine(), np.dtype(np.float64)
    engine._kernels = {precision: compile_precision(precision)}
    random = np.random.default_rng(0)
    for d in (*range(1, 11), 17, 33):
        for k, n, axes in ((1, 1, 0), (3, 5, 0), (9, 50, 0), (70, 300, 0), (70, 300, 4)):
            points, weight = random.normal(size=(n, d)), random.exponential(size=n)
            frame = bounded(frame_of(random.normal(size=(k, d))), axes)
            contribution, assignment = both_ways(engine, points, weight, frame)
            squares = ((points[:, None] - frame.centroids) ** 2).sum(axis=2)
            labels = squares.argmin(axis=1)
            sums = np.zeros((k, d))
            np.add.at(sums, labels, weight[:, None] * points)
            np.testing.assert_array_equal(contribution.labels, labels)
            np.testing.assert_array_equal(assignment.labels, labels)
            np.testing.assert_allclose(contribution.sums, sums, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(contribution.inertia, weight @ squares.min(axis=1), rtol=1e-12)
            kernels = engine.summary_kernels(precision)
            summary = absorb(
                empty_summary(20, d, precision), points, weight, labels.astype(np.int32), frame.centroids, 0.0, 0,
                kernels, run_in_order,
            )
            weighted = weighted_points(summary, 0.0, kernels, run_in_order)
            np.testing.assert_allclose(weighted.weights @ weighted.points, weight @ points, rtol=1e-9, atol=1e-9)
    print("right")
"""


def _run(code: str, **environment: str) -> str:
    """Run code in its own process, and return its last line."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.splitlines()[-1]


def test_a_process_compiles_nothing_and_starts_no_helper_if_another_has_compiled(engine: NumbaEngine) -> None:
    assert engine is not None  # it has compiled what the process is to load

    assert json.loads(_run(STARTING)) == [FUNCTIONS, 0, 0, []]


@pytest.mark.torture
def test_a_first_start_compiles_in_two_processes_and_a_later_one_compiles_nothing(tmp_path: Path) -> None:
    two_starts = [json.loads(_run(STARTING, NUMBA_CACHE_DIR=str(tmp_path))) for _ in range(2)]

    helpers = 1 if available_cores() > 1 else 0
    helped = helpers * FUNCTIONS // 2
    reports = [[done, FUNCTIONS] for done in range(FUNCTIONS + 1)]
    assert two_starts == [[helped, FUNCTIONS - helped, helpers, reports], [FUNCTIONS, 0, 0, []]]


def test_the_compiling_helper_process_ends_with_its_parent(tmp_path: Path) -> None:
    orphan = subprocess.run(
        [sys.executable, "-c", compilation._CODE, str(tmp_path), "float64"], stdin=subprocess.DEVNULL, check=False
    )

    assert orphan.returncode == 1
    assert not [*tmp_path.rglob("*.nbc")]


def test_kernels_read_no_memory_around_the_rows() -> None:
    assert _run(READING) == "survived"


@pytest.mark.torture
def test_kernels_are_right_with_vectors_of_another_width(tmp_path: Path) -> None:
    assert _run(NARROW, NUMBA_CACHE_DIR=str(tmp_path)) == "right"
