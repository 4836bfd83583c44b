"""Asks why something is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from shoal_server.errors import DomainError, Refusal


def refusal(call: Callable[[], object]) -> Refusal:
    """Return the refusal of a call that must be refused."""
    with pytest.raises(DomainError) as raised:
        call()
    return raised.value.refusal


async def refusal_of(awaited: Awaitable[object]) -> Refusal:
    """Return the refusal of an awaitable that must be refused."""
    with pytest.raises(DomainError) as raised:
        await awaited
    return raised.value.refusal
