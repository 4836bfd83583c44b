"""Applies batch after batch on one thread: Shoal's kernels, scikit-learn, SciPy, faiss, and the bare matrix product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from benchmarks import peers
from benchmarks.datasets import Float32Array, Sample, random_sample, real_sample
from benchmarks.pairing import Plan, ratios, spread, take_turns, timed
from benchmarks.results import Row, Target
from benchmarks.shoal_kernel import Assigning, Kernel, ready_engine
from shoal_server.engines.contract import Engine

# (d, k) of random points.
_ALL = ((2, 8), (4, 16), (8, 16), (8, 64), (16, 64), (32, 100), (64, 256), (128, 1024), (384, 256), (768, 1000))
_QUICK = ((2, 8), (16, 64), (64, 256))
# Real points, and k.
_ALL_REAL = (
    ("pixels", 64),
    ("digits", 64),
    ("patches", 256),
    ("patches", 1024),
    ("embeddings", 128),
    ("embeddings", 512),
    ("embeddings", 1024),
)
_QUICK_REAL = (("pixels", 64), ("patches", 256))

# The name and k of those that the summary shows.
_HEADLINES = {("random", 8), ("random", 64), ("random", 1000), ("pixels", 64), ("patches", 1024), ("embeddings", 1024)}

SKLEARN = "scikit-learn partial_fit"
SKLEARN_BARE = "scikit-learn, compute_labels=False"
SCIPY = "SciPy vq + update"
FAISS = "faiss search + update"
PRODUCT = "X·Cᵀ alone"
PLAIN = "Shoal, every distance computed"
_ALONE = "assigning and adding up alone"
SGEMM = "sgemm at its best rate"

_SIDE = 1536  # of the square matrices whose product tells the rate of the machine
_SMALL, _MEDIUM, _LARGE, _VERY_LARGE = 16, 32, 64, 384  # columns, as in the table of targets


def rows(plan: Plan) -> Iterator[Row]:
    """Compare the kernels on every shape of the plan."""
    engine = ready_engine()
    with peers.OneThread():
        for d, k in plan.choose(_ALL, _QUICK):
            yield from _compare(random_sample(d, k), engine, plan)
        for name, k in plan.choose(_ALL_REAL, _QUICK_REAL):
            yield from _compare(real_sample(name, k), engine, plan)


def _compare(sample: Sample, engine: Engine, plan: Plan) -> Iterator[Row]:
    kernel = Kernel(sample.centroids, engine)
    alone = Assigning(sample.points, sample.centroids, engine)
    facts = {"axes of the bounds": kernel.settle(sample.points), **_agreement(sample, alone.contribute())}
    contestants = {**_contestants(sample, kernel.apply), _ALONE: timed(alone.contribute)}
    taken = take_turns(contestants, plan, f"kernel: {sample.case}")
    shoal = taken.pop("Shoal")
    facts |= {f"ms of {_ALONE}": 1e3 * spread(taken.pop(_ALONE)).median, **_rates(sample, shoal)}
    yield from (_row(sample, peer, shoal, seconds, facts) for peer, seconds in taken.items())
    if kernel.could_be_bounded:
        plain = Kernel(sample.centroids, engine, bounded=False)
        plain.settle(sample.points)
        # By themselves: two that do nearly the same must find the same in the caches.
        both = {"Shoal": kernel, PLAIN: plain}
        turns = {name: timed(partial(each.apply, sample.points)) for name, each in both.items()}
        taken = take_turns(turns, plan, f"kernel, bounds: {sample.case}")
        yield _row(sample, PLAIN, taken["Shoal"], taken[PLAIN], facts)


def _row(sample: Sample, peer: str, shoal: list[float], seconds: list[float], facts: dict[str, float | str]) -> Row:
    return Row(
        case=sample.case,
        peer=peer,
        unit="ms",
        shoal=spread(1e3 * value for value in shoal),
        other=spread(1e3 * value for value in seconds),
        ratio=ratios(seconds, shoal),
        reading="times faster",
        target=_target(sample, peer),
        facts=facts,
        headline=peer in {SKLEARN, FAISS} and (sample.name, len(sample.centroids)) in _HEADLINES,
    )


def _contestants(sample: Sample, shoal: Callable[[Float32Array], None]) -> dict[str, Callable[[], float]]:
    batches = {
        "Shoal": shoal,
        SKLEARN: peers.partial_fit(sample.centroids, compute_labels=True),
        SKLEARN_BARE: peers.partial_fit(sample.centroids, compute_labels=False),
        SCIPY: peers.with_vq(sample.centroids),
        FAISS: peers.with_faiss(sample.centroids),
    }
    contestants = {name: timed(partial(apply, sample.points)) for name, apply in batches.items()}
    contestants[PRODUCT] = timed(peers.product(sample.points, sample.centroids))
    if sample.points.shape[1] >= _LARGE:
        contestants[SGEMM] = _sgemm(_work(sample))
    return contestants


def _sgemm(work: float) -> Callable[[], float]:
    """Return a contestant that measures the time for as much work at the rate of a large square product."""
    # Two matrices: of one with itself BLAS computes only half.
    one, other = np.random.default_rng(0).standard_normal((2, _SIDE, _SIDE), np.float32)
    measure = timed(peers.product(one, other))
    return lambda: measure() * work / (2 * _SIDE**3)


def _work(sample: Sample) -> float:
    """Return the floating-point operations of all distances."""
    return 2.0 * sample.points.size * len(sample.centroids)


def _rates(sample: Sample, seconds: list[float]) -> dict[str, float | str]:
    return {"Shoal's GFLOP/s, were every distance computed": _work(sample) / spread(seconds).median / 1e9}


def _agreement(sample: Sample, ours: peers.Labels) -> dict[str, float | str]:
    """Return the share of labels that equal those of a float64 computation."""
    exact = peers.exact_labels(sample.points, sample.centroids)
    found = {"Shoal": ours, "faiss": peers.faiss_labels(sample.points, sample.centroids)}
    return {f"{who}'s labels as in float64": float((labels == exact).mean()) for who, labels in found.items()}


def _target(sample: Sample, peer: str) -> Target | None:
    d, random = sample.points.shape[1], sample.name == "random"
    skipping = {("patches", 256): 3.0, ("patches", 1024): 4.0, ("embeddings", 1024): 2.0}
    at_least = skipping.get((sample.name, len(sample.centroids)))
    if peer == SKLEARN:
        return Target(10.0 if d <= _SMALL else 4.5 if d <= _MEDIUM else 3.0 if d < _VERY_LARGE else 2.2)
    if peer == FAISS:
        return Target(at_least or (2.0 if d <= _SMALL else 1.0))
    if peer == PRODUCT and at_least:
        return Target(at_least)
    if peer == PLAIN:
        return Target(0.95)  # where bounds can't help they must cost next to nothing
    return Target(0.9) if peer == SGEMM and random else None
