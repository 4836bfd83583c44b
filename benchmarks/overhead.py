"""The fixed cost of a batch: one row of two columns against eight centroids, on the thread that computes.

Everything that runs for each batch on that thread is in the figures, and nothing of gRPC or of the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.pairing import Plan, take_turns, timed
from benchmarks.results import Limit, Row
from benchmarks.shoal_kernel import ready_engine
from shoal_server.clustering.config import HalfLife, ModelConfig, Precision
from shoal_server.clustering.fused import apply_batches
from shoal_server.clustering.model import new_model
from shoal_server.clustering.state import Batch
from shoal_server.engines.contract import Engine, run_in_order
from shoal_server.errors import Refusal
from shoal_server.sessions.completion import Completion
from shoal_server.sessions.jobs import BatchJob, Computing, apply_jobs

_K, _D = 8, 2
_MANY = 64  # batches of a message
_PRECISIONS: tuple[Precision, ...] = ("float32", "float64")
_LIMIT = Limit("40 µs", 40.0, "µs")

# The least µs a batch, float32, before the fixed cost was cut; measured beside the version after it.
_BEFORE: Mapping[tuple[str, str, int], float] = {
    ("clustering", "plain", 1): 90.4,
    ("jobs", "plain", 1): 101.6,
    ("clustering", "plain", _MANY): 4.8,
    ("jobs", "plain", _MANY): 5.0,
    ("clustering", "with labels", 1): 104.5,
    ("jobs", "with labels", 1): 106.6,
    ("clustering", "with labels", _MANY): 5.5,
    ("jobs", "with labels", _MANY): 5.8,
    ("clustering", "with a half-life", 1): 99.0,
    ("jobs", "with a half-life", 1): 108.9,
    ("clustering", "with a half-life", _MANY): 7.2,
    ("jobs", "with a half-life", _MANY): 7.6,
    ("clustering", "with sample weights", 1): 151.0,
    ("jobs", "with sample weights", 1): 159.5,
    ("clustering", "with sample weights", _MANY): 150.2,
    ("jobs", "with sample weights", _MANY): 148.6,
}


@dataclass(frozen=True)
class _Kind:
    """The parameters of the batches."""

    name: str
    half_life: HalfLife | None = None
    weighted: bool = False
    return_labels: bool = False


_KINDS = (
    _Kind("plain"),
    _Kind("with labels", return_labels=True),
    _Kind("with a half-life", half_life=HalfLife(1000.0, "batches")),
    _Kind("with sample weights", weighted=True),
)


def rows(plan: Plan) -> Iterator[Row]:
    """Measure each kind of batch alone and in a message of many, as a session's job and without one."""
    engine = ready_engine()
    for precision in plan.choose(_PRECISIONS, _PRECISIONS[:1]):
        for kind in _KINDS:
            contestants = {
                (path, count): timed(make(kind, precision, count, engine))
                for path, make in (("jobs", _jobs), ("clustering", _clustering))
                for count in (1, _MANY)
            }
            names = {f"{path}, {count} a message": each for (path, count), each in contestants.items()}
            taken = take_turns(names, plan, f"overhead: {precision}, {kind.name}")
            for (path, count), seconds in zip(contestants, taken.values(), strict=True):
                yield _row(path, kind, precision, count, [1e6 * each / count for each in seconds])


def _row(path: str, kind: _Kind, precision: Precision, count: int, measured: list[float]) -> Row:
    before = _BEFORE.get((path, kind.name, count)) if precision == "float32" else None
    facts = {"least µs": min(measured)}
    if before is not None:
        facts |= {"least µs before": before, "times faster than before": before / min(measured)}
    case = f"{count} {'batch' if count == 1 else 'batches'} a message, {kind.name}, {precision}, {path}"
    return _LIMIT.row(case, measured, aimed=(path, kind.name, count) == ("jobs", "plain", 1), facts=facts)


def _clustering(kind: _Kind, precision: Precision, count: int, engine: Engine) -> Callable[[], None]:
    """Return a function that applies a message's batches to a model."""
    model, batches = new_model(_config(kind, precision)), _batches(kind, precision, count)

    def apply() -> None:
        nonlocal model
        model, _ = apply_batches(model, batches, engine, run_in_order, _never, _raise)

    return apply


def _jobs(kind: _Kind, precision: Precision, count: int, engine: Engine) -> Callable[[], None]:
    """Return a function that applies a message's batches like the compute thread of a session."""
    model, batches = new_model(_config(kind, precision)), _batches(kind, precision, count)
    computing = Computing({"numba": engine}, run_in_order, _never, _raise)

    def apply() -> None:
        nonlocal model
        model, _ = apply_jobs(model, [BatchJob(batches, Completion())], computing)

    return apply


def _config(kind: _Kind, precision: Precision) -> ModelConfig:
    init = np.random.default_rng(0).normal(size=(_K, _D))
    return ModelConfig(_K, init=init, dtype=precision, half_life=kind.half_life)


def _batches(kind: _Kind, precision: Precision, count: int) -> list[Batch]:
    points = np.random.default_rng(1).normal(size=(count, 1, _D)).astype(precision)
    weight = np.ones(1) if kind.weighted else None
    return [Batch(each, weight, return_labels=kind.return_labels) for each in points]


def _never() -> bool:
    return False


def _raise(bug: Exception) -> Refusal:
    raise bug
