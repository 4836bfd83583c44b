"""What the engines are set beside: scikit-learn's KMeans on all pixels at once."""

from __future__ import annotations

import time

from sklearn.cluster import KMeans

from shoal_presentation.demo.photograph import Photograph
from shoal_presentation.demo.results import OfflineRun


def fit_offline(photograph: Photograph, n_clusters: int, random_state: int) -> OfflineRun:
    """Fit all pixels in one go, with one initialisation."""
    start = time.perf_counter()
    model = KMeans(n_clusters, n_init=1, random_state=random_state).fit(photograph.pixels)
    return OfflineRun(
        centroids=model.cluster_centers_,
        labels=model.labels_,
        inertia=float(model.inertia_),
        seconds=time.perf_counter() - start,
        n_iter=int(model.n_iter_),
    )
