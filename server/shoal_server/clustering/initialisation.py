"""The warm-up: the first points are collected, and the initial centroids chosen from them.

No point is lost: they all count in version 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal_server.clustering.config import InitMethod, ModelConfig, n_trials
from shoal_server.clustering.events import first_clusters, tell
from shoal_server.clustering.forgetting import Decay, without_tiny
from shoal_server.clustering.origin import origin_among
from shoal_server.clustering.state import CoordinateSystem, Model, WarmupBatch, WarmupBuffer
from shoal_server.clustering.update import advance, first_snapshot
from shoal_server.clustering.validation import ValidRows
from shoal_server.engines.contract import Assignment, Engine, Float64Array, Frame, LabelArray, PointArray, RunTasks

MAX_SHUFFLED = 1 << 17  # rows, in 5 ms
BLOCK_VALUES = 1 << 20  # of points, and of distances to the candidates: 5 ms of work, and 16 MiB


def collect(warmup: WarmupBuffer, rows: ValidRows, decay: Decay) -> WarmupBuffer:
    """Return what has been collected with the rows of one more batch; those of weight 0 don't count."""
    weight = np.ones(len(rows.points)) if rows.sample_weight is None else rows.sample_weight
    counting = weight > 0
    age = warmup.age + decay.half_lives
    # Indexing copies: the points are a view of a message that may be much larger.
    points = rows.points[counting]
    if not len(points):
        return WarmupBuffer(warmup.batches, warmup.seen, age)
    batch = WarmupBatch(points, weight[counting], np.full(len(points), age))
    return WarmupBuffer(_appended(warmup.batches, batch), warmup.seen + len(points), age)


class FirstRows(NamedTuple):
    """All rows that were collected for the initial centroids, as version 1 took them."""

    points: PointArray  # (n, d)
    sample_weight: Float64Array  # (n,) as it was when each came
    weights: Float64Array  # (n,) as it is when the warm-up ends
    born: Float64Array  # (n,) half-lives that had passed when each came
    age: float  # half-lives that have passed
    labels: LabelArray  # (n,)
    inertia: float
    frame: Frame  # at the initial centroids


def start(model: Model, rows: ValidRows, engine: Engine, run: RunTasks) -> tuple[Model, float, LabelArray, FirstRows]:
    """End the warming: compute the initial centroids, and make version 1 of all points collected.

    Returns
    -------
    model
        At version 1.
    inertia, labels
        Of the rows of the batch that ended the warming.
    first
        All rows that version 1 is made of.
    """
    state = model.state
    if state.warmup is None or state.coordinates is None:
        raise AssertionError("a model starts once, after points have come")
    whole = _joined(state.warmup.batches)
    points, weight = whole.points, _decayed_weights(whole, state.warmup.age)
    precision = state.coordinates.precision
    coordinates = CoordinateSystem(precision, origin_among([points], precision, model.config.metric, run))
    nowhere = np.zeros((model.config.n_clusters, points.shape[1]))
    relative = coordinates.frame(nowhere, nowhere[:, 0], model.cache, cosine=model.config.metric == "cosine").transform(
        points
    )
    centroids = initial_centroids(relative, weight, model.config, run) + coordinates.origin
    snapshot = first_snapshot(centroids)
    model = model.with_state(
        state._replace(warmup=None, coordinates=coordinates, snapshot=snapshot, ids_given=len(centroids))
    )
    contribution = engine.contribute(points, weight, model.frame, run)
    own = engine.assign(rows.points, model.frame, run, return_distances=True)
    inertia = float(np.dot(_distances(own), _ones_or(rows.sample_weight, len(own.labels))))
    # Version 1 says the inertia of the batch that made it, like every other: not that of all the points that count.
    frame, age = model.frame, state.warmup.age
    first = FirstRows(points, whole.weights, weight, whole.born, age, contribution.labels, contribution.inertia, frame)
    model = advance(model, frame, contribution, engine, inertia=inertia, batch_points=len(rows.points))
    return tell(model, [first_clusters(len(centroids))]), inertia, own.labels, first


def initial_centroids(
    points: NDArray[np.floating[Any]], weight: Float64Array, config: ModelConfig, run: RunTasks
) -> Float64Array:
    """Return initial centroids (k, d) for points (n, d) of weights (n,), n at least init_size."""
    wide = points.astype(np.float64)
    method: InitMethod = "random" if config.init == "random" else "k-means++"
    return wide[initial_rows(wide, weight, config.n_clusters, method, config.points_needed, config.random_state, run)]


def initial_rows(
    points: Float64Array,
    weight: Float64Array,
    n_clusters: int,
    method: InitMethod,
    init_size: int,
    random_state: int | None,
    run: RunTasks,
) -> NDArray[np.intp]:
    """Return which of points (n, d) of weights (n,) are the initial centroids, (n_clusters,).

    Of more than init_size points, init_size are drawn first: one huge first batch costs no more.
    """
    random = np.random.RandomState(random_state)
    rows: NDArray[np.intp] = np.arange(len(points))
    if len(points) > init_size:
        rows = np.sort(draw_rows(random, len(points), init_size))
    if method == "random":
        return rows[draw_rows(random, len(rows), n_clusters)]
    return rows[kmeans_plusplus(points[rows], weight[rows], n_clusters, random, run)]


def draw_rows(random: np.random.RandomState, rows: int, count: int) -> NDArray[np.intp]:
    """Return `count` of so many rows, (count,), none twice and each choice as likely."""
    if rows <= MAX_SHUFFLED:
        return np.asarray(random.choice(rows, count, replace=False), dtype=np.intp)
    # To shuffle them all, NumPy keeps every other thread from running Python: for seconds, if they are very many.
    if 2 * count > rows:
        return np.delete(np.arange(rows), draw_rows(random, rows, rows - count))
    drawn = np.empty(0, np.intp)
    while len(drawn) < count:
        _, firsts = np.unique(drawn := np.append(drawn, random.randint(0, rows, count)), return_index=True)
        drawn = drawn[np.sort(firsts)]
    return drawn[:count]


def kmeans_plusplus(
    points: Float64Array, weight: Float64Array, n_clusters: int, random: np.random.RandomState, run: RunTasks
) -> NDArray[np.intp]:
    """Return which of points (n, d) of weights (n,) k-means++ chooses, (n_clusters,), in pieces between others' turns.

    It draws and chooses what scikit-learn's kmeans_plusplus does: Arthur and Vassilvitskii, "k-means++: the advantages
    of careful seeding", 2007; greedy. For very many centroids it takes minutes, and scikit-learn's own is one call that
    can't be stopped. Up to one block of points the operations are the same; more points are added up block by block,
    and may differ in the last digit.
    """
    chosen = np.empty(n_clusters, np.intp)
    run(lambda _: _choose(points, weight, random, chosen), 1)
    return chosen


def _choose(
    points: Float64Array, weight: Float64Array, random: np.random.RandomState, chosen: NDArray[np.intp]
) -> Iterator[None]:
    """Write what is chosen; between two pieces of the work others may go first."""
    seeding = _Seeding(points, weight, n_trials(len(chosen)))
    chosen[0] = random.choice(len(points), p=weight / weight.sum())
    yield from seeding.add(chosen[:1])
    for place in range(1, len(chosen)):
        yield
        candidates = seeding.find(random.uniform(size=seeding.trials) * seeding.potential)
        yield from seeding.add(candidates)
        chosen[place] = candidates[seeding.best]


class _Seeding:
    """How far each point is from the nearest of those that are chosen so far."""

    def __init__(self, points: Float64Array, weight: Float64Array, trials: int) -> None:
        n, d = points.shape
        rows = max(1, BLOCK_VALUES // (trials + d))
        self.trials = trials
        self.potential = np.inf  # the weighted sum of the squared distances
        self.best = 0  # which of the candidates was chosen last
        self._points, self._weight = points, weight
        self._lengths = np.einsum("nd,nd->n", points, points)
        self._squares = np.full(n, np.inf)  # (n,)
        self._blocks = [slice(start, min(start + rows, n)) for start in range(0, n, rows)]
        self._totals = np.zeros(len(self._blocks))

    def find(self, values: Float64Array) -> NDArray[np.intp]:
        """Return the points at which the running sum of weighted squares reaches the values, one for each."""
        ends = np.cumsum(self._totals)
        last = len(self._points) - 1
        return np.array([min(self._find(value, ends), last) for value in values], np.intp)

    def add(self, candidates: NDArray[np.intp]) -> Iterator[None]:
        """Choose the candidate that leaves the least potential."""
        potentials = np.zeros(len(candidates))
        for number, block in enumerate(self._blocks):
            if number:
                yield
            squares = self._squares_with(candidates, block)
            potentials += squares @ self._weight[block]
        self.best = int(np.argmin(potentials))
        self.potential = potentials[self.best]
        if len(self._blocks) == 1:
            self._squares = squares[self.best]
            return
        for number, block in enumerate(self._blocks):
            yield
            self._squares[block] = self._squares_with(candidates[self.best : self.best + 1], block)[0]
            self._totals[number] = self._squares[block] @ self._weight[block]

    def _find(self, value: float, ends: Float64Array) -> int:
        number = min(int(np.searchsorted(ends, value)), len(ends) - 1) if len(ends) > 1 else 0
        block = self._blocks[number]
        before = ends[number - 1] if number else 0.0
        running = np.cumsum(self._weight[block] * self._squares[block])
        return block.start + min(int(np.searchsorted(running, value - before)), len(running) - 1)

    def _squares_with(self, candidates: NDArray[np.intp], block: slice) -> Float64Array:
        """Return the squared distances of a block's points (m,) if a candidate were chosen, (candidates, m)."""
        squares: Float64Array = -2 * (self._points[candidates] @ self._points[block].T)
        squares += self._lengths[candidates][:, None]
        squares += self._lengths[block]
        np.maximum(squares, 0, out=squares)
        np.minimum(self._squares[block], squares, out=squares)
        return squares


def _appended(batches: tuple[WarmupBatch, ...], batch: WarmupBatch) -> tuple[WarmupBatch, ...]:
    """Return batches with one more, joined to the last ones as long as these have no more rows than twice its own.

    So there are at most log2(n) batches of n rows however they came, and each row is copied at most so often.
    """
    kept = len(batches)
    rows = len(batch.points)
    while kept and len(batches[kept - 1].points) <= 2 * rows:
        kept -= 1
        rows += len(batches[kept].points)
    return (*batches[:kept], _joined((*batches[kept:], batch)))


def _joined(batches: tuple[WarmupBatch, ...]) -> WarmupBatch:
    if len(batches) == 1:
        return batches[0]
    return WarmupBatch(
        np.concatenate([batch.points for batch in batches]),
        np.concatenate([batch.weights for batch in batches]),
        np.concatenate([batch.born for batch in batches]),
    )


def _decayed_weights(rows: WarmupBatch, age: float) -> Float64Array:
    """Return what rows weigh at an age, (n,)."""
    return without_tiny(rows.weights * 0.5 ** (age - rows.born))


def _distances(assignment: Assignment) -> NDArray[np.floating[Any]]:
    if assignment.distances is None:
        raise AssertionError("they were asked for")
    return assignment.distances


def _ones_or(weight: Float64Array | None, rows: int) -> Float64Array:
    return np.ones(rows) if weight is None else weight
