"""The gate by itself: what it raises belongs to nobody else."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from shoal_server.errors import DomainError
from shoal_server.rpc.gate import Gate


class Request:
    """What a call holds while it is refused."""


def refused(gate: Gate) -> weakref.ref[Request]:
    """Make a call that has to be refused, and return what was its request."""
    request = Request()
    with pytest.raises(DomainError):
        gate.check()
    return weakref.ref(request)


@pytest.mark.parametrize("reason", ["SERVER_STARTING", "SERVER_DRAINING"])
def test_a_refusal_holds_nothing_of_the_calls_that_were_refused(reason: str) -> None:
    gate = Gate()
    if reason == "SERVER_DRAINING":
        gate.drain()

    requests = [refused(gate) for _ in range(3)]
    gc.collect()

    assert [request() for request in requests] == [None] * 3
    with pytest.raises(DomainError) as caught:
        gate.check()
    assert caught.value.reason == reason
    assert len(caught.traceback) == 2  # this frame, and the gate's


async def test_each_stream_that_is_interrupted_gets_an_error_of_its_own() -> None:
    gate = Gate()
    gate.open()
    streams = [asyncio.create_task(wait_for_ever(gate)) for _ in range(2)]
    asyncio.get_running_loop().call_soon(gate.drain)

    first, second = await asyncio.gather(*streams, return_exceptions=True)

    assert isinstance(first, DomainError)
    assert isinstance(second, DomainError)
    assert first.reason == second.reason == "SERVER_DRAINING"
    assert first is not second


async def wait_for_ever(gate: Gate) -> None:
    with gate.interruptible():
        await asyncio.Event().wait()
