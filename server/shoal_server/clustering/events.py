"""What happens to clusters and sessions, as values: numbered 1, 2, 3 … in a session, and without a clock.

A model holds the events since it was last committed; of all before these it keeps their number alone. So the same
batches give the same events, bit for bit, and so does a model that is made of a stored state halfway.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from shoal_server.clustering.identity import Change, Succession

if TYPE_CHECKING:  # a model holds events
    from shoal_server.clustering.state import Model

EventKind = Literal["born", "split", "merged", "reseeded", "retired", "refined", "drift", "reconfigured"]

MAX_LISTED = 256  # ids in an event: so that an event is small, however many clusters there are
# Of so many clusters that one refinement changes, each has an event of its own; of more there is one for each kind.
MAX_SINGLE_EVENTS = 1000


class Event(NamedTuple):
    """Something that happened.

    born
        Clusters began: the first ones, or one whose weight came from several others.
    split
        A cluster began whose weight came for the most part from `other`, which lives on.
    merged
        A cluster ended whose weight went for the most part to `other`, which lives on.
    reseeded
        A cluster without weight ended: its centroid was moved, and is `other` now.
    retired
        A cluster ended in another way.
    refined
        A refinement made the version: inertia of a weight of 1 in the summary `before` and `after`.
    drift
        The inertia of a weight of 1 has changed from `before` to `after`.
    reconfigured
        Of the configuration these `fields` have changed.
    """

    kind: EventKind
    clusters: Sequence[int] = ()  # ids of those that it happened to, at most MAX_LISTED of them
    cluster_count: int = 0  # how many these are in all
    other: int | None = None  # id of another cluster
    before: float | None = None
    after: float | None = None
    fields: tuple[str, ...] = ()
    number: int = 0  # in the session; these two are filled in by `tell`
    version: int = 0  # the newest one when it happened, or that it made


def tell(model: Model, events: Iterable[Event]) -> Model:
    """Return the model with more events, in their order, at its newest version."""
    number, version = model.state.events_told, model.version
    told = tuple(event._replace(number=number + place, version=version) for place, event in enumerate(events, 1))
    state = model.state._replace(events_told=number + len(told))
    return model.with_state(state).with_events((*model.events, *told))


def first_clusters(n_clusters: int) -> Event:
    """Return the event of the first centroids: their ids are 0 … n_clusters - 1."""
    return Event("born", range(min(n_clusters, MAX_LISTED)), n_clusters)


def cluster_events(succession: Succession) -> list[Event]:
    """Return the events of the clusters that began and ended."""
    changes = succession.changes
    if len(changes) <= MAX_SINGLE_EVENTS:
        return [Event(kind, (id_,), 1, other) for kind, id_, other in changes]
    kinds = dict.fromkeys(change.kind for change in changes)
    return [_together([change for change in changes if change.kind == kind]) for kind in kinds]


def _together(changes: Sequence[Change]) -> Event:
    ids = tuple(change.cluster for change in changes[:MAX_LISTED])
    return Event(changes[0].kind, ids, len(changes))
