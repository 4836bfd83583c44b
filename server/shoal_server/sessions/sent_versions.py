"""The versions that the watches of a session were sent last, as far as the next update is made from them.

A version's snapshot isn't kept for that: the messages that are encoded of it live as long as it does.
"""

from __future__ import annotations

from shoal_server.budget import MemoryBudget
from shoal_server.clustering.state import Snapshot
from shoal_server.sessions.port import SentVersion


class SentVersions:
    """Keeps each version once for all watches, and drops old ones where memory is short: then updates come whole.

    Parameters
    ----------
    budget
        Has the bytes of all but the newest, which are counted with the session's model.
    """

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._memory = budget.open()
        self._kept: dict[int, SentVersion] = {}  # oldest first
        self._kept_bytes = 0
        self._watches: dict[int, int] = {}  # that were sent each of these

    def get(self, version: int | None) -> SentVersion | None:
        """Return what is kept of a version; None: nothing."""
        return None if version is None else self._kept.get(version)

    def replace(self, version: int | None, newer: Snapshot | None) -> None:
        """Keep for a watch the newer version that it is sent, if any, and no longer the one that it was sent before."""
        if newer is not None:
            if newer.version not in self._kept:
                self._kept[newer.version] = SentVersion(newer.version, newer.centroids, newer.ids)
                self._kept_bytes += _bytes(self._kept[newer.version])
            self._watches[newer.version] = self._watches.get(newer.version, 0) + 1
        if version is not None and version in self._kept:
            self._watches[version] -= 1
            if not self._watches[version]:
                self._kept_bytes -= _bytes(self._kept.pop(version))
                del self._watches[version]
        self._count()

    def _reclaim(self) -> None:
        newest, kept = self._kept.popitem()
        self._kept, self._kept_bytes = {newest: kept}, _bytes(kept)
        self._watches = {newest: self._watches[newest]}
        self._count()

    def _count(self) -> None:
        # All but the newest; their numbers of clusters may differ.
        size = self._kept_bytes - _bytes(next(reversed(self._kept.values()))) if self._kept else 0
        if size:
            self._budget.add_reclaimer(self._reclaim)
        else:
            self._budget.remove_reclaimer(self._reclaim)
        if size != self._memory.bytes:
            self._memory.add(size - self._memory.bytes)


def _bytes(kept: SentVersion) -> int:
    return kept.centroids.nbytes + (0 if kept.ids is None else kept.ids.nbytes)
