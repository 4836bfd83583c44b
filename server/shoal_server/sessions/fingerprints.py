"""Fingerprints of batches whose results have been dropped: they tell other points under an old sequence."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Hashable, Sequence

# How many of a producer are kept at least, its newest; there may be twice as many.
KEPT_FINGERPRINTS = 65_536
# Maximum number of all producers of a session. Beyond it the producer whose results were dropped longest ago loses its
# own.
MAX_FINGERPRINTS = 8 * KEPT_FINGERPRINTS

_FINGERPRINT_BYTES = 8
_RUN_BYTES = 256  # of a producer's place in the dictionary, about


class FingerprintHistory:
    """The newest fingerprints of each producer of a session, 8 bytes each."""

    def __init__(self) -> None:
        self._runs: OrderedDict[Hashable, _Run] = OrderedDict()  # the one longest unused first
        self._count = 0

    @property
    def bytes(self) -> int:
        """Size of all fingerprints."""
        return _FINGERPRINT_BYTES * self._count + _RUN_BYTES * len(self._runs)

    def add(self, producer: Hashable, first: int, fingerprints: Sequence[int]) -> None:
        """Keep the fingerprints of consecutive sequences from `first` on."""
        run = self._runs.get(producer)
        if run is None:
            run = self._runs[producer] = _Run(first)
        before = len(run.values)
        run.put(first, array("Q", fingerprints))
        self._count += len(run.values) - before
        self._runs.move_to_end(producer)
        while self._count > MAX_FINGERPRINTS and len(self._runs) > 1:
            _, oldest = self._runs.popitem(last=False)
            self._count -= len(oldest.values)

    def find(self, producer: Hashable, sequence: int) -> int | None:
        """Return the fingerprint of a sequence, if it is kept."""
        run = self._runs.get(producer)
        place = -1 if run is None else sequence - run.first
        if run is None or not 0 <= place < len(run.values):
            return None
        return run.values[place] or None


class _Run:
    """The fingerprints of consecutive sequences; 0 where one isn't known."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.values: array[int] = array("Q")

    def put(self, first: int, fingerprints: array[int]) -> None:
        """Set the fingerprints from a sequence on. Results with labels may be dropped after later ones without."""
        place = first - self.first
        if not -KEPT_FINGERPRINTS <= place <= len(self.values) + KEPT_FINGERPRINTS:
            self.first, self.values = first, fingerprints
            return
        if place < 0:
            self.values[:0] = _unknown(-place)
            self.first, place = first, 0
        self.values.extend(_unknown(place - len(self.values)))
        self.values[place : place + len(fingerprints)] = fingerprints
        if len(self.values) > 2 * KEPT_FINGERPRINTS:
            excess = len(self.values) - KEPT_FINGERPRINTS
            del self.values[:excess]
            self.first += excess


def _unknown(count: int) -> array[int]:
    return array("Q", bytes(_FINGERPRINT_BYTES * max(count, 0)))
