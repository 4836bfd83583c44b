"""The engine of compiled kernels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from shoal_server.engines.chunks import OrderedReducer, min_chunk_rows
from shoal_server.engines.contract import (
    Assignment,
    BoolArray,
    Contribution,
    Float64Array,
    Frame,
    FusedBatches,
    FusedResult,
    NewCentroids,
    PointArray,
    RunTasks,
)
from shoal_server.engines.numba.compilation import Kernels, compile_kernels
from shoal_server.engines.numba.kernel_call import KernelCall, Pieces, Results, data_address
from shoal_server.engines.numba.layout import Layout, lay_out
from shoal_server.engines.numba.pruning_policy import MIN_SAMPLE_ROWS, SAMPLE_ROWS, PruningPolicy
from shoal_server.engines.numba.snapshot_buffers import SnapshotBuffers, SumBuffers, Version

_NO_VALUES = np.empty(0)
_NO_LABELS = np.empty(0, np.int32)
_NO_SUMS = np.empty((0, 0))


class NumbaEngine:
    """Assigns and adds up in compiled code that reads points where they are and lets other threads run.

    Points of the frame's own type are not copied. Others are brought into the frame's coordinates block by block.
    """

    def __init__(self) -> None:
        self._kernels: dict[np.dtype[Any], Kernels] = {}
        self._sums = SumBuffers()

    def warm_up(self) -> None:
        """Compile the kernels, or load them from the cache of an earlier run."""
        self._kernels = compile_kernels()

    def contribute(
        self,
        points: PointArray,
        sample_weight: Float64Array | None,
        frame: Frame,
        run: RunTasks,
        *,
        return_labels: bool = True,
    ) -> Contribution:
        """Assign the points to the frame's centroids and add them up."""
        call = self._call(points, sample_weight, frame)
        contribute = _in_two_passes if call.adds_separately else _in_one_pass
        contribution = contribute(call, run, return_labels=return_labels)
        self._review_pruning(frame, call.layout, [points])
        return contribution

    def assign(self, points: PointArray, frame: Frame, run: RunTasks, *, return_distances: bool) -> Assignment:
        """Assign the points to the frame's centroids."""
        call = self._call(points, None, frame)
        chunks = call.chunks(with_sums=False)
        labels = np.empty(len(points), np.int32)
        distances = np.empty(len(points) if return_distances else 0, frame.dtype)
        results = Results(labels, distances, _NO_VALUES, _NO_SUMS)

        def work(index: int) -> Pieces:
            return call.assign(chunks[index], results)

        run(work, len(chunks))
        self._review_pruning(frame, call.layout, [points])
        return Assignment(labels, distances if return_distances else None)

    def max_rows(self, frame: Frame) -> int:
        """Return how many rows a batch given to `apply_batches` may have: larger ones are work for several threads."""
        return _max_fused_rows(*frame.centroids.shape)

    def apply_batches(self, fused_batches: FusedBatches) -> FusedResult:
        """Apply batches of the frame's type, each C-contiguous."""
        batches, decays, centroids, frame, return_labels, sample_weights = fused_batches
        newest = self._version(centroids, frame)
        version = frame.cache.get(SnapshotBuffers).writable(newest)
        layout, k = version.layout, len(centroids)
        weights, movement, moved_rows = frame.weights.copy(), np.zeros(k), np.zeros(k, np.bool_)
        counts, sums = self._sums.zeroed(*layout.centroids.shape)
        sizes = [len(batch) for batch in batches]
        rows = sum(sizes)
        labels = np.empty(rows, np.int32) if return_labels else _NO_LABELS
        inertias = np.empty(len(batches))
        try:
            applied, tried = self._compiled(frame).apply_batches(
                np.array([data_address(batch) for batch in batches]),
                np.array(sizes),
                decays,
                _NO_VALUES if sample_weights is None else _joined(sample_weights),
                layout,
                counts,
                sums,
                version.centroids,
                weights,
                movement,
                moved_rows,
                labels,
                inertias,
            )
        except BaseException:
            self._sums.forget()
            raise
        frame.cache.get(PruningPolicy).note(layout, max(rows, 1), tried)
        moved = self._moved(frame, newest, version, moved_rows, weights, movement)
        if applied < len(batches):
            batches, inertias = batches[:applied], inertias[:applied]
        self._review_pruning(moved.frame, layout, batches)
        return FusedResult(inertias, labels, moved)

    def move(self, centroids: Float64Array, frame: Frame, contribution: Contribution) -> NewCentroids | None:
        """Apply a contribution to centroids (k, d) that the frame stands for; None: something would not be finite."""
        if not math.isfinite(contribution.inertia):
            return None
        newest = self._version(centroids, frame)
        version = frame.cache.get(SnapshotBuffers).writable(newest)
        weights, movement = frame.weights.copy(), np.zeros(len(centroids))
        finite = self._compiled(frame).apply_contribution(
            contribution.counts, contribution.sums, version.layout, version.centroids, weights, movement
        )
        return self._moved(frame, newest, version, contribution.counts > 0, weights, movement) if finite else None

    def _version(self, centroids: Float64Array, frame: Frame) -> Version:
        return Version(frame.prepared(self._lay_out), centroids)

    def _moved(
        self,
        before: Frame,
        last: Version,
        version: Version,
        moved_rows: BoolArray,
        weights: Float64Array,
        movement: Float64Array,
    ) -> NewCentroids:
        layout = version.layout
        before.cache.get(SnapshotBuffers).keep(last, version, moved_rows)
        frame = before.at(layout.centroids[:, : layout.d], weights)
        frame.keep(self._lay_out, layout)
        return NewCentroids(version.centroids, weights, movement, moved_rows, frame)

    def _call(self, points: PointArray, sample_weight: Float64Array | None, frame: Frame) -> KernelCall:
        weight = _NO_VALUES if sample_weight is None else sample_weight
        return KernelCall(self._compiled(frame), frame.prepared(self._lay_out), frame, points, weight)

    def _lay_out(self, frame: Frame) -> Layout:
        return lay_out(frame, frame.cache.get(PruningPolicy).axes, self._compiled(frame).lay_out_rows)

    def _review_pruning(self, frame: Frame, layout: Layout, batches: Sequence[PointArray]) -> None:
        """Choose anew whether to prune if enough has been done since the last time, and lay the frame out for it."""
        pruning = frame.cache.get(PruningPolicy)
        if pruning.is_due(*frame.centroids.shape) and sum(map(len, batches)) >= MIN_SAMPLE_ROWS:
            pruning.look(frame, _sample(frame, batches))
        if layout.axes is not pruning.axes:
            frame.keep(self._lay_out, self._lay_out(frame))

    def _compiled(self, frame: Frame) -> Kernels:
        if not self._kernels:
            raise RuntimeError("warm_up comes before the first batch")
        return self._kernels[frame.dtype]


@lru_cache(maxsize=1024)
def _max_fused_rows(k: int, d: int) -> int:
    return 2 * min_chunk_rows(k, d) - 1


def _joined(weights: Sequence[Float64Array]) -> Float64Array:
    """Return weights one after another; a single array isn't copied."""
    return np.ascontiguousarray(weights[0]) if len(weights) == 1 else np.concatenate(weights)


def _in_one_pass(call: KernelCall, run: RunTasks, *, return_labels: bool) -> Contribution:
    """Add each row up while it is in the cache, to the sums of its chunk."""
    layout = call.layout
    chunks = call.chunks(with_sums=True)
    labels = np.empty(len(call.points) if return_labels else 0, np.int32)
    counts, inertias = np.zeros((len(chunks), len(layout.centroids))), np.zeros(len(chunks))
    sums = np.zeros((len(chunks), *layout.centroids.shape))
    no_distances = np.empty(0, layout.centroids.dtype)

    def work(index: int) -> Iterator[None]:
        results = Results(labels, no_distances, counts[index], sums[index])
        inertias[index] = yield from call.assign(chunks[index], results)

    run(work, len(chunks))
    return Contribution(_total(counts), _total(sums)[:, : layout.d], float(inertias.sum()), labels)


def _in_two_passes(call: KernelCall, run: RunTasks, *, return_labels: bool) -> Contribution:
    """Add rows up to one sum, in their order, while others are being labelled."""
    layout = call.layout
    chunks = call.chunks(with_sums=False)
    labels, counts = np.empty(len(call.points), np.int32), np.zeros(len(layout.centroids))
    sums, inertias = np.zeros(layout.centroids.shape), np.zeros(len(chunks))
    labelled = Results(labels, np.empty(0, layout.centroids.dtype), _NO_VALUES, _NO_SUMS)

    def add(index: int) -> None:
        inertias[index] = call.add(chunks[index], labels, counts, sums)

    in_order = OrderedReducer(add)

    def work(index: int) -> Iterator[None]:
        yield from call.assign(chunks[index], labelled)
        in_order.ready(index)

    run(work, len(chunks))
    return Contribution(counts, sums[:, : layout.d], float(inertias.sum()), labels if return_labels else _NO_LABELS)


def _total(parts: Float64Array) -> Float64Array:
    """Add up parts along the first axis, in their order; a single one isn't copied."""
    total: Float64Array = parts[0] if len(parts) == 1 else parts.sum(axis=0)
    return total


def _sample(frame: Frame, batches: Sequence[PointArray]) -> Float64Array:
    """Return SAMPLE_ROWS of usable points or fewer, spread evenly, in the frame's coordinates."""
    ends = np.cumsum([len(batch) for batch in batches])
    chosen = np.arange(0, ends[-1], -(-ends[-1] // SAMPLE_ROWS))
    places = np.searchsorted(ends, chosen, side="right")
    begins = ends - [len(batch) for batch in batches]
    rows = [batches[place][chosen[places == place] - begins[place]] for place in np.unique(places)]
    return np.concatenate([frame.transform(each) for each in rows]).astype(np.float64)
