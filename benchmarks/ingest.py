"""Ingest over a real socket, compared with a stream that only acknowledges and with scikit-learn in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

import shoal
from benchmarks import peers
from benchmarks.datasets import Float32Array
from benchmarks.pairing import Plan, ratios, spread, take_turns
from benchmarks.processes import Bare, Process, Taken, cpu_clock_of, measure, settled_server
from benchmarks.results import Row, Target
from benchmarks.shoal_kernel import Kernel, ready_engine

BARE = "bare stream, acknowledged"
SKLEARN = "partial_fit in process"
SKLEARN_BARE = "partial_fit, compute_labels=False"
SPLIT = "bare stream + kernel, CPU"
_KERNEL = "kernel"

_KIB, _MIB = 2**10, 2**20
_MESSAGE_BYTES, _MAX_TOGETHER = _MIB, 256  # of what the client puts together
_DISTINCT_BYTES = 64 * _MIB  # of points; they are gone through again where a measurement takes more
_SIZES_WITH_TARGETS = (256 * _KIB, _MIB, 4 * _MIB)


@dataclass(frozen=True)
class Shape:
    """The shape of the batches."""

    rows: int  # of a batch
    d: int
    k: int
    batches: int
    fewer: int  # batches that scikit-learn gets: a rate is a rate
    together: int = 1  # batches in a message of the bare stream

    @property
    def size(self) -> int:
        """The bytes of a batch."""
        return self.rows * self.d * 4

    @property
    def case(self) -> str:
        """The name in the tables."""
        size = f"{self.size // _MIB} MiB" if self.size >= _MIB else f"{self.size // _KIB} KiB"
        together = ", put together" if self.together > 1 else ""
        size = size if self.size >= _KIB else f"{self.size} B"
        return f"batches of {self.rows:,} ({size}{together}), d={self.d} k={self.k}"


def coalesced(rows: int, count: int) -> Shape:
    """Return `count` small batches, which the client and the bare stream join into messages."""
    shape = Shape(rows, 16, 64, count, max(64, count // 32))
    return replace(shape, together=min(_MAX_TOGETHER, _MESSAGE_BYTES // shape.size))


def filling(size: int, d: int, k: int, total: int, fewer: int) -> Shape:
    """Return batches of `size` bytes, `total` bytes in all; scikit-learn gets one in `fewer` of them."""
    count = total // size
    return Shape(size // (4 * d), d, k, count, max(2, count // fewer))


def shapes(plan: Plan) -> list[Shape]:
    """Return the loads of a plan."""
    total = plan.choose(256 * _MIB, 128 * _MIB)
    many = plan.choose(8192, 4096)
    small = [coalesced(1, many), coalesced(32, many), coalesced(1024, total // (64 * _KIB))]
    chosen = plan.choose((64 * _KIB, 256 * _KIB, _MIB, 4 * _MIB), (256 * _KIB, _MIB))
    sized = [filling(size, 16, 64, total, 4) for size in chosen]
    return [*(small[1:2] if plan.quick else small), *sized, filling(_MIB, 128, 1024, plan.choose(64, 32) * _MIB, 4)]


def rows(plan: Plan) -> Iterator[Row]:
    """Compare ingest of every shape."""
    with ExitStack() as stack:
        server = stack.enter_context(settled_server())
        client = stack.enter_context(shoal.connect(server.target))
        process = stack.enter_context(Process("bare_server"))
        bare = stack.enter_context(Bare(process.said))
        for number, shape in enumerate(shapes(plan)):
            pour = _Pouring(shape)
            session = client.create_session(
                f"ingest-{number}", shape.k, init=pour.centroids, durability="memory", update_rule="incremental"
            )
            contestants = pour.contestants(session, server.pid, bare, process.pid)
            taken = take_turns(contestants, plan, f"ingest: {shape.case}")
            session.delete()
            yield from _compare(shape, taken)


class _Pouring:
    """Batches of a shape, and the contestants that receive them."""

    def __init__(self, shape: Shape) -> None:
        random = np.random.default_rng(0)
        self._shape = shape
        self.centroids = random.standard_normal((shape.k, shape.d), np.float32)
        distinct = min(shape.batches, max(1, _DISTINCT_BYTES // shape.size))
        points = random.standard_normal((distinct, shape.rows, shape.d), np.float32)
        self._batches = [points[index % distinct] for index in range(shape.batches)]

    def contestants(
        self, session: shoal.Session, server_pid: int, bare: Bare, bare_pid: int
    ) -> dict[str, Callable[[], Taken]]:
        """Return the contestants."""
        shape, batches, fewer = self._shape, self._batches, self._batches[: self._shape.fewer]
        kernel = Kernel(self.centroids, ready_engine())
        labelled = peers.partial_fit(self.centroids, compute_labels=True)
        unlabelled = peers.partial_fit(self.centroids, compute_labels=False)
        return {
            "Shoal": partial(measure, lambda: exhaust(session, batches), batches, cpu_clock_of(server_pid)),
            BARE: partial(measure, lambda: bare.stream(batches, shape.together), batches, cpu_clock_of(bare_pid)),
            _KERNEL: partial(measure, lambda: _in_groups(kernel, fewer), fewer, time.thread_time),
            SKLEARN: partial(fastest_of_threads, labelled, fewer),
            SKLEARN_BARE: partial(fastest_of_threads, unlabelled, fewer),
        }


def exhaust(session: shoal.Session, batches: list[Float32Array]) -> None:
    """Ingest the batches and read every answer."""
    for _ in session.ingest(batches):
        pass


def fastest_of_threads(apply: peers.Batch, batches: list[Float32Array]) -> Taken:
    """Return the time for the batches in this process, on all cores or on one, whichever is faster.

    On all of them OpenMP's threads wait for each other actively: small batches gain nothing by that, and as soon as
    anything else wants a core a call takes tens of milliseconds instead of one.
    """
    every = measure(lambda: _each(apply, batches), batches, time.thread_time)
    with threadpool_limits(1):
        one = measure(lambda: _each(apply, batches), batches, time.thread_time)
    return max(every, one, key=lambda taken: taken.rate)


def _each(apply: peers.Batch, batches: list[Float32Array]) -> None:
    for points in batches:
        apply(points)


def _in_groups(kernel: Kernel, batches: list[Float32Array]) -> None:
    together = max(1, min(_MAX_TOGETHER, _MESSAGE_BYTES // batches[0].nbytes))
    for begin in range(0, len(batches), together):
        kernel.apply_batches(batches[begin : begin + together])


def _compare(shape: Shape, taken: dict[str, list[Taken]]) -> Iterator[Row]:
    ours = taken["Shoal"]
    for peer in (BARE, SKLEARN, SKLEARN_BARE):
        rates, others = [each.rate for each in ours], [each.rate for each in taken[peer]]
        yield Row(
            case=shape.case,
            peer=peer,
            unit="rows/s",
            shoal=spread(rates),
            other=spread(others),
            ratio=ratios(rates, others),
            reading="times its rate",
            target=_target(shape, peer),
            facts={"Shoal's MB/s": spread(each.bytes / each.seconds / 1e6 for each in ours).median},
            headline=peer != SKLEARN_BARE,
        )
    cpu = [each.cpu_per_gb for each in ours]
    parts = {name: [each.cpu_per_gb for each in taken[name]] for name in (BARE, _KERNEL)}
    least = [sum(pair) for pair in zip(*parts.values(), strict=True)]
    yield Row(
        case=shape.case,
        peer=SPLIT,
        unit="s/GB",
        shoal=spread(cpu),
        other=spread(least),
        ratio=ratios(cpu, least),
        reading="times its CPU",
        target=Target(1.1, "at most") if shape.size in _SIZES_WITH_TARGETS and shape.d == 16 else None,  # noqa: PLR2004
        facts={f"CPU s/GB of the {name}": spread(values).median for name, values in parts.items()},
    )


def _target(shape: Shape, peer: str) -> Target | None:
    at_least: dict[tuple[int, int, str], float] = {
        (_MIB, 16, SKLEARN_BARE): 1.2,
        (_MIB, 16, SKLEARN): 2.0,
        (_MIB, 128, SKLEARN_BARE): 1.5,
        (_MIB, 128, SKLEARN): 2.0,
        (32 * 64, 16, SKLEARN): 10.0,
    }
    if peer == BARE and shape.d == 16 and shape.size in _SIZES_WITH_TARGETS:  # noqa: PLR2004
        return Target(0.9)
    value = at_least.get((shape.size, shape.d, peer))
    return None if value is None else Target(value)
