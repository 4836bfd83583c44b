"""Which cluster is which after the centroids have been fitted anew.

The weighted points of the summary, by their label before and after, say how much weight each old cluster shares with
each new one. Old and new are matched so that the pairs share as much weight as can be (an assignment problem: Kuhn,
"The Hungarian method", 1955). A matched pair is the same cluster if its Ochiai coefficient, shared weight over the
geometric mean of both weights, is at least a half: so a cluster lives on that keeps a quarter of its weight and gains
none, or grows to four times its weight and loses none, or that keeps half and doubles.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from shoal_server.clustering.buckets import IndexArray
from shoal_server.engines.contract import BoolArray, Float64Array, LabelArray, RunTasks
from shoal_server.libraries import library

ChangeKind = Literal["born", "split", "merged", "reseeded", "retired"]
T = TypeVar("T")
Pieces = Generator[None, None, T]

SAME = 0.5  # the least Ochiai coefficient of a matched pair that is the same cluster
# A cluster that ends is said to be starving if it has less than this share of what a cluster weighs on average: a
# small but distinct one, of a thousandth of the weight, never is.
STARVING = 1e-3
# Old or new clusters of a component that are matched exactly, in 8 ms at most; in a larger one the pairs that share
# most are taken first, which leaves at least half of the shared weight.
MAX_EXACT = 256
_MAX_ROUNDS = 16  # of looking for pairs that are sure
_MARGIN = 1 + 1e-9  # of rounding: so that no two pairs of one cluster are sure
_ENTRIES_A_PIECE = 4096


class Change(NamedTuple):
    """A cluster that began or ended; `other` is the one that it split from or merged into, or that has its place."""

    kind: ChangeKind
    cluster: int  # id
    other: int | None  # id


class Succession(NamedTuple):
    """What became of clusters."""

    order: IndexArray  # (k,) which of the new centroids each place has: a cluster that lives on keeps its place
    ids: IndexArray  # (k,) of the clusters at these places; read-only
    ids_given: int  # so many ids have been used: the next one
    changes: list[Change]  # those that began first, each in the order of their places


class Overlaps(NamedTuple):
    """The weight that old and new clusters share: the pairs that share some, by old and then new label."""

    old: IndexArray  # (e,) labels
    new: IndexArray  # (e,)
    weight: Float64Array  # (e,) above 0
    old_weight: Float64Array  # (k before,) of each cluster
    new_weight: Float64Array  # (k after,)


def succeed(
    ids: IndexArray,
    ids_given: int,
    before: LabelArray,
    after: LabelArray,
    weights: Float64Array,
    n_clusters: int,
    run: RunTasks,
) -> Succession:
    """Return which of new clusters are which of the old ones.

    Parameters
    ----------
    ids
        (k before,) of the old clusters.
    ids_given
        How many ids have been used: new clusters have the next ones.
    before, after
        (m,) labels of points, of the old clusters and of the new ones.
    weights
        (m,) of these points.
    n_clusters
        How many new clusters there are.
    run
        Lets others go first, or raises Halted.
    """
    found: list[Succession] = []

    def work(_: int) -> Iterator[None]:
        shared = overlaps(before, after, weights, len(ids), n_clusters)
        yield
        partners = yield from match(shared)
        heirs = _heirs(shared, partners)
        order = _order(heirs, n_clusters)
        yield
        found.append(_succession(ids, ids_given, shared, heirs, order))

    run(work, 1)
    return found[0]


def overlaps(before: LabelArray, after: LabelArray, weights: Float64Array, k_before: int, k_after: int) -> Overlaps:
    """Return how much weight points (m,) with labels before and after make old and new clusters share."""
    weights = weights / weights.max()  # lest their sums overflow
    keys, pairs = np.unique(before.astype(np.int64) * k_after + after, return_inverse=True)
    shared = np.bincount(pairs, weights, len(keys))
    keys, shared = keys[shared > 0], shared[shared > 0]
    old, new = np.divmod(keys, k_after)
    return Overlaps(old, new, shared, np.bincount(before, weights, k_before), np.bincount(after, weights, k_after))


def match(shared: Overlaps) -> Pieces[IndexArray]:
    """Return the new label that each old cluster is matched with, (k before,); -1: none.

    A pair that shares more than half of all that either has (its Jaccard index is above ½, so that 3·shared is more
    than both weights together) is in every best matching: to part it costs more than both could win by it. Without
    these pairs, again and again, little is left to be matched: for that pairs are chosen in each connected component.
    """
    old, new, weight = shared.old, shared.new, shared.weight
    k_before, k_after = len(shared.old_weight), len(shared.new_weight)
    partners, taken = np.full(k_before, -1), np.zeros(k_after, np.bool_)
    for _ in range(_MAX_ROUNDS):
        both = np.bincount(old, weight, k_before)[old] + np.bincount(new, weight, k_after)[new]
        sure = 3 * weight > _MARGIN * both
        if not sure.any():
            break
        partners[old[sure]] = new[sure]
        taken[new[sure]] = True
        left = (partners[old] < 0) & ~taken[new]
        old, new, weight = old[left], new[left], weight[left]
        yield
    if len(old):
        yield from _match_components(old, new, weight, partners)
    return partners


def _match_components(old: IndexArray, new: IndexArray, weight: Float64Array, partners: IndexArray) -> Pieces[None]:
    olds, rows = np.unique(old, return_inverse=True)
    news, columns = np.unique(new, return_inverse=True)
    size = len(olds) + len(news)
    graph = library("scipy.sparse").coo_array((np.ones(len(old)), (rows, len(olds) + columns)), (size, size))
    _, component = library("scipy.sparse.csgraph").connected_components(graph, directed=False)
    yield
    by_component = np.argsort(component[rows], kind="stable")
    ends = np.flatnonzero(np.diff(component[rows][by_component])) + 1
    for entries in np.split(by_component, ends):
        pairs = old[entries], new[entries], weight[entries]
        if max(len(np.unique(pairs[0])), len(np.unique(pairs[1]))) <= MAX_EXACT:
            _match_exactly(*pairs, partners)
            yield
        else:
            yield from _match_greedily(*pairs, partners)


def _match_exactly(old: IndexArray, new: IndexArray, weight: Float64Array, partners: IndexArray) -> None:
    olds, rows = np.unique(old, return_inverse=True)
    news, columns = np.unique(new, return_inverse=True)
    table = np.zeros((len(olds), len(news)))
    table[rows, columns] = weight
    rows, columns = library("scipy.optimize").linear_sum_assignment(table, maximize=True)
    some = table[rows, columns] > 0
    partners[olds[rows[some]]] = news[columns[some]]


def _match_greedily(old: IndexArray, new: IndexArray, weight: Float64Array, partners: IndexArray) -> Pieces[None]:
    taken: set[int] = set()
    for place, entry in enumerate(np.lexsort((new, old, -weight)), 1):
        if partners[old[entry]] < 0 and int(new[entry]) not in taken:
            partners[old[entry]] = new[entry]
            taken.add(int(new[entry]))
        if place % _ENTRIES_A_PIECE == 0:
            yield


def _heirs(shared: Overlaps, partners: IndexArray) -> IndexArray:
    """Return the new label that each old cluster lives on at, (k before,); -1: it doesn't."""
    k_after = len(shared.new_weight)
    heirs = np.full(len(partners), -1)
    matched = partners[shared.old] == shared.new
    old, new = shared.old[matched], shared.new[matched]
    same = shared.weight[matched] >= SAME * np.sqrt(shared.old_weight[old] * shared.new_weight[new])
    heirs[old[same]] = new[same]
    # More centroids than different points: those without any stay what they are, at their places as far as can be.
    old_empty, new_empty = shared.old_weight == 0, shared.new_weight == 0
    both = min(len(heirs), k_after)
    stay = np.flatnonzero(old_empty[:both] & new_empty[:both])
    heirs[stay] = stay
    old_empty[stay] = new_empty[stay] = False
    others, places = np.flatnonzero(old_empty), np.flatnonzero(new_empty)
    count = min(len(others), len(places))
    heirs[others[:count]] = places[:count]
    return heirs


def _order(heirs: IndexArray, k_after: int) -> IndexArray:
    """Return which new centroid each place has, (k after,)."""
    order, placed = np.full(k_after, -1), np.zeros(k_after, np.bool_)
    living = np.flatnonzero(heirs[:k_after] >= 0)
    order[living] = heirs[living]
    placed[heirs[living]] = True
    own = np.flatnonzero(~placed & (order < 0))
    order[own] = own
    placed[own] = True
    order[order < 0] = np.flatnonzero(~placed)
    return order


def _succession(ids: IndexArray, ids_given: int, shared: Overlaps, heirs: IndexArray, order: IndexArray) -> Succession:
    living = heirs >= 0
    by_label, lives = np.full(len(order), -1), np.zeros(len(order), np.bool_)  # of the new clusters
    by_label[heirs[living]], lives[heirs[living]] = ids[living], True
    begun = order[~lives[order]]  # in the order of their places
    by_label[begun] = np.arange(ids_given, ids_given + len(begun))
    after = by_label[order]
    from_old, into_new = _mostly(shared, living, lives)
    changes = [
        Change("born" if source < 0 else "split", new, None if source < 0 else int(ids[source]))
        for new, source in zip(by_label[begun].tolist(), from_old[begun].tolist(), strict=True)
    ]
    starving = shared.old_weight <= STARVING * shared.old_weight.sum() / len(ids)
    for place in np.flatnonzero(~living).tolist():
        heir = int(into_new[place])
        if starving[place] and place < len(order) and after[place] >= ids_given:
            changes.append(Change("reseeded", int(ids[place]), int(after[place])))
        elif heir >= 0:
            changes.append(Change("merged", int(ids[place]), int(by_label[heir])))
        else:
            changes.append(Change("retired", int(ids[place]), None))
    after.setflags(write=False)
    return Succession(order, after, ids_given + len(begun), changes)


def _mostly(shared: Overlaps, old_lives: BoolArray, new_lives: BoolArray) -> tuple[IndexArray, IndexArray]:
    """Return from which old cluster that lives on most of each new one comes; and the other way. -1: none."""
    from_old, into_new = np.full(len(shared.new_weight), -1), np.full(len(shared.old_weight), -1)
    old, new, weight = shared.old, shared.new, shared.weight
    most = (2 * weight > _MARGIN * shared.new_weight[new]) & old_lives[old]
    from_old[new[most]] = old[most]
    most = (2 * weight > _MARGIN * shared.old_weight[old]) & new_lives[new]
    into_new[old[most]] = new[most]
    return from_old, into_new
