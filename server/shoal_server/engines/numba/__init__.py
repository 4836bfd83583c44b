"""The engine of compiled kernels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal_server.engines.chunks import OrderedReducer, min_chunk_rows
from shoal_server.engines.contract import (
    Assignment,
    Contribution,
    Float64Array,
    Frame,
    FusedBatches,
    FusedResult,
    NewCentroids,
    PointArray,
    RunTasks,
)
from shoal_server.engines.numba.kernel_call import Cover, Pieces, Results, address_of
from shoal_server.engines.numba.layout import Layout, lay_out
from shoal_server.engines.numba.pruning_policy import MIN_SAMPLE_ROWS, SAMPLE_ROWS, PruningPolicy
from shoal_server.engines.numba.signatures import Entries, compile_entries
from shoal_server.engines.numba.snapshot_buffers import SnapshotBuffers, Sums, Version

_NO_VALUES = np.empty(0)
_NO_LABELS = np.empty(0, np.int32)
_NO_SUMS = np.empty((0, 0))


class NumbaEngine:
    """Assigns and adds up in compiled code that reads points where they are and lets other threads run.

    Points of the frame's own type are not copied. Others are brought into the frame's coordinates block by block.
    """

    def __init__(self) -> None:
        self._entries: dict[np.dtype[Any], Entries] = {}
        self._sums = Sums()

    def warm_up(self) -> None:
        """Compile the kernels, or load them from the cache of an earlier run."""
        self._entries = compile_entries()

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
        cover = self._cover(points, sample_weight, frame)
        contribution = (_in_two_passes if cover.adds_apart else _in_one_pass)(cover, run, return_labels=return_labels)
        self._settle_regime(frame, [points])
        return contribution

    def assign(self, points: PointArray, frame: Frame, run: RunTasks, *, return_distances: bool) -> Assignment:
        """Assign the points to the frame's centroids."""
        cover = self._cover(points, None, frame)
        cut = cover.chunks(with_sums=False)
        labels = np.empty(len(points), np.int32)
        distances = np.empty(len(points) if return_distances else 0, frame.dtype)
        results = Results(labels, distances, _NO_VALUES, _NO_SUMS)

        def work(index: int) -> Pieces:
            return cover.chunk(cut[index], results)

        run(work, len(cut))
        self._settle_regime(frame, [points])
        return Assignment(labels, distances if return_distances else None)

    def max_rows(self, frame: Frame) -> int:
        """Return how many rows a batch of a course may have: larger ones are work for several threads."""
        return 2 * min_chunk_rows(*frame.centroids.shape) - 1

    def apply_batches(self, fused_batches: FusedBatches) -> FusedResult:
        """Apply batches of the frame's type, each C-contiguous and every row of weight 1."""
        before, newest = fused_batches.frame, self._version(fused_batches.centroids, fused_batches.frame)
        version, moved_rows = (
            before.cache.get(SnapshotBuffers).writable(newest),
            np.zeros(len(fused_batches.centroids), np.bool_),
        )
        layout, weights, movement = version.layout, before.weights.copy(), np.zeros(len(fused_batches.centroids))
        counts, sums = self._sums.of(*layout.centroids.shape)
        rows = np.array([len(batch) for batch in fused_batches.batches])
        labels = np.empty(int(rows.sum()), np.int32) if fused_batches.return_labels else _NO_LABELS
        inertias = np.empty(len(rows))
        try:
            applied, tried = self._compiled(before).follow(
                np.array([address_of(batch) for batch in fused_batches.batches]),
                rows,
                fused_batches.decays,
                _NO_VALUES,
                layout.d,
                layout.tiles,
                layout.offsets,
                layout.centroids,
                layout.norms,
                layout.origin,
                layout.basis,
                layout.rotation,
                layout.short_tiles,
                layout.margins,
                before.cosine,
                layout.group,
                layout.width,
                layout.stored,
                before.most,
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
        before.cache.get(PruningPolicy).note(layout, max(int(rows.sum()), 1), tried)
        moved = self._moved(before, newest, version, moved_rows, weights, movement)
        self._settle_regime(moved.frame, fused_batches.batches[:applied])
        return FusedResult(inertias[:applied], labels, moved)

    def move(self, centroids: Float64Array, frame: Frame, contribution: Contribution) -> NewCentroids | None:
        """Apply a contribution to centroids (k, d) that the frame stands for; None: something would not be finite."""
        if not np.isfinite(contribution.inertia):
            return None
        newest = self._version(centroids, frame)
        version, weights, movement = (
            frame.cache.get(SnapshotBuffers).writable(newest),
            frame.weights.copy(),
            np.zeros(len(centroids)),
        )
        layout = version.layout
        finite = self._compiled(frame).move(
            contribution.counts,
            contribution.sums,
            layout.d,
            layout.tiles,
            layout.offsets,
            layout.centroids,
            layout.norms,
            layout.origin,
            layout.rotation,
            layout.short_tiles,
            layout.margins,
            frame.cosine,
            version.centroids,
            weights,
            movement,
        )
        return self._moved(frame, newest, version, contribution.counts > 0, weights, movement) if finite else None

    def _version(self, centroids: Float64Array, frame: Frame) -> Version:
        return Version(frame.prepared(self._lay_out), centroids)

    def _moved(
        self,
        before: Frame,
        last: Version,
        version: Version,
        moved: NDArray[np.bool_],
        weights: Float64Array,
        movement: Float64Array,
    ) -> NewCentroids:
        layout = version.layout
        before.cache.get(SnapshotBuffers).keep(last, version, moved)
        frame = before.at(layout.centroids[:, : layout.d], weights)
        frame.keep(self._lay_out, layout)
        return NewCentroids(version.centroids, weights, movement, frame)

    def _cover(self, points: PointArray, sample_weight: Float64Array | None, frame: Frame) -> Cover:
        weight = _NO_VALUES if sample_weight is None else sample_weight
        return Cover(self._compiled(frame), frame.prepared(self._lay_out), frame, points, weight)

    def _lay_out(self, frame: Frame) -> Layout:
        return lay_out(frame, frame.cache.get(PruningPolicy).axes, self._compiled(frame).lay_rows)

    def _settle_regime(self, frame: Frame, batches: Sequence[PointArray]) -> None:
        """Choose a regime anew if enough has been done since the last time, and lay the frame out for it."""
        pruning = frame.cache.get(PruningPolicy)
        if pruning.is_due(*frame.centroids.shape) and sum(map(len, batches)) >= MIN_SAMPLE_ROWS:
            pruning.look(frame, _sample(frame, batches))
        if frame.prepared(self._lay_out).chosen is not pruning.axes:
            frame.keep(self._lay_out, self._lay_out(frame))

    def _compiled(self, frame: Frame) -> Entries:
        if not self._entries:
            raise RuntimeError("warm_up comes before the first batch")
        return self._entries[frame.dtype]


def _in_one_pass(cover: Cover, run: RunTasks, *, return_labels: bool) -> Contribution:
    """Add each row up while it is in the cache, to the sums of its span."""
    layout = cover.layout
    cut = cover.chunks(with_sums=True)
    labels = np.empty(len(cover.points) if return_labels else 0, np.int32)
    counts, inertias = np.zeros((len(cut), len(layout.centroids))), np.zeros(len(cut))
    sums = np.zeros((len(cut), *layout.centroids.shape))
    no_distances = np.empty(0, layout.centroids.dtype)

    def work(index: int) -> Iterator[None]:
        results = Results(labels, no_distances, counts[index], sums[index])
        inertias[index] = yield from cover.chunk(cut[index], results)

    run(work, len(cut))
    return Contribution(_total(counts), _total(sums)[:, : layout.d], float(inertias.sum()), labels)


def _in_two_passes(cover: Cover, run: RunTasks, *, return_labels: bool) -> Contribution:
    """Add rows up to one sum, in their order, while others are being labelled."""
    layout = cover.layout
    cut = cover.chunks(with_sums=False)
    labels, counts = np.empty(len(cover.points), np.int32), np.zeros(len(layout.centroids))
    sums, inertias = np.zeros(layout.centroids.shape), np.zeros(len(cut))
    labelled = Results(labels, np.empty(0, layout.centroids.dtype), _NO_VALUES, _NO_SUMS)

    def add(index: int) -> None:
        inertias[index] = cover.add(cut[index], labels, counts, sums)

    in_order = OrderedReducer(add)

    def work(index: int) -> Iterator[None]:
        yield from cover.chunk(cut[index], labelled)
        in_order.ready(index)

    run(work, len(cut))
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
