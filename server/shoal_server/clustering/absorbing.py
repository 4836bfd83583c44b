"""The rows of a session on their way into its summary: in the frame's coordinates, part by part."""

from __future__ import annotations

import numpy as np

from shoal_server.clustering.batch_sampling import begin_sampling, is_sampled_whole, with_batches
from shoal_server.clustering.buckets import SummaryKernels
from shoal_server.clustering.summary import Summary, absorb
from shoal_server.engines.contract import Float64Array, Frame, LabelArray, PointArray, RunTasks

# Rows that the kernels can't read as they came are converted so many values at a time, or rows of many columns: a copy
# of all of them could be several times as large as their message.
_CONVERTED_VALUES, _MIN_CONVERTED_ROWS = 1 << 15, 512


def absorb_rows(
    summary: Summary,
    points: PointArray,
    sample_weight: Float64Array | None,
    labels: LabelArray,
    ages: Float64Array | float,
    is_batch: bool,
    before: Frame,
    seed: int,
    kernels: SummaryKernels,
    run: RunTasks,
) -> Summary:
    """Return the summary with rows.

    Parameters
    ----------
    summary
        Before them.
    points, sample_weight, labels, ages
        As for `absorb`, but the points (n, d) as they came.
    is_batch
        Whether the rows are a batch, and all of it.
    before
        The frame that the rows met.
    seed, kernels, run
        As for `absorb`.

    Raises
    ------
    UnusablePoints
        They can't be computed with.
    """
    n, d = points.shape
    is_readable = _is_readable(points, before)
    if is_batch and is_readable and is_sampled_whole(n, before) and not isinstance(ages, np.ndarray):
        whole = _with_batch(summary, points, sample_weight, labels, ages, before, seed, kernels, run)
        if whole is not None:
            return whole
    step = n if is_readable else max(_CONVERTED_VALUES // d, _MIN_CONVERTED_ROWS)
    for start in range(0, n, step):
        part = slice(start, start + step)
        summary = absorb(
            summary,
            points if is_readable else before.transform(points[part]),
            None if sample_weight is None else sample_weight[part],
            labels[part],
            before.centroids,
            ages[part] if isinstance(ages, np.ndarray) else ages,
            seed,
            kernels,
            run,
            origin=before.origin if is_readable else None,
        )
    return summary


def _with_batch(
    summary: Summary,
    points: PointArray,
    sample_weight: Float64Array | None,
    labels: LabelArray,
    age: float,
    before: Frame,
    seed: int,
    kernels: SummaryKernels,
    run: RunTasks,
) -> Summary | None:
    """Return the summary with a batch as a whole; None: its rows must be added one by one."""
    weight = float(len(points)) if sample_weight is None else float(sample_weight.sum())
    sampling = begin_sampling(summary, (points,), (weight,), (age,), seed, kernels, run)
    if sampling is None:
        return None
    weights = np.empty(0) if sample_weight is None else np.ascontiguousarray(sample_weight, np.float64)
    is_sampled = False

    def work(_: int) -> None:
        nonlocal is_sampled
        is_sampled = kernels.sample_batch(points, weights, labels, before, sampling.sample)

    run(work, 1)
    return with_batches(sampling, len(points), age) if is_sampled else None


def converted_bytes(n_features: int) -> int:
    """Return what rows take that are being converted."""
    return 2 * np.dtype(np.float64).itemsize * max(_CONVERTED_VALUES, _MIN_CONVERTED_ROWS * n_features)


def _is_readable(points: PointArray, frame: Frame) -> bool:
    """Return whether the kernels read points as they came; else they must be brought into the frame's coordinates."""
    return points.dtype == frame.dtype and points.flags.c_contiguous and points.dtype.isnative and not frame.cosine
