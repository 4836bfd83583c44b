"""The results of a suite, a description of the machine, and the JSON file with both."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import psutil
from threadpoolctl import threadpool_info

from benchmarks.pairing import Spread, spread

FOLDER = Path(__file__).parent / "results"
SCHEMA = 1
_NO_FACTS: Mapping[str, float | str] = MappingProxyType({})

_PACKAGES = (
    "numpy",
    "numba",
    "scikit-learn",
    "scipy",
    "faiss-cpu",
    "river",
    "pyspark",
    "grpcio",
    "protobuf",
)


@dataclass(frozen=True)
class Target:
    """The target of a ratio."""

    value: float
    kind: Literal["at least", "at most"] = "at least"

    def met(self, ratio: Spread) -> bool:
        """Return whether the median reaches it."""
        return ratio.median >= self.value if self.kind == "at least" else ratio.median <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.kind == 'at least' else '≤'} {self.value:g}"


@dataclass(frozen=True)
class Row:
    """One comparison."""

    case: str  # what both did
    peer: str
    unit: str  # of the two figures
    shoal: Spread
    other: Spread  # the peer's
    ratio: Spread  # what it means is `reading`
    reading: str  # such as "times faster"
    target: Target | None = None
    facts: dict[str, float | str] = field(default_factory=dict)
    headline: bool = False  # whether the summary shows it


@dataclass(frozen=True)
class Limit:
    """The maximum of a figure that has no contestant to compare with."""

    name: str  # such as "1 s"
    value: float
    unit: str  # of the value

    def row(
        self, case: str, measured: Sequence[float], *, aimed: bool = True, facts: Mapping[str, float | str] = _NO_FACTS
    ) -> Row:
        """Return the figures with this limit; `aimed`: it is the target of their median."""
        return Row(
            case=case,
            peer=f"the limit of {self.name}",
            unit=self.unit,
            shoal=spread(measured),
            other=spread([self.value]),
            ratio=spread(value / self.value for value in measured),
            reading="times the limit",
            target=Target(1.0, "at most") if aimed else None,
            facts=dict(facts),
            headline=aimed,
        )


@dataclass(frozen=True)
class Suite:
    """All comparisons of one suite."""

    name: str
    rows: list[Row]
    seconds: float  # that it took
    quick: bool
    notes: list[str] = field(default_factory=list)  # such as why something was left out


def describe_machine() -> dict[str, Any]:
    """Return a description of the machine, without its name."""
    return {
        "cpu": _cpu_name(),
        "simd": _vector_units(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "blas": sorted({f"{pool['internal_api']} {pool['version']}" for pool in threadpool_info()}),
    }


def write(suite: Suite, machine: dict[str, Any], folder: Path = FOLDER) -> Path:
    """Write a suite's JSON file, NAME.json, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{suite.name}.json"
    path.write_text(json.dumps({"schema": SCHEMA, "machine": machine, **asdict(suite)}, indent=1) + "\n")
    return path


def read(path: Path) -> Suite:
    """Return the suite in a file that `write` wrote.

    Raises
    ------
    ValueError
        If the file is of another schema.
    """
    found = json.loads(path.read_text())
    if found["schema"] != SCHEMA:
        raise ValueError(f"{path} has schema {found['schema']}; this version reads {SCHEMA}")
    rows = [_row(row) for row in found["rows"]]
    return Suite(found["name"], rows, found["seconds"], found["quick"], found["notes"])


def updated(before: Suite, newer: Suite) -> Suite:
    """Return a suite some of whose cases have been measured again; those that were not stay as they were."""
    again = {row.case for row in newer.rows}
    kept = [row for row in before.rows if row.case not in again]
    notes = [*before.notes, *(note for note in newer.notes if note not in before.notes)]
    return replace(newer, rows=[*kept, *newer.rows], seconds=before.seconds + newer.seconds, notes=notes)


def missed(rows: Iterable[Row]) -> list[Row]:
    """Return the rows that miss their target."""
    return [row for row in rows if row.target and not row.target.met(row.ratio)]


def _row(found: dict[str, Any]) -> Row:
    spreads = {name: Spread(**found[name]) for name in ("shoal", "other", "ratio")}
    target = Target(**found["target"]) if found["target"] else None
    return Row(**{**found, **spreads, "target": target})


def _cpu_name() -> str:
    return _cpu_line("model name") or platform.processor()


def _vector_units() -> list[str]:
    return sorted(set(_cpu_line("flags").split()) & {"avx2", "avx512f", "fma"})


def _cpu_line(field: str) -> str:
    """Return a field of the first core from Linux; empty if there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
