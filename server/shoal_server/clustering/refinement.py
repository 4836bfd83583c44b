"""Fitting centroids anew to weighted points, such as a summary of a stream; and fitting any other number of them.

An update only moves a centroid to where its own points are, and so ends in whatever optimum the first points led to. A
refinement leaves it: a centroid is taken away where little is lost by that, and put where more is won. A light one
costs a few assignments of all points, and at its end looks for a small cluster that lies apart (small_clusters.py). A
deep one also keeps swaps that lose a little, ever less of it (as in simulated annealing), and finds better optima than
the best of ten fits from scratch.

Work is counted, and bounded, in multiplications: nothing here looks at the clock. It is done on one thread, in pieces
between which others go first, and the pieces change no bit of the result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from shoal_server.clustering.learning import PendingLight
from shoal_server.clustering.refinement_schedule import Depth
from shoal_server.clustering.search import (
    Pieces,
    Points,
    Refined,
    Search,
    SearchKernels,
    overshoot,
    pack_work,
    run_steps,
    seed_work,
)
from shoal_server.clustering.small_clusters import MAX_LOSS, find_small_cluster, small_cluster_work
from shoal_server.engines.chunks import row_work
from shoal_server.engines.contract import Float64Array, RunTasks, holding_memory

# How much a swap may lose in each stage of a deep refinement, in shares of what a cluster adds to the inertia on
# average. A light one has the first stage alone.
STAGES = (0.0, 0.3, 0.2, 0.1, 0.05, 0.0)
# The swaps of a stage: so many, and one more for each cluster; and half the clusters' number in a light refinement.
_LIGHT_SWAPS, _STAGE_SWAPS = 32, 32
# The multiplications of these swaps, of all stages together: in assignments of all points, and for small problems.
_LIGHT_PASSES, _LIGHT_WORK = 2, 1 << 27
_DEEP_PASSES, _DEEP_WORK = 16, 1 << 30
# Moves of all centroids to their means, at most: before and after a light refinement's swaps, after the first stage of
# a deep one, and at its end.
_FIRST_STEPS, _LIGHT_STEPS, _STEPS, _LAST_STEPS = 2, 2, 3, 12
# Of a light refinement that is done in rounds: the multiplications of the swaps of each.
_ROUND_WORK = 1 << 26
# Pieces of a deep refinement that are done before others go first: 15 ms.
PIECES_AT_ONCE = 3
# Values of its points that are laid out for these without a pause, in 10 ms: as many as a default summary has.
_MAX_UNCUT_VALUES = 1 << 22


def refine(
    points: Points,
    weights: Float64Array,
    centroids: Float64Array,
    *,
    depth: Depth,
    fresh: bool,
    seed: Sequence[int],
    cosine: bool,
    kernels: SearchKernels,
    run: RunTasks,
) -> Refined:
    """Return better centroids for weighted points, or the same if none are found.

    A centroid keeps its place where it only moves; one that is swapped takes the place of the one that it replaces. One
    without points stays where it is, or goes to a point that has none of its own.

    Parameters
    ----------
    points, weights
        (m, d) relative to an origin among them, and (m,) not negative. Under cosine the centroids have length 1, and
        the points length 1 or, as means of such, less.
    centroids
        (k, d) to begin with, in the same coordinates.
    depth
        How much is done.
    fresh
        Whether a deep refinement also begins with greedy k-means++, and goes on with the better one of the two.
    seed
        Numbers, not negative, that settle what is drawn.
    cosine
        Whether centroids are scaled to length 1.
    kernels, run
        What computes; and lets others go first, or raises Halted.
    """
    if not (weights > 0).any():
        return Refined(centroids.copy(), np.zeros(len(centroids)), 0.0, 0, np.zeros(len(points), np.int32))
    search = Search(points, weights, len(centroids), cosine=cosine, kernels=kernels)
    random = np.random.default_rng(seed)
    if depth == "light":
        return _result(_refine_lightly(search, centroids, random), search, run)
    return _result(_refine_deeply(search, centroids, random, fresh=fresh), search, run)


def refine_for_a_round(
    points: Points,
    weights: Float64Array,
    start: PendingLight,
    *,
    seed: Sequence[int],
    cosine: bool,
    kernels: SearchKernels,
    run: RunTasks,
) -> tuple[PendingLight, float]:
    """Go on with a light refinement for a while, and return how far it has come, and the inertia.

    The points may be others than before; some have a weight above 0.

    The first round starts with the centroids and `light_swaps`. The other parameters are those of `refine`.
    """
    search = Search(points, weights, len(start.centroids), cosine=cosine, kernels=kernels)
    return run_steps(_refine_for_a_round(search, start, np.random.default_rng(seed)), run)


class DeepRefinement:
    """A deep refinement that is done bit by bit; parameters as those of `refine`. There must be points."""

    def __init__(
        self,
        points: Points,
        weights: Float64Array,
        centroids: Float64Array,
        *,
        fresh: bool,
        seed: Sequence[int],
        cosine: bool,
        kernels: SearchKernels,
    ) -> None:
        self.pieces = 0  # that have been done
        self.refined: Refined | None = None  # None: it isn't done yet
        self._search = Search(points, weights, len(centroids), cosine=cosine, kernels=kernels)
        self._steps = _refine_deeply(self._search, centroids, np.random.default_rng(seed), fresh=fresh)

    def advance(self, pieces: int, run: RunTasks) -> bool:
        """Go on until so many pieces have been done in all, and return whether the last of all was among them.

        Between two calls, and while others go first, it holds little more than the points and what each of them is
        nearest to; where there are very many of them it holds more.
        """
        m, _, d = self._search.shape
        is_large = m * d > _MAX_UNCUT_VALUES

        def work(_: int) -> Iterator[None]:
            while self.refined is None and self.pieces < pieces:
                if is_large:
                    yield from self._search.wake()
                else:
                    deque(self._search.wake(), maxlen=0)
                for _ in range(min(PIECES_AT_ONCE, pieces - self.pieces)):
                    self._do_piece()
                self._search.rest()
                yield

        try:
            (holding_memory(run) if is_large else run)(work, 1)
        finally:
            self._search.rest()
        return self.refined is not None and self.pieces <= pieces

    def _do_piece(self) -> None:
        if self.refined is not None:
            return
        try:
            next(self._steps)
        except StopIteration as end:
            found: Refined = end.value
            self.refined = found._replace(work=self._search.work)
        self.pieces += 1


def fit(
    points: Points,
    weights: Float64Array,
    n_clusters: int,
    *,
    seed: Sequence[int],
    cosine: bool,
    kernels: SearchKernels,
    run: RunTasks,
    n_starts: int,
) -> Refined:
    """Return the best of so many fits of any number of centroids to weighted points; parameters as those of `refine`.

    There must be points; more centroids than different points lie on some of them.
    """
    if not (weights > 0).any():
        raise ValueError("no point has a weight above 0")
    search = Search(points, weights, n_clusters, cosine=cosine, kernels=kernels)
    return _result(fit_steps(search, np.random.default_rng(seed), n_starts), search, run)


def expected_work(m: int, k: int, d: int, depth: Depth, *, fresh: bool) -> int:
    """Return the most multiplications that `refine` does with m points of d columns and k centroids."""
    one_pass = m * row_work(k, d)
    if depth == "light":
        swaps = _max_work(_LIGHT_PASSES, _LIGHT_WORK, m, k, d) + overshoot(m, k, d)
        small_cluster = (2 + _LIGHT_STEPS) * one_pass + small_cluster_work(m, d)
        return pack_work(m, d) + (1 + _FIRST_STEPS + _LIGHT_STEPS) * one_pass + swaps + small_cluster
    a_stage = _max_work(_DEEP_PASSES, _DEEP_WORK, m, k, d) // len(STAGES) + overshoot(m, k, d)
    warm = pack_work(m, d) + (1 + _STEPS + _LAST_STEPS) * one_pass + len(STAGES) * a_stage
    anew = seed_work(m, k, d) + (1 + _STEPS + _STEPS + 1) * one_pass + a_stage
    return warm + anew if fresh else warm


def expected_rounds(m: int, k: int, d: int) -> tuple[int, int]:
    """Return how many rounds a light refinement takes at most, and the multiplications by which each adds to its work.

    One more is for the comparison of what is found with what there is.
    """
    swaps = _max_work(_LIGHT_PASSES, _LIGHT_WORK, m, k, d)
    return -(-swaps // _ROUND_WORK) + 1, pack_work(m, d) + m * row_work(k, d) + overshoot(m, k, d)


def expected_fit_work(m: int, k: int, d: int, n_starts: int) -> int:
    """Return the most multiplications that `fit` does with m points of d columns and k centroids."""
    one_pass = m * row_work(k, d)
    a_stage = _max_work(_DEEP_PASSES, _DEEP_WORK, m, k, d) // len(STAGES) + overshoot(m, k, d)
    one_start = seed_work(m, k, d) + (1 + 2 * _STEPS + _LAST_STEPS) * one_pass + len(STAGES) * a_stage
    return pack_work(m, d) + n_starts * one_start


def light_swaps(n_clusters: int) -> int:
    """Return how many swaps a light refinement tries."""
    return _LIGHT_SWAPS + n_clusters // 2


def _refine_lightly(search: Search, centroids: Float64Array, random: np.random.Generator) -> Pieces[Refined]:
    yield from search.pack()
    yield from search.place(centroids)
    before = yield from search.settle(0)
    yield from search.settle(_FIRST_STEPS)
    m, k, d = search.shape
    max_work = _max_work(_LIGHT_PASSES, _LIGHT_WORK, m, k, d)
    yield from search.swap(light_swaps(k), 0.0, max_work, random)
    found = yield from search.settle(_LIGHT_STEPS)
    if k > 1 and before.inertia <= found.inertia:
        yield from search.place(before.centroids)
    found = _better(before, found)
    return (found if k == 1 else (yield from _with_small_cluster(search, found, steps=_LIGHT_STEPS)))._replace(
        before=before
    )


def _refine_for_a_round(
    search: Search, start: PendingLight, random: np.random.Generator
) -> Pieces[tuple[PendingLight, float]]:
    yield from search.pack()
    yield from search.place(start.centroids)
    before, (m, k, d) = search.work, search.shape
    left = _max_work(_LIGHT_PASSES, _LIGHT_WORK, m, k, d) - start.swap_work
    swaps = yield from search.swap(start.swaps_left, 0.0, min(left, _ROUND_WORK), random)
    swap_work = search.work - before
    done = start.swap_work + swap_work
    if swaps.tried < start.swaps_left and swap_work < left:
        centroids, inertia = yield from search.move()
        return PendingLight(centroids, start.swaps_left - swaps.tried, done, start.work + search.work), inertia
    takes_long = m * row_work(k, d) > _ROUND_WORK  # and what the last round found is compared, too
    found = yield from search.settle(0 if takes_long else 1)
    if k > 1:
        found = yield from _with_small_cluster(search, found, steps=0)
    without = found.without_small_cluster
    cost = found.inertia / without if without else 1.0
    return PendingLight(found.centroids, 0, done, start.work + search.work, cost), found.inertia


def _with_small_cluster(search: Search, found: Refined, *, steps: int) -> Pieces[Refined]:
    """Return what was found, and is in place, or centroids one of which is in a small cluster that lies apart."""
    m, k, d = search.shape
    move = yield from find_small_cluster(*search.scaled_points(), k)
    search.work += small_cluster_work(m, d)
    if move is None:
        return found
    centroids = found.centroids.copy()
    centroids[move.label] = move.mean * search.scale
    yield from search.place(centroids)
    other = yield from search.settle(steps)
    is_allowed = np.isfinite(other.inertia) and other.inertia <= (1 + MAX_LOSS) * found.inertia
    return other._replace(without_small_cluster=min(found.inertia, other.inertia)) if is_allowed else found


def _refine_deeply(
    search: Search, centroids: Float64Array, random: np.random.Generator, *, fresh: bool
) -> Pieces[Refined]:
    yield from search.pack()
    yield from search.place(centroids)
    best = yield from search.settle(0)
    yield from _stage(search, STAGES[0], random)
    best = _better(best, (yield from search.settle(_STEPS)))
    if fresh:
        seeded = yield from _seeded(search, random)
        if seeded.inertia < best.inertia:
            best = seeded
        else:
            yield from search.place(best.centroids)
        del seeded  # lest it be kept as long as this goes on
    return _better(best, (yield from _annealed(search, random)))


def fit_steps(search: Search, random: np.random.Generator, n_starts: int) -> Pieces[Refined]:
    """Do what `fit` does with a search that nothing has been done with."""
    yield from search.pack()
    found = []
    for _ in range(n_starts):
        yield from _seeded(search, random)
        found.append((yield from _annealed(search, random)))
    return min(found, key=lambda refined: refined.inertia)


def _seeded(search: Search, random: np.random.Generator) -> Pieces[Refined]:
    """Begin anew, and do the first stage."""
    yield from search.seed(random)
    yield from search.settle(_STEPS)
    yield from _stage(search, STAGES[0], random)
    return (yield from search.settle(_STEPS))


def _annealed(search: Search, random: np.random.Generator) -> Pieces[Refined]:
    """Do the other stages, unless there is no way even to a worse optimum nearby."""
    for allowed in STAGES[1:]:
        kept = yield from _stage(search, allowed, random)
        if not kept and allowed > 0:
            break
    return (yield from search.settle(_LAST_STEPS))


def _stage(search: Search, allowed: float, random: np.random.Generator) -> Pieces[int]:
    m, k, d = search.shape
    max_work = _max_work(_DEEP_PASSES, _DEEP_WORK, m, k, d) // len(STAGES)
    swaps = yield from search.swap(_STAGE_SWAPS + k, allowed, max_work, random)
    return swaps.kept


def _max_work(passes: int, least: int, m: int, k: int, d: int) -> int:
    return passes * m * row_work(k, d) + least


def _better(one: Refined, other: Refined) -> Refined:
    return other if other.inertia < one.inertia else one


def _result(steps: Pieces[Refined], search: Search, run: RunTasks) -> Refined:
    """Run the steps in pieces, and return what they find."""
    return run_steps(steps, run)._replace(work=search.work)
