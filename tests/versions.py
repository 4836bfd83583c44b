"""Which versions batches make: each its own, and a refinement the one after its batch's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Protocol


class Applied(Protocol):
    """The result of a batch, of the client's or of the wire's type."""

    @property
    def version(self) -> int: ...

    @property
    def refined(self) -> bool: ...


def follow_one_another(results: Iterable[Applied]) -> bool:
    """Return whether no version is missing between results of successive batches, and none comes twice."""
    return all(after.version == newest_version([before]) + 1 for before, after in pairwise(results))


def newest_version(results: Sequence[Applied]) -> int:
    """Return the session's version after the last of the results."""
    return results[-1].version + results[-1].refined
