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
# Old or new clusters of a component that are matched exactly, in 10 ms at most. In a larger one, and in all of them
# where more pairs share weight than MAX_ENTRIES, the pairs that share most are taken first: they share half as much
# weight, at least, as those of the best matching.
MAX_EXACT = 192
MAX_ENTRIES = 1 << 16
_MAX_ROUNDS = 16  # of looking for pairs that are sure
_MARGIN = 1 + 1e-9  # of rounding: so that no two pairs of one cluster are sure
# Of a point, 40 ns; FIXED_WORK of refinement_schedule.py has room for so many points.
_POINT_WORK, _UNCOUNTED_POINTS = 500, 1 << 15
_POINTS_A_PIECE, _STEPS_A_PIECE = 1 << 15, 4096  # of NumPy, and of Python: some milliseconds


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
        shared = yield from overlaps(before, after, weights, len(ids), n_clusters)
        partners = yield from match(shared)
        heirs = _heirs(shared, partners)
        order = _order(heirs, n_clusters)
        yield
        found.append((yield from _succession(ids, ids_given, shared, heirs, order)))

    run(work, 1)
    return found[0]


def overlaps(
    before: LabelArray, after: LabelArray, weights: Float64Array, k_before: int, k_after: int
) -> Pieces[Overlaps]:
    """Return how much weight points (m,) with labels before and after make old and new clusters share."""
    largest = weights.max()  # lest their sums overflow
    parts = []  # keys of pairs, sorted, and the weight that they share
    for start in range(0, len(before), _POINTS_A_PIECE):
        points = slice(start, start + _POINTS_A_PIECE)
        keys = before[points].astype(np.int64) * k_after + after[points]
        parts.append(_added_up(keys, weights[points] / largest))
        yield
    entries = sum(len(keys) for keys, _ in parts)
    bounds = np.linspace(0, k_before, 2 + entries // _POINTS_A_PIECE, dtype=np.int64) * k_after
    ends = [np.searchsorted(keys, bounds) for keys, _ in parts]
    found = []
    for number in range(len(bounds) - 1):
        slices = [slice(*each[number : number + 2]) for each in ends]
        keys, shared = _added_up(
            np.concatenate([keys[some] for (keys, _), some in zip(parts, slices, strict=True)]),
            np.concatenate([shared[some] for (_, shared), some in zip(parts, slices, strict=True)]),
        )
        found.append((*np.divmod(keys[shared > 0], k_after), shared[shared > 0]))
        yield
    old, new, weight = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    old_weight = np.bincount(old, weight, k_before).astype(np.float64, copy=False)
    new_weight = np.bincount(new, weight, k_after).astype(np.float64, copy=False)
    return Overlaps(old, new, weight, old_weight, new_weight)


def succession_work(m: int) -> int:
    """Return how many multiplications `succeed` takes the time of, for m points beyond what each refinement counts."""
    return _POINT_WORK * max(m - _UNCOUNTED_POINTS, 0)


def _added_up(keys: IndexArray, weights: Float64Array) -> tuple[IndexArray, Float64Array]:
    """Return the keys that there are, sorted, and the weight of each."""
    some, places = np.unique(keys, return_inverse=True)
    return some, np.bincount(places, weights, len(some)).astype(np.float64, copy=False)


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
    if len(old) > MAX_ENTRIES:
        yield from _match_greedily(old, new, weight, partners)
    elif len(old):
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
    by_weight = np.argsort(-weight, kind="stable")
    matched, taken = set(), set()
    for start in range(0, len(by_weight), _STEPS_A_PIECE):
        yield
        some = by_weight[start : start + _STEPS_A_PIECE]
        for one, other in zip(old[some].tolist(), new[some].tolist(), strict=True):
            if one not in matched and other not in taken:
                partners[one] = other
                matched.add(one)
                taken.add(other)


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


def _succession(
    ids: IndexArray, ids_given: int, shared: Overlaps, heirs: IndexArray, order: IndexArray
) -> Pieces[Succession]:
    living = heirs >= 0
    by_label, lives = np.full(len(order), -1), np.zeros(len(order), np.bool_)  # of the new clusters
    by_label[heirs[living]], lives[heirs[living]] = ids[living], True
    begun = order[~lives[order]]  # in the order of their places
    by_label[begun] = np.arange(ids_given, ids_given + len(begun))
    after = by_label[order]
    from_old, into_new = _mostly(shared, living, lives)
    changes: list[Change] = []
    for new, source in zip(by_label[begun].tolist(), from_old[begun].tolist(), strict=True):
        if len(changes) % _STEPS_A_PIECE == 0:
            yield
        changes.append(Change("born", new, None) if source < 0 else Change("split", new, int(ids[source])))
    starving = shared.old_weight <= STARVING * shared.old_weight.sum() / len(ids)
    for number, place in enumerate(np.flatnonzero(~living).tolist()):
        if number % _STEPS_A_PIECE == 0:
            yield
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
