"""The results that producers may ask for again, message by message.

Results that a producer may still need are pinned. The rest can be evicted, and are kept as long as they fit. Labels and
scores go first: without them results are small. Of results that are dropped the fingerprints are kept a while longer,
where the producer may come back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial

from shoal_server.clustering.state import BatchResult, array_bytes
from shoal_server.sessions.completion import Completion
from shoal_server.sessions.fingerprints import FingerprintHistory

# Bytes of a result without labels, with its place in the dictionaries, about.
ENTRY_BYTES = 512
# Maximum size of what is pinned, for all producers of a session. The official client has at most 32 MiB of points
# without a result, and points of one byte have labels of four. Beyond it the oldest results can be evicted, so that a
# producer that acknowledges nothing gets no more.
PINNED_BYTES = 128 * 1024 * 1024


@dataclass(eq=False)
class CachedResults:
    """The results of the batches of a message, which may be still to come: consecutive sequences of one producer."""

    producer: Hashable
    first: int  # sequence
    fingerprints: Sequence[int]  # of the batches
    completion: Completion[list[BatchResult]]
    is_lasting: bool  # the producer may come back later: its fingerprints are kept when the results are dropped

    @property
    def last(self) -> int:
        """The last sequence."""
        return self.first + len(self.fingerprints) - 1

    @property
    def label_bytes(self) -> int:
        """Size of the labels and scores, once they are there."""
        return sum(map(array_bytes, self.completion.result()))


class ReplayCache:
    """The results of all producers of a session.

    Parameters
    ----------
    replay_bytes
        Maximum size of the results that can be evicted.
    """

    def __init__(self, replay_bytes: int) -> None:
        self._replay_bytes = replay_bytes
        self._producers: dict[Hashable, _ProducerResults] = {}
        self._pinned = _ResultQueue()
        self._evictable_with_labels = _ResultQueue()
        self._evictable = _ResultQueue()  # without labels
        self._dropped = FingerprintHistory()

    @property
    def bytes(self) -> int:
        """Size of all results, and of the fingerprints of dropped ones."""
        return self._pinned.bytes + self.evictable_bytes + self._dropped.bytes

    @property
    def evictable_bytes(self) -> int:
        """Size of the results that can be evicted."""
        return self._evictable_with_labels.bytes + self._evictable.bytes

    def evict(self) -> None:
        """Drop all results that aren't pinned, but for their fingerprints."""
        for queue in (self._evictable_with_labels, self._evictable):
            while queue:
                self._drop(queue.pop_oldest())

    def find(self, producer: Hashable, sequence: int) -> CachedResults | None:
        """Return the results of the message that had a sequence, if they are kept."""
        known = self._producers.get(producer)
        return known.by_sequence.get(sequence) if known else None

    def fingerprint(self, producer: Hashable, sequence: int) -> int | None:
        """Return the fingerprint of a batch whose result has been dropped, if it is kept."""
        return self._dropped.find(producer, sequence)

    def add(
        self,
        producer: Hashable,
        first: int,
        fingerprints: Sequence[int],
        completion: Completion[list[BatchResult]],
        *,
        is_lasting: bool = True,
    ) -> None:
        """Keep the results of the producer's next batches, which may be still to come."""
        known = self._producers.setdefault(producer, _ProducerResults(released=first - 1))
        cached = CachedResults(producer, first, fingerprints, completion, is_lasting)
        known.by_sequence.update(dict.fromkeys(range(first, cached.last + 1), cached))
        completion.add_done_callback(partial(self._file, cached))

    def release(self, producer: Hashable, through: int) -> None:
        """Unpin what the producer no longer needs: the results of messages that end at a sequence or before."""
        known = self._producers.get(producer)
        if known is None:
            return
        for cached in known.released_by(through):
            if self._pinned.remove(cached):
                self._make_evictable(cached)
        known.released = max(known.released, through)
        self._trim()

    def forget(self, producer: Hashable) -> None:
        """Drop all results of a producer."""
        known = self._producers.pop(producer, _ProducerResults(0))
        for cached in set(known.by_sequence.values()):
            for queue in (self._pinned, self._evictable_with_labels, self._evictable):
                queue.remove(cached)

    def _file(self, cached: CachedResults) -> None:
        """Pin results that have come, or make them evictable, unless their producer has been forgotten meanwhile."""
        known = self._producers.get(cached.producer)
        if known is None or known.by_sequence.get(cached.first) is not cached:
            return
        if cached.last > known.released:
            self._pinned.append(cached)
        else:
            self._make_evictable(cached)
        self._trim()

    def _make_evictable(self, cached: CachedResults) -> None:
        queue = self._evictable_with_labels if cached.label_bytes else self._evictable
        queue.append(cached)

    def _trim(self) -> None:
        while self._pinned.bytes > PINNED_BYTES:
            self._make_evictable(self._pinned.pop_oldest())
        while self.evictable_bytes > self._replay_bytes:
            if self._evictable_with_labels:
                self._evictable.append(_without_labels(self._evictable_with_labels.pop_oldest()))
            else:
                self._drop(self._evictable.pop_oldest())

    def _drop(self, cached: CachedResults) -> None:
        by_sequence = self._producers[cached.producer].by_sequence
        for sequence in range(cached.first, cached.last + 1):
            del by_sequence[sequence]
        if cached.is_lasting:
            self._dropped.add(cached.producer, cached.first, cached.fingerprints)


@dataclass
class _ProducerResults:
    """What is kept of one producer."""

    released: int  # the last sequence whose result the producer no longer needs
    by_sequence: dict[int, CachedResults] = field(default_factory=dict)

    def released_by(self, through: int) -> list[CachedResults]:
        """Return the results of messages that end after the last sequence released, and at `through` or before."""
        due = range(self.released + 1, through + 1)
        sequences = due if len(due) < len(self.by_sequence) else list(self.by_sequence)
        found = (self.by_sequence.get(sequence) for sequence in sequences)
        messages = dict.fromkeys(cached for cached in found if cached is not None)
        return [cached for cached in messages if self.released < cached.last <= through]


class _ResultQueue:
    """Results that have come, in the order in which they were appended."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[CachedResults, int] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def append(self, cached: CachedResults) -> None:
        size = ENTRY_BYTES * len(cached.fingerprints) + cached.label_bytes
        self._sizes[cached] = size
        self.bytes += size

    def remove(self, cached: CachedResults) -> bool:
        """Remove results, and return whether they were in the queue."""
        size = self._sizes.pop(cached, 0)
        self.bytes -= size
        return size > 0

    def pop_oldest(self) -> CachedResults:
        cached, size = self._sizes.popitem(last=False)
        self.bytes -= size
        return cached


def _without_labels(cached: CachedResults) -> CachedResults:
    results = cached.completion.result()
    cached.completion = Completion()
    cached.completion.set_result([result._replace(labels=None, scores=None) for result in results])
    return cached
