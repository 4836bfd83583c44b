"""Streams with known clusters, and photographs: rows (n, d) of a seed, in the order in which they arrive."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

from benchmarks import datasets
from benchmarks.datasets import PATCH, Float32Array
from benchmarks.one_pass.offline import Float64Array, unit

RARE_SHARE = 1e-3
_PATCH_STEP = 4  # pixels between two patches
_SPREAD = 1.5  # of the rows around their directions


def blobs(seed: int, k: int, d: int, n: int, apart: float, shares: NDArray[np.float64] | None = None) -> Float32Array:
    """Return rows (n, d) around k centres, each of variance 1 in every column.

    Parameters
    ----------
    seed
        Of the centres and the rows.
    k, d, n
        Blobs, columns and rows.
    apart
        The standard deviation of the centres in every column.
    shares
        Shape (k,): of each blob; None: all the same.
    """
    return blobs_and_centres(seed, k, d, n, apart, shares)[0]


def blobs_and_centres(
    seed: int, k: int, d: int, n: int, apart: float, shares: NDArray[np.float64] | None = None
) -> tuple[Float32Array, Float64Array]:
    """Return what `blobs` does, and the centres (k, d)."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(k, d)) * apart
    labels = random.choice(k, n, p=shares)
    return (centres[labels] + random.normal(size=(n, d))).astype(np.float32), centres


def rare_blobs(seed: int, n: int) -> tuple[Float32Array, Float64Array]:
    """Return rows (n, 6) of 20 blobs, the last of which has one row in a thousand, and its centre (6,)."""
    shares = np.append(np.full(19, (1 - RARE_SHARE) / 19), RARE_SHARE)
    points, centres = blobs_and_centres(seed, 20, 6, n, 8.0, shares)
    return points, centres[-1]


def sorted_blobs(seed: int) -> Float32Array:
    """Return 20 blobs, (100000, 4), sorted by their first column."""
    points = blobs(seed, 20, 4, 100_000, 6.0)
    return points[np.argsort(points[:, 0], kind="stable")]


def line(seed: int) -> Float32Array:
    """Return five blobs, (100000, 4), whose centres lie on a line."""
    random = np.random.default_rng(seed)
    points = np.concatenate([random.normal(size=(20_000, 4)) + centre * 6 for centre in range(5)])
    return points[random.permutation(len(points))].astype(np.float32)


def moving_blobs(seed: int, n: int) -> Float32Array:
    """Return rows (n, 6) of 20 blobs, each of which moves at a constant speed to another place."""
    random = np.random.default_rng(seed)
    begin = random.normal(size=(20, 6)) * 6
    end = begin + random.normal(size=(20, 6)) * 6
    passed = np.arange(n)[:, None] / n
    labels = random.integers(20, size=n)
    centres = begin[labels] * (1 - passed) + end[labels] * passed
    return (centres + random.normal(size=(n, 6))).astype(np.float32)


def noise(seed: int) -> Float32Array:
    """Return rows (40000, 128) without clusters, standard normal."""
    return np.random.default_rng(seed).normal(size=(40_000, 128)).astype(np.float32)


def directions(seed: int) -> Float32Array:
    """Return rows (60000, 32) of length 1 around 40 directions."""
    random = np.random.default_rng(seed)
    centres = unit(random.normal(size=(40, 32)))
    points = centres[random.integers(40, size=60_000)] + random.normal(size=(60_000, 32)) * _SPREAD / np.sqrt(32)
    return unit(points).astype(np.float32)


def digits(seed: int) -> Float32Array:
    """Return scikit-learn's handwritten digits, (1797, 64), in an order of the seed."""
    return datasets.digits()[np.random.default_rng(seed).permutation(1797)]


@cache
def pixels(name: Literal["china", "flower"]) -> Float32Array:
    """Return the colours of one of scikit-learn's photographs, (273280, 3) from 0 to 255, row by row."""
    return load_sample_image(f"{name}.jpg").reshape(-1, 3).astype(np.float32)  # type: ignore[no-any-return]


@cache
def overlapping_patches() -> Float32Array:
    """Return the 8×8×3 patches of both photographs, one every 4 pixels, (33390, 192) from 0 to 1, in a fixed order."""
    cut = [_cut(load_sample_image(f"{name}.jpg").astype(np.float32) / 255) for name in ("china", "flower")]
    points = np.concatenate(cut)
    return np.ascontiguousarray(points[np.random.default_rng(0).permutation(len(points))])


def _cut(image: Float32Array) -> Float32Array:
    windows = sliding_window_view(image, (PATCH, PATCH), axis=(0, 1))[::_PATCH_STEP, ::_PATCH_STEP]
    return windows.transpose(0, 1, 3, 4, 2).reshape(-1, PATCH * PATCH * 3)
