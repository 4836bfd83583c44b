"""Other ways to cluster the same stream, in this process: scikit-learn's partial_fit, and a window re-fitted."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from itertools import pairwise

from sklearn.cluster import KMeans, MiniBatchKMeans
from threadpoolctl import threadpool_limits

from benchmarks.datasets import Float32Array
from benchmarks.one_pass.cases import Case
from benchmarks.one_pass.offline import Float64Array
from benchmarks.one_pass.sessions import cut

# Of a case, its points (n, d), the stops and a seed: the centroids (k, d) at each stop.
Contestant = Callable[[Case, Float32Array, list[int], int], list[Float64Array]]

PARTIAL_FIT = "scikit-learn partial_fit"
WINDOW_ROWS = 20_000
WINDOW = f"the last {WINDOW_ROWS:,} rows, re-fitted"


def partial_fit(case: Case, points: Float32Array, stops: list[int], seed: int) -> list[Float64Array]:
    """Return the centroids of MiniBatchKMeans with its defaults, fed the batches that the session gets.

    Its first batch has to have a row a cluster: as many batches as that takes are joined. The labels of a batch, which
    nobody reads here, aren't computed.
    """
    model = MiniBatchKMeans(case.n_clusters, random_state=seed, compute_labels=False)
    first = math.ceil(case.n_clusters / case.batch_rows) * case.batch_rows
    found = []
    # One thread: on small batches more gain nothing, and wait for each other actively.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are fewer distinct rows than clusters
        for begin, end in pairwise([0, *stops]):
            joined = [points[:first]] if begin == 0 else []
            for batch in [*joined, *cut(points[max(begin, first) : end], case.batch_rows)]:
                model.partial_fit(batch)
            found.append(model.cluster_centers_.astype("float64"))
    return found


def refitted_window(
    case: Case, points: Float32Array, stops: list[int], seed: int, rows: int = WINDOW_ROWS
) -> list[Float64Array]:
    """Return the centroids of KMeans, one start of k-means++, on the last rows before each stop."""
    fits = (KMeans(case.n_clusters, n_init=1, random_state=seed) for _ in stops)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        fitted = [fit.fit(points[max(0, stop - rows) : stop]) for fit, stop in zip(fits, stops, strict=True)]
    return [fit.cluster_centers_.astype("float64") for fit in fitted]
