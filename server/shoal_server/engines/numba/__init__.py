"""The engine of compiled kernels, and its calls of them on chunks of a batch."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from shoal_server.engines.chunks import BLOCK_ROWS, Chunk, OrderedReducer, chunks, min_chunk_rows, piece_rows
from shoal_server.engines.contract import (
    Assignment,
    Contribution,
    Float64Array,
    Frame,
    FusedBatches,
    FusedResult,
    LabelArray,
    NewCentroids,
    PointArray,
    RowSample,
    RunTasks,
    UnusablePoints,
)
from shoal_server.engines.numba.arguments import FusedArguments, Version, check_sample, no_sample
from shoal_server.engines.numba.compilation import Kernels, Report, compile_kernels
from shoal_server.engines.numba.decorators import Reals
from shoal_server.engines.numba.layout import Layout, lay_out
from shoal_server.engines.numba.pruning_policy import MIN_SAMPLE_ROWS, PruningPolicy, sample_rows
from shoal_server.engines.numba.sampling import NumbaSummaryKernels
from shoal_server.engines.numba.search import NumbaSearch
from shoal_server.engines.numba.snapshot_buffers import SnapshotBuffers, SumBuffers

_NO_VALUES = np.empty(0)
_NO_LABELS = np.empty(0, np.int32)
_NO_SUMS = np.empty((0, 0))

# Values of a partial sum that stays in the first cache beside the rows. A larger one costs much to zero, to reach, and
# to add to the others.
SMALL_SUM = 1 << 12

_NOT_WARM = "warm_up comes before the first batch"

_ADDRESS = ctypes.c_ssize_t

Pieces = Generator[None, None, float]


class NumbaEngine:
    """Assigns and adds up in compiled code that reads points where they are and lets other threads run.

    Points of the frame's own type are not copied. Others are brought into the frame's coordinates block by block.
    `report` is told, on any thread, how many functions `warm_up` has compiled, and of how many.
    """

    def __init__(self, report: Report = lambda *_: None) -> None:
        self._report = report
        self._kernels: dict[np.dtype[Any], Kernels] = {}
        self._sums = SumBuffers()

    def warm_up(self) -> None:
        """Compile the kernels, or load them from the cache of an earlier run."""
        self._kernels = compile_kernels(self._report)

    @property
    def search(self) -> NumbaSearch:
        """What searches for better centroids, for sessions of any engine."""
        if not self._kernels:
            raise RuntimeError(_NOT_WARM)
        return NumbaSearch(self._kernels)

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
        self._look_at(frame, [points], run)
        self._follow_pruning(frame, call.layout)
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
        self._look_at(frame, [points], run)
        self._follow_pruning(frame, call.layout)
        return Assignment(labels, distances if return_distances else None)

    def max_rows(self, frame: Frame) -> int:
        """Return how many rows a batch given to `apply_batches` may have: larger ones are work for several threads."""
        return _max_fused_rows(*frame.centroids.shape)

    def apply_batches(self, fused_batches: FusedBatches, run: RunTasks) -> FusedResult:
        """Apply batches of the frame's type, each C-contiguous."""
        batches, decays, centroids, frame, return_labels, sample_weights, sample = fused_batches
        if sample is not None:
            check_sample(sample, batches)
        buffers, pruning = frame.cache.get(SnapshotBuffers), frame.cache.get(PruningPolicy)
        before = buffers.version(frame.prepared(self._lay_out), centroids, frame.weights)
        after = buffers.writable(before)
        layout, rows = after.layout, sum(map(len, batches))
        counts, sums = self._sums.zeroed(layout.centroids.shape)
        labels = np.empty(rows, np.int32) if return_labels else _NO_LABELS
        inertias = np.empty(len(batches))
        # The kernel reads all of these where they are: they are held here until it returns.
        points = tuple(batches)
        weights = (_NO_VALUES,) * len(points) if sample_weights is None else _contiguous(sample_weights)
        arguments = FusedArguments(
            before, after, counts, sums, _NO_VALUES if decays is None else decays, labels, inertias,
            no_sample(frame.dtype) if sample is None else sample,
        )  # fmt: skip
        try:
            applied, tried = self._compiled(frame).apply_batches(
                id(points), id(weights), len(points), id(arguments), layout.centroids
            )
        except BaseException:
            self._sums.forget()
            raise
        if applied < len(batches):
            batches, inertias = batches[:applied], inertias[:applied]
            labels = labels[: sum(map(len, batches))].copy()  # a view would keep the others, too
        if pruning.concerns(layout):
            pruning.note(layout, max(rows, 1), tried)
            self._look_at(frame, batches, run)  # it may be halted: then `before` is still the newest version
        moved = self._moved(frame, buffers, before, after)
        self._follow_pruning(moved.frame, layout)
        return FusedResult(inertias, labels, moved)

    def move(self, centroids: Float64Array, frame: Frame, contribution: Contribution) -> NewCentroids | None:
        """Apply a contribution to centroids (k, d) that the frame stands for; None: something would not be finite."""
        if not math.isfinite(contribution.inertia):
            return None
        buffers = frame.cache.get(SnapshotBuffers)
        before = buffers.version(frame.prepared(self._lay_out), centroids, frame.weights)
        after = buffers.writable(before)
        finite = self._compiled(frame).apply_contribution(
            contribution.counts, contribution.sums, id(before), id(after), after.layout.centroids
        )
        return self._moved(frame, buffers, before, after) if finite else None

    def summary_kernels(self, precision: np.dtype[Any]) -> NumbaSummaryKernels:
        """Return what a summary of this precision computes with."""
        kernels = self._kernels_of(precision)
        return NumbaSummaryKernels(
            self, kernels.sample_rows, kernels.add_deviations, kernels.add_squares, kernels.stretch_rows,
            kernels.write_means, kernels.split_cells, partial(self._sample_batch, kernels),
        )  # fmt: skip

    def _sample_batch(
        self,
        kernels: Kernels,
        points: PointArray,
        weight: Float64Array,
        labels: LabelArray,
        frame: Frame,
        sample: RowSample,
    ) -> bool:
        check_sample(sample, [points])
        layout = frame.prepared(self._lay_out)
        counts, sums = self._sums.zeroed(layout.centroids.shape)
        return kernels.sample_labelled(
            data_address(points), len(points), weight, layout, labels, counts, sums, id(sample)
        )

    def _moved(self, frame: Frame, buffers: SnapshotBuffers, before: Version, after: Version) -> NewCentroids:
        buffers.keep(before, after)
        moved = frame.at(after.relative, after.weights)
        moved.keep(self._lay_out, after.layout)
        return NewCentroids(after.centroids, after.weights, after.movement, after.moved_rows, moved)

    def _call(self, points: PointArray, sample_weight: Float64Array | None, frame: Frame) -> KernelCall:
        weight = _NO_VALUES if sample_weight is None else sample_weight
        return KernelCall(self._compiled(frame), frame.prepared(self._lay_out), frame, points, weight)

    def _lay_out(self, frame: Frame) -> Layout:
        return lay_out(frame, frame.cache.get(PruningPolicy).axes, self._compiled(frame).lay_out_rows)

    def _look_at(self, frame: Frame, batches: Sequence[PointArray], run: RunTasks) -> None:
        """Choose anew whether to prune, if enough has been done since the last time."""
        pruning = frame.cache.get(PruningPolicy)
        if pruning.is_due(*frame.centroids.shape) and sum(map(len, batches)) >= MIN_SAMPLE_ROWS:
            run(lambda _: pruning.look(frame, _sample(frame, batches)), 1)

    def _follow_pruning(self, frame: Frame, layout: Layout) -> None:
        """Lay the frame out anew if its layout isn't for the axes that are chosen."""
        if layout.axes is not frame.cache.get(PruningPolicy).axes:
            frame.keep(self._lay_out, self._lay_out(frame))

    def _compiled(self, frame: Frame) -> Kernels:
        return self._kernels_of(frame.dtype)

    def _kernels_of(self, precision: np.dtype[Any]) -> Kernels:
        if not self._kernels:
            raise RuntimeError(_NOT_WARM)
        return self._kernels[precision]


@lru_cache(maxsize=1024)
def _max_fused_rows(k: int, d: int) -> int:
    return 2 * min_chunk_rows(k, d) - 1


def _contiguous(weights: Sequence[Float64Array]) -> tuple[Float64Array, ...]:
    """Return the weights as the kernel reads them; those that are C-contiguous float64 aren't copied."""
    return tuple([np.ascontiguousarray(each, np.float64) for each in weights])


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
        yield from in_order.ready(index)

    run(work, len(chunks))
    return Contribution(counts, sums[:, : layout.d], float(inertias.sum()), labels if return_labels else _NO_LABELS)


def _total(parts: Float64Array) -> Float64Array:
    """Add up parts along the first axis, in their order; a single one isn't copied."""
    total: Float64Array = parts[0] if len(parts) == 1 else parts.sum(axis=0)
    return total


def _sample(frame: Frame, batches: Sequence[PointArray]) -> Float64Array:
    """Return a few usable points, spread evenly, in the frame's coordinates."""
    ends = np.cumsum([len(batch) for batch in batches])
    chosen = np.arange(0, ends[-1], -(-ends[-1] // sample_rows(len(frame.centroids))))
    places = np.searchsorted(ends, chosen, side="right")
    begins = ends - [len(batch) for batch in batches]
    rows = [batches[place][chosen[places == place] - begins[place]] for place in np.unique(places)]
    return np.concatenate([frame.transform(each) for each in rows]).astype(np.float64)


class NearlyZeroRowError(Exception):
    """A row is too short to be scaled to length 1 in one step."""


@dataclass(frozen=True)
class Results:
    """Where the results of a chunk go; what is empty is not wanted."""

    labels: LabelArray  # (n,)
    distances: Reals  # (n,)
    counts: Float64Array  # (k,)
    sums: Float64Array  # (k, d up to whole vectors)


@dataclass(frozen=True)
class KernelCall:
    """The kernel, ready for points and a frame."""

    kernels: Kernels
    layout: Layout
    frame: Frame
    points: PointArray  # (n, d)
    weight: Float64Array  # (n,); empty: all 1

    def assign(self, chunk: Chunk, results: Results) -> Pieces:
        """Assign the rows of a chunk piece by piece, add them up if that is wanted, and return their inertia.

        Raises
        ------
        UnusablePoints
            Then the results are void.
        """
        if is_native(self.points, self.frame):
            try:
                return (yield from self._assign_native(chunk, results))
            except NearlyZeroRowError:
                results.counts[...], results.sums[...] = 0, 0
        return (yield from self._assign_transformed(chunk, results))

    @property
    def adds_separately(self) -> bool:
        """Whether rows are better added up to one sum, once they have labels."""
        k, d = self._shape
        plain = is_native(self.points, self.frame) and not self.frame.cosine
        return k * d > SMALL_SUM and plain and len(self.points) >= 2 * min_chunk_rows(k, d)

    def chunks(self, *, with_sums: bool) -> list[Chunk]:
        """Cut the rows; `with_sums`: each chunk has a partial sum."""
        rows, shape = len(self.points), self._shape
        if with_sums:
            return chunks(rows, *shape, with_sums=True)
        return chunks(rows, *shape, with_sums=False, group_rows=self.layout.group)

    def add(self, chunk: Chunk, labels: LabelArray, counts: Float64Array, sums: Float64Array) -> float:
        """Add up rows of a chunk that have labels (n,) and are usable, and return their inertia."""
        points = self.points[chunk.rows]
        return self.kernels.add_rows(
            data_address(points), len(points), self.weight[chunk.rows], self.layout, labels[chunk.rows],
            np.empty(0, self.frame.dtype), counts, sums,
        )  # fmt: skip

    @property
    def _shape(self) -> tuple[int, int]:
        k, d = self.frame.centroids.shape
        return k, d

    # Sums are in the order of the rows, whatever the pieces; of the inertia their boundaries decide the last bits.

    def _assign_native(self, chunk: Chunk, results: Results) -> Pieces:
        inertia = 0.0
        for number, rows in enumerate(chunk.blocks(piece_rows(*self._shape, self.layout.group))):
            if number:
                yield
            inertia += self._call(self.points[rows], rows, results, self.layout)
        return inertia

    def _assign_transformed(self, chunk: Chunk, results: Results) -> Pieces:
        """Do what `assign` does with rows that NumPy brings into the frame's coordinates, block by block."""
        layout = self.layout._replace(origin=np.zeros_like(self.layout.origin), cosine=False)
        inertia = 0.0
        for number, rows in enumerate(chunk.blocks(min(BLOCK_ROWS, piece_rows(*self._shape)))):
            if number:
                yield
            inertia += self._call(self.frame.transform(self.points[rows]), rows, results, layout)
        return inertia

    def _call(self, points: Reals, rows: slice, results: Results, layout: Layout) -> float:
        inertia, largest, nearly_zero, tried = self.kernels.assign_rows(
            data_address(points),
            len(points),
            self.weight[rows],
            layout,
            results.labels[rows],
            results.distances[rows],
            results.counts,
            results.sums,
        )
        if layout is self.layout and not largest <= layout.max_value:  # `transform` has looked at its points
            raise UnusablePoints
        if nearly_zero:
            raise NearlyZeroRowError
        self.frame.cache.get(PruningPolicy).note(layout, len(points), tried)
        return float(inertia)


def is_native(points: PointArray, frame: Frame) -> bool:
    """Return whether the kernel can read points (n, d) as they are."""
    return points.dtype == frame.dtype and points.dtype.isnative and points.flags.c_contiguous


def data_address(points: PointArray) -> int:
    """Return the address of the first row, which need not be aligned.

    It is the first field of an array behind Python's own (`data` of PyArrayObject, which belongs to NumPy's ABI). The
    array interface tells it too, with all the rest, in a time that is a third of a batch of one row.
    """
    return _ADDRESS.from_address(id(points) + object.__basicsize__).value
