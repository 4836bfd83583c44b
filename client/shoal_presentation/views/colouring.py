"""Which colour each cluster has: one cluster, one colour, at every step and, where they correspond, in every engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal import CompareEngine
from shoal_presentation.views.run import Run


def colours_of(run: Run, engine: CompareEngine) -> NDArray[np.int32]:
    """Return the colour of each initial centroid's cluster, (k,): each of 0 … k - 1 once.

    The first engine's clusters have the numbers of their initial centroids. Another's have those of the clusters that
    they were matched to at the end, and what was matched to none has a colour that is left, its own number if it can.
    """
    k = len(run.start.initial_centroids)
    if engine == run.engines[0]:
        return np.arange(k, dtype=np.int32)
    matched = _matched(run, engine)
    left = sorted(set(range(k)) - set(matched.values()))
    others = [cluster for cluster in range(k) if cluster not in matched]
    for cluster in sorted(others, key=lambda cluster: cluster not in left):
        matched[cluster] = cluster if cluster in left else left[0]
        left.remove(matched[cluster])
    return np.array([matched[cluster] for cluster in range(k)], np.int32)


def _matched(run: Run, engine: CompareEngine) -> dict[int, int]:
    """Return of this engine's clusters those of the first engine that they correspond to, by initial centroids."""
    (result,) = (result for result in run.result.engines if result.engine == engine)
    own, first = run.steps_of(engine)[-1].clusters, run.steps_of(run.engines[0])[-1].clusters
    return {int(own[row]): int(first[other]) for row, other in enumerate(result.matching) if other >= 0}
