"""Centroids of other libraries, kept in files: to make them takes an hour."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.datasets import Float32Array
from benchmarks.one_pass.cases import Case
from benchmarks.one_pass.offline import FOLDER, Float64Array
from benchmarks.one_pass.peers import Contestant

VERSION = 1  # of what the contestants in `peers` and `river_models` do: another one makes all centroids anew


def cached(
    contestant: Contestant, about: Sequence[object], packages: Sequence[str], folder: Path = FOLDER
) -> Contestant:
    """Return a contestant that computes the same centroids for the same rows only once.

    Parameters
    ----------
    contestant
        That computes them.
    about
        What they depend on besides the case, the rows, the stops and the seed: the contestant's name and its settings.
    packages
        Whose versions they depend on.
    folder
        Where the files are.
    """
    origin = [*map(str, about), *(f"{package} {version(package)}" for package in packages)]

    def read_or_compute(case: Case, points: Float32Array, stops: list[int], seed: int) -> list[Float64Array]:
        asked = json.dumps([origin, case.n_clusters, case.batch_rows, case.metric, points.shape, stops, seed])
        key = hashlib.blake2b(asked.encode(), digest_size=16)
        key.update(np.ascontiguousarray(points).data)
        path = folder / f"{key.hexdigest()}-v{VERSION}.npz"
        if not path.exists():
            found = contestant(case, points, stops, seed)
            folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            with part.open("wb") as file:
                np.savez(file, *found)
            part.rename(path)
        with np.load(path) as arrays:
            return [arrays[name] for name in arrays.files]

    return read_or_compute
