"""Deep refinements under way: done bit by bit with the batches that follow, so that none of these waits long.

What is kept of one is what it was begun with, and how many pieces of its work the batches since then have paid for.
What has been computed may be lost, and is computed again: it is the same.
"""

from __future__ import annotations

from shoal_server.clustering.buckets import Reals
from shoal_server.clustering.due_refinements import MAX_ROUND_VALUES
from shoal_server.clustering.fitted import Fitter, seed_of
from shoal_server.clustering.learning import PendingDeep
from shoal_server.clustering.refinement import DeepRefinement
from shoal_server.clustering.search import PIECE_WORK, Refined, overshoot
from shoal_server.clustering.state import Model
from shoal_server.engines.contract import Halted, RunTasks

# With each batch so many pieces are done, each about 5 ms. Where there are so few values of centroids that no batch is
# to wait longer, as for rounds, pieces are fewer if the last swap may make one half as long again, or three times as
# long, or if points have so many columns that few of them stay in the cache.
PIECES_A_BATCH, _MANY_COLUMNS = 3, 512


def advance_deep(model: Model, pending: PendingDeep, fitter: Fitter, run: RunTasks) -> Refined | None:
    """Go on with a refinement as far as the batches have paid for it, and return what it finds; None: it isn't done."""
    deep = _running(model, pending, fitter)
    try:
        is_done = deep.advance(pending.pieces, run)
    except Halted:
        raise
    except Exception:  # a generator that has raised is done for: what comes next begins anew, or gives it up
        forget_running(model)
        raise
    return deep.refined if is_done else None


def with_batches_paid(pending: PendingDeep, batches: int) -> PendingDeep:
    """Return a refinement that so many more batches have paid for."""
    (m, d), k = pending.points.shape, len(pending.centroids)
    return pending._replace(pieces=pending.pieces + batches * _pieces_a_batch(m, k, d))


def _pieces_a_batch(m: int, k: int, d: int) -> int:
    if k * d > MAX_ROUND_VALUES:
        return PIECES_A_BATCH
    if d > _MANY_COLUMNS:
        return 1
    if 2 * overshoot(m, k, d) <= PIECE_WORK:
        return PIECES_A_BATCH
    return 2 if overshoot(m, k, d) <= 2 * PIECE_WORK else 1


def forget_running(model: Model) -> None:
    """Let go of what has been computed of a refinement that has ended."""
    running = model.cache.get(_Running)
    running.points = running.deep = None


class _Running:
    """The deep refinement of the newest version, as far as it has been computed: perhaps ahead of its batches."""

    def __init__(self) -> None:
        self.points: Reals | None = None  # that it was begun with
        self.deep: DeepRefinement | None = None


def _running(model: Model, pending: PendingDeep, fitter: Fitter) -> DeepRefinement:
    """Return the one that is pending; begun anew, if it has been lost."""
    running = model.cache.get(_Running)
    if running.deep is None or running.points is not pending.points:
        running.points = pending.points
        running.deep = DeepRefinement(
            pending.points,
            pending.weights,
            pending.centroids,
            fresh=pending.fresh,
            seed=(seed_of(model), pending.number, 1),
            cosine=model.frame.cosine,
            kernels=fitter.search,
        )
    return running.deep
