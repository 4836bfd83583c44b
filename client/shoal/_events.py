"""What happened to clusters and sessions, as values and as sentences. No protobuf, no gRPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

EventKind = Literal["born", "split", "merged", "reseeded", "retired", "refined", "drift", "reconfigured"]

_NAMED = 5  # clusters in a sentence


@dataclass(frozen=True)
class Event:
    """Something that happened to clusters or to the session; ``str(event)`` is a sentence that says it."""

    number: int
    """Counts the events of the session from 1, without gaps."""
    kind: EventKind
    """``born``: clusters began: the first ones; or one of which no cluster that lives on had most of the weight before.
    ``split``: a cluster began, most of whose weight was part of `other`, which lives on. ``merged``: a cluster ended,
    most of whose weight is part of `other` now, which existed before and lives on. ``reseeded``: a cluster without
    weight ended: its centroid was moved, and became `other`. ``retired``: a cluster ended in another way. ``refined``:
    a refinement made the version. ``drift``: the points have changed. ``reconfigured``: the configuration was
    changed."""
    version: int
    """The version that the event came with."""
    time: datetime
    """When the server published it; UTC."""
    clusters: tuple[int, ...] = ()
    """Ids of the clusters that began or ended: mostly one, and the first 256 if they are more."""
    cluster_count: int = 0
    """How many clusters began or ended."""
    other: int | None = None
    """Id of the other cluster of a split, merged or reseeded one; None if the event stands for very many clusters."""
    before: float | None = None
    """The inertia per point (per weight of 1) before a refinement or a drift. Of a refinement it is estimated."""
    after: float | None = None
    """The inertia per point after it."""
    fields: tuple[str, ...] = ()
    """The fields of the configuration that were changed."""
    missed: int = 0
    """How many events just before this one are lost: you haven't seen them, and the session doesn't keep them
    any more. It keeps the newest 1,000, or as many as the server's setting ``max_events`` says."""

    def __str__(self) -> str:
        """Return what happened as a sentence."""
        sentence = _SENTENCES.get(self.kind)
        return sentence(self) if sentence else f"An event of kind {self.kind}."


def _began(event: Event) -> str:
    return f"{_clusters(event)} {_were(event)} born."


def _split(event: Event) -> str:
    if event.other is None:
        return f"{_clusters(event)} split from others."
    return f"{_clusters(event)} split from cluster {event.other}."


def _merged(event: Event) -> str:
    return f"{_clusters(event)} merged into {'others' if event.other is None else f'cluster {event.other}'}."


def _reseeded(event: Event) -> str:
    became = "" if event.other is None else f" and became cluster {event.other}"
    if event.cluster_count == 1:
        return f"{_clusters(event)} had lost its points: its centroid was moved{became}."
    return f"{_clusters(event)} had lost their points: their centroids were moved{became}."


def _retired(event: Event) -> str:
    return f"{_clusters(event)} {_were(event)} retired."


def _refined(event: Event) -> str:
    if event.before is None or event.after is None:
        return "The centroids were refined."
    before, after = _figures(event.before, event.after)
    if before == after:
        return f"The centroids were refined; the estimated inertia per point is still {after}."
    return f"The centroids were refined: the estimated inertia per point went from {before} to {after}."


def _drift(event: Event) -> str:
    if event.before is None or event.after is None:
        return "The points have drifted."
    before, after = _figures(event.before, event.after)
    return f"The points have drifted: the inertia per point went from {before} to {after}."


def _reconfigured(event: Event) -> str:
    return f"The configuration was changed: {_listed(event.fields)}."


_SENTENCES: dict[str, Callable[[Event], str]] = {
    "born": _began,
    "split": _split,
    "merged": _merged,
    "reseeded": _reseeded,
    "retired": _retired,
    "refined": _refined,
    "drift": _drift,
    "reconfigured": _reconfigured,
}


def _clusters(event: Event) -> str:
    if event.cluster_count == 1 and event.clusters:
        return f"Cluster {event.clusters[0]}"
    if event.cluster_count > min(_NAMED, len(event.clusters)):
        return f"{event.cluster_count:,} clusters"
    return f"Clusters {_listed([str(each) for each in event.clusters])}"


def _were(event: Event) -> str:
    return "was" if event.cluster_count == 1 else "were"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _figures(before: float, after: float) -> tuple[str, str]:
    return f"{before:,.4g}", f"{after:,.4g}"
