"""The answers that producers may ask for again.

Those that a producer may still need are held; the rest are spare, and as many are kept as there is room for. Labels go
first: without them an answer is small.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from functools import partial

from shoal_server.clustering.state import Outcome
from shoal_server.sessions.tickets import Ticket

# An answer without labels, with its place in the dictionaries, takes about this many bytes.
ENTRY_BYTES = 512
# What is held at most, for all producers of a session. The official client has 32 MiB of points without an answer, and
# points of one byte have labels of four. What is above becomes spare: a producer that acknowledges nothing has no more.
HELD_BYTES = 128 * 1024 * 1024


@dataclass(eq=False)
class Answer:
    """What became of a batch, or will have become of it."""

    producer: Hashable
    sequence: int
    fingerprint: int
    outcome: Ticket[Outcome]


class Answers:
    """Of all producers of a session.

    Parameters
    ----------
    replay_bytes
        What the spare ones take at most.
    """

    def __init__(self, replay_bytes: int) -> None:
        self._replay_bytes = replay_bytes
        self._known: dict[Hashable, _Known] = {}
        self._held = _Shelf()
        self._labelled = _Shelf()  # spare
        self._bare = _Shelf()  # spare, and without labels

    def find(self, producer: Hashable, sequence: int) -> Answer | None:
        """Return an answer if it is kept."""
        known = self._known.get(producer)
        return known.answers.get(sequence) if known else None

    def hold(self, producer: Hashable, sequence: int, fingerprint: int, outcome: Ticket[Outcome]) -> None:
        """Keep the answer to the producer's next batch, which may be still to come."""
        known = self._known.setdefault(producer, _Known(released=sequence - 1))
        known.answers[sequence] = answer = Answer(producer, sequence, fingerprint, outcome)
        outcome.when_done(partial(self._shelve, answer))

    def release(self, producer: Hashable, through: int) -> None:
        """Make spare what the producer no longer needs: the answers up to a sequence."""
        known = self._known.get(producer)
        if known is None:
            return
        for answer in known.released_by(through):
            if self._held.remove(answer):
                self._spare(answer)
        known.released = max(known.released, through)
        self._trim()

    def forget(self, producer: Hashable) -> None:
        """Keep nothing of a producer."""
        known = self._known.pop(producer, _Known(0))
        for answer in known.answers.values():
            for shelf in (self._held, self._labelled, self._bare):
                shelf.remove(answer)

    def _shelve(self, answer: Answer) -> None:
        """Put an answer that has come where it belongs, unless its producer has been forgotten meanwhile."""
        known = self._known.get(answer.producer)
        if known is None or known.answers.get(answer.sequence) is not answer:
            return
        if answer.sequence > known.released:
            self._held.put(answer)
        else:
            self._spare(answer)
        self._trim()

    def _spare(self, answer: Answer) -> None:
        shelf = self._labelled if _label_bytes(answer) else self._bare
        shelf.put(answer)

    def _trim(self) -> None:
        while self._held.bytes > HELD_BYTES:
            self._spare(self._held.take_oldest())
        while self._labelled.bytes + self._bare.bytes > self._replay_bytes:
            if self._labelled:
                self._bare.put(_without_labels(self._labelled.take_oldest()))
            else:
                self._drop(self._bare.take_oldest())

    def _drop(self, answer: Answer) -> None:
        del self._known[answer.producer].answers[answer.sequence]


@dataclass
class _Known:
    """What is kept of one producer."""

    released: int  # the last sequence whose answer the producer no longer needs
    answers: dict[int, Answer] = field(default_factory=dict)

    def released_by(self, through: int) -> list[Answer]:
        """Return the answers after the last one released, up to a sequence."""
        due = range(self.released + 1, through + 1)
        if len(due) < len(self.answers):
            return [self.answers[sequence] for sequence in due if sequence in self.answers]
        return [answer for sequence, answer in self.answers.items() if sequence in due]


class _Shelf:
    """Answers that have come, in the order in which they were put here."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[Answer, int] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def put(self, answer: Answer) -> None:
        size = ENTRY_BYTES + _label_bytes(answer)
        self._sizes[answer] = size
        self.bytes += size

    def remove(self, answer: Answer) -> bool:
        """Say whether it was here."""
        size = self._sizes.pop(answer, 0)
        self.bytes -= size
        return size > 0

    def take_oldest(self) -> Answer:
        answer, size = self._sizes.popitem(last=False)
        self.bytes -= size
        return answer


def _label_bytes(answer: Answer) -> int:
    if answer.outcome.exception():
        return 0
    labels = answer.outcome.result().labels
    return 0 if labels is None else labels.nbytes


def _without_labels(answer: Answer) -> Answer:
    outcome: Ticket[Outcome] = Ticket()
    outcome.set_result(replace(answer.outcome.result(), labels=None))
    answer.outcome = outcome
    return answer
