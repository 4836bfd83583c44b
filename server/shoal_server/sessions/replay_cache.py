"""The answers that producers may ask for again, message by message.

Those that a producer may still need are held; the rest are spare, and as many are kept as there is room for. Labels go
first: without them an answer is small.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial

from shoal_server.clustering.state import BatchResult
from shoal_server.sessions.completion import Completion

# An answer without labels, with its place in the dictionaries, takes about this many bytes.
ENTRY_BYTES = 512
# What is held at most, for all producers of a session. The official client has 32 MiB of points without an answer, and
# points of one byte have labels of four. What is above becomes spare: a producer that acknowledges nothing has no more.
PINNED_BYTES = 128 * 1024 * 1024


@dataclass(eq=False)
class Block:
    """What became of the batches of a message, or will have become of them: consecutive sequences of one producer."""

    producer: Hashable
    first: int  # sequence
    fingerprints: Sequence[int]  # of the batches
    completion: Completion[list[BatchResult]]

    @property
    def last(self) -> int:
        """The last sequence."""
        return self.first + len(self.fingerprints) - 1

    @property
    def label_bytes(self) -> int:
        """What the labels take, once they are there."""
        return sum(result.labels.nbytes for result in self.completion.result() if result.labels is not None)


class ReplayCache:
    """Of all producers of a session.

    Parameters
    ----------
    replay_bytes
        What the spare ones take at most.
    """

    def __init__(self, replay_bytes: int) -> None:
        self._replay_bytes = replay_bytes
        self._known: dict[Hashable, _Known] = {}
        self._held = _ResultQueue()
        self._labelled = _ResultQueue()  # spare
        self._bare = _ResultQueue()  # spare, and without labels

    @property
    def bytes(self) -> int:
        """What all answers take."""
        return self._held.bytes + self.evictable_bytes

    @property
    def evictable_bytes(self) -> int:
        """What the spare ones take."""
        return self._labelled.bytes + self._bare.bytes

    def evict(self) -> None:
        """Drop the spare ones."""
        for shelf in (self._labelled, self._bare):
            while shelf:
                self._drop(shelf.take_oldest())

    def find(self, producer: Hashable, sequence: int) -> Block | None:
        """Return the block with the answer to a sequence, if it is kept."""
        known = self._known.get(producer)
        return known.blocks.get(sequence) if known else None

    def hold(
        self, producer: Hashable, first: int, fingerprints: Sequence[int], completion: Completion[list[BatchResult]]
    ) -> None:
        """Keep the answers to the producer's next batches, which may be still to come."""
        known = self._known.setdefault(producer, _Known(released=first - 1))
        block = Block(producer, first, fingerprints, completion)
        known.blocks.update(dict.fromkeys(range(first, block.last + 1), block))
        completion.add_done_callback(partial(self._shelve, block))

    def release(self, producer: Hashable, through: int) -> None:
        """Make spare what the producer no longer needs: the blocks that end at a sequence or before."""
        known = self._known.get(producer)
        if known is None:
            return
        for block in known.released_by(through):
            if self._held.remove(block):
                self._spare(block)
        known.released = max(known.released, through)
        self._trim()

    def forget(self, producer: Hashable) -> None:
        """Keep nothing of a producer."""
        known = self._known.pop(producer, _Known(0))
        for block in set(known.blocks.values()):
            for shelf in (self._held, self._labelled, self._bare):
                shelf.remove(block)

    def _shelve(self, block: Block) -> None:
        """Put answers that have come where they belong, unless their producer has been forgotten meanwhile."""
        known = self._known.get(block.producer)
        if known is None or known.blocks.get(block.first) is not block:
            return
        if block.last > known.released:
            self._held.put(block)
        else:
            self._spare(block)
        self._trim()

    def _spare(self, block: Block) -> None:
        shelf = self._labelled if block.label_bytes else self._bare
        shelf.put(block)

    def _trim(self) -> None:
        while self._held.bytes > PINNED_BYTES:
            self._spare(self._held.take_oldest())
        while self._labelled.bytes + self._bare.bytes > self._replay_bytes:
            if self._labelled:
                self._bare.put(_without_labels(self._labelled.take_oldest()))
            else:
                self._drop(self._bare.take_oldest())

    def _drop(self, block: Block) -> None:
        blocks = self._known[block.producer].blocks
        for sequence in range(block.first, block.last + 1):
            del blocks[sequence]


@dataclass
class _Known:
    """What is kept of one producer."""

    released: int  # the last sequence whose answer the producer no longer needs
    blocks: dict[int, Block] = field(default_factory=dict)  # by each of its sequences

    def released_by(self, through: int) -> list[Block]:
        """Return the blocks that end after the last sequence released, and at `through` or before."""
        due = range(self.released + 1, through + 1)
        sequences = due if len(due) < len(self.blocks) else list(self.blocks)
        found = (self.blocks.get(sequence) for sequence in sequences)
        blocks = dict.fromkeys(block for block in found if block is not None)
        return [block for block in blocks if self.released < block.last <= through]


class _ResultQueue:
    """Blocks whose answers have come, in the order in which they were put here."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[Block, int] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def put(self, block: Block) -> None:
        size = ENTRY_BYTES * len(block.fingerprints) + block.label_bytes
        self._sizes[block] = size
        self.bytes += size

    def remove(self, block: Block) -> bool:
        """Say whether it was here."""
        size = self._sizes.pop(block, 0)
        self.bytes -= size
        return size > 0

    def take_oldest(self) -> Block:
        block, size = self._sizes.popitem(last=False)
        self.bytes -= size
        return block


def _without_labels(block: Block) -> Block:
    answers = block.completion.result()
    block.completion = Completion()
    block.completion.set_result([answer._replace(labels=None) for answer in answers])
    return block
