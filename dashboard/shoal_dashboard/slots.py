"""Where each cluster has its bar and which mark it has: the same as long as it lives, whatever its label becomes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Slots = NDArray[np.int32]


class ClusterSlots:
    """A slot for each cluster, from 0. A new cluster takes the first slot that is free."""

    def __init__(self) -> None:
        self._ids: NDArray[np.int64] = np.empty(0, np.int64)
        self._slots: Slots = np.empty(0, np.int32)

    def of(self, ids: NDArray[np.int64]) -> Slots:
        """Return the slots (k,) of the clusters with these ids (k,)."""
        if not np.array_equal(ids, self._ids):
            self._slots = self._assign(ids)
            self._ids = ids
        return self._slots

    def _assign(self, ids: NDArray[np.int64]) -> Slots:
        before = dict(zip(self._ids.tolist(), self._slots.tolist(), strict=True))
        kept = {cluster: before[cluster] for cluster in ids.tolist() if cluster in before}
        taken = set(kept.values())
        free = (slot for slot in range(len(ids)) if slot not in taken)
        return np.array([kept[each] if each in kept else next(free) for each in ids.tolist()], np.int32)
