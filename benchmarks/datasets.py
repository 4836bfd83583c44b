"""The points for measuring the kernels: random ones, and real ones that anyone can reproduce."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_sample_image

Float32Array = NDArray[np.float32]

ROWS = 8192  # of a batch, where there are so many
EMBEDDINGS = Path(__file__).parent / "data" / "embeddings.npy"
PATCH = 8  # pixels wide and high


@dataclass(frozen=True)
class Sample:
    """Points, and centroids that a session could have when they arrive."""

    name: str
    points: Float32Array  # (n, d)
    centroids: Float32Array  # (k, d)

    @property
    def case(self) -> str:
        """The name in the tables."""
        n, d = self.points.shape
        return f"{self.name}, d={d} k={len(self.centroids)}, {n:,} rows"


def random_sample(d: int, k: int, n: int = ROWS) -> Sample:
    """Return points without structure, (n, d), standard normal, and k more as centroids."""
    random = np.random.default_rng([d, k])
    return Sample("random", _normal(random, n, d), _normal(random, k, d))


def real_sample(name: str, k: int, n: int = ROWS) -> Sample:
    """Return points of one of REAL, and the centroids after a few iterations of k-means on them.

    Parameters
    ----------
    name
        One of REAL.
    k
        How many centroids.
    n
        How many points at most; there may be fewer: none is taken twice.
    """
    points = REAL[name]()
    chosen = np.random.default_rng(0).permutation(len(points))[:n]
    points = np.ascontiguousarray(points[np.sort(chosen)])
    # All k start at points, far from settled: as in a session, and no cluster is empty.
    fitted = KMeans(k, init="random", n_init=1, max_iter=5, tol=0.0, random_state=0)
    return Sample(name, points, _centroids(fitted, points))


@cache
def pixels() -> Float32Array:
    """Return the colours of china.jpg and flower.jpg, (546560, 3) from 0 to 255."""
    return np.concatenate([image.reshape(-1, 3) for image in _images()])


@cache
def patches() -> Float32Array:
    """Return the 8×8×3 patches, side by side, of the same photographs: (n, 192)."""
    return np.concatenate([_cut(image) for image in _images()])


@cache
def digits() -> Float32Array:
    """Return scikit-learn's handwritten digits, (1797, 64)."""
    found: Float32Array = load_digits().data.astype(np.float32)
    return found


@cache
def embeddings() -> Float32Array:
    """Return MiniLM's embeddings of English sentences, (n, 384) of length 1; see make_embeddings.py."""
    found: Float32Array = np.load(EMBEDDINGS).astype(np.float32)
    return found


REAL = {"pixels": pixels, "patches": patches, "digits": digits, "embeddings": embeddings}


def _normal(random: np.random.Generator, rows: int, columns: int) -> Float32Array:
    return random.standard_normal((rows, columns), dtype=np.float32)


def _images() -> list[Float32Array]:
    return [load_sample_image(f"{name}.jpg").astype(np.float32) for name in ("china", "flower")]


def _cut(image: Float32Array) -> Float32Array:
    height, width = (side // PATCH for side in image.shape[:2])
    cut = image[: height * PATCH, : width * PATCH].reshape(height, PATCH, width, PATCH, 3)
    return np.ascontiguousarray(cut.swapaxes(1, 2)).reshape(-1, PATCH * PATCH * 3)


def _centroids(fitted: KMeans, points: Float32Array) -> Float32Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged is wanted
        centroids: Float32Array = fitted.fit(points).cluster_centers_
    return centroids
