"""Which of several numbers of clusters fits a stream best, and why, in words.

The silhouette decides. It must be higher than that of points without clusters: of one cloud, uniform in a box along the
principal axes, of the same extent, as in the gap statistic (Tibshirani, Walther and Hastie, "Estimating the number of
clusters in a data set via the gap statistic", 2001). It also rises where two near clusters are taken for one: if it is
nearly as high at a larger number, and the inertia stops falling there, that one is taken. Otherwise it is the least
number of those that can't be told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from shoal_server.clustering.silhouette import Silhouette

# What the silhouette must be above that of one cloud: two normal clouds 3.5 standard deviations apart have 0.07, and
# handwritten digits 0.13; normal, uniform and long clouds up to 0.02, forty points included. Skewed ones can have 0.1.
MIN_EXCESS = 0.05
# Silhouettes so near the highest may be as good; within so many standard errors they are.
_NEARLY, _UNCERTAINTY = 0.02, 2.0
# The inertia bends where its fall to a number is so many times its fall to the next: fifty blobs that touch have 14 to
# 22 at 50, where the silhouette alone says 49; digits have 1.7 at most.
_BEND = 3.0
_LEAST_FALL = 1e-6  # of the inertia: less is none


class Candidate(NamedTuple):
    """What is known of a number of clusters."""

    n_clusters: int
    inertia: float
    silhouette: Silhouette | None  # None: it has none, or too many clusters for the sample
    single_cloud_silhouette: float  # that one cloud has if it is cut into as many


class Suggestion(NamedTuple):
    """The number of clusters to take, and why."""

    n_clusters: int | None  # None: none stands out, and 1 isn't among the candidates
    reason: str


def suggest(candidates: Sequence[Candidate]) -> Suggestion:
    """Return the best of several numbers of clusters, in ascending order, each once."""
    rated = [(each, each.silhouette) for each in candidates if each.silhouette is not None]
    if not rated:
        return _one_or_none(candidates, "there is no silhouette, which needs 2 clusters, and points that differ")
    best, highest = max(rated, key=lambda one: one[1].mean)
    without = best.single_cloud_silhouette
    if highest.mean < without + MIN_EXCESS:
        return _one_or_none(
            candidates,
            f"no number of clusters stands out: the highest silhouette is {highest.mean:.2f} at {best.n_clusters}, and "
            f"a single cloud of this extent, cut into {best.n_clusters}, has {without:.2f}",
        )
    near = [
        each.n_clusters
        for each, silhouette in rated
        if each.n_clusters >= best.n_clusters and silhouette.mean >= highest.mean - _NEARLY
    ]
    bends = _bends(candidates)
    bent = max(near, key=lambda number: bends.get(number, 0.0))
    if bends.get(bent, 0.0) < _BEND:
        least = highest.mean - _UNCERTAINTY * highest.standard_error
        chosen = next(each.n_clusters for each, silhouette in rated if silhouette.mean >= least)
        why = "its uncertainty includes"
    else:
        chosen, why = bent, "the inertia stops falling at"
    silhouettes = {each.n_clusters: silhouette.mean for each, silhouette in rated}
    top = f"the silhouette is highest at {best.n_clusters} ({silhouettes.pop(best.n_clusters):.2f})"
    if chosen != best.n_clusters:
        return Suggestion(chosen, f"{top}, and {why} {chosen} ({silhouettes[chosen]:.2f})")
    if not silhouettes:
        return Suggestion(chosen, f"{top}, and no other number was tried")
    if chosen == candidates[-1].n_clusters:
        return Suggestion(chosen, f"{top}, the largest number tried, and still rises: try more")
    second = max(silhouettes, key=lambda number: silhouettes[number])
    return Suggestion(chosen, f"{top}; the next best is {second} ({silhouettes[second]:.2f})")


def _one_or_none(candidates: Sequence[Candidate], reason: str) -> Suggestion:
    has_one = any(each.n_clusters == 1 for each in candidates)
    return Suggestion(1 if has_one else None, reason)


def _bends(candidates: Sequence[Candidate]) -> dict[int, float]:
    """Return how sharply the inertia bends at each number whose neighbours are among the candidates too."""
    inertia = {each.n_clusters: each.inertia for each in candidates}
    bends = {}
    for number, here in inertia.items():
        before, after = inertia.get(number - 1), inertia.get(number + 1)
        if before is not None and after is not None and before > here:
            bends[number] = (before - here) / max(here - after, _LEAST_FALL * before)
    return bends
