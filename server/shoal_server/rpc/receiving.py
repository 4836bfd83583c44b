"""What calls may take before a method sees them: how many there are, and the messages that come in.

gRPC reads a whole message before its size is known. So as many calls with one request as there is memory
for messages of the largest size are read at once, and a stream isn't read while the budget is short. gRPC reads the
first of those calls by itself, which is fast, but can't be stopped; when all of these places are taken, the others wait
for one of their own and are read here: each has RECEIVING_SECONDS while others wait. A refused call isn't read at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, cast

import grpc
import structlog
from google.protobuf.message import DecodeError

from shoal_server.budget import RETRY_AFTER, MemoryBudget, MemoryPlan, Reservation
from shoal_server.errors import DomainError, Reason, Refusal, invalid
from shoal_server.process import give_back_freed_memory, resident_bytes
from shoal_server.rpc.call_layers import PREFIX, Behavior, Context, Handler, abort, refusing_handler, to_status
from shoal_server.rpc.read_turns import SMALL_MESSAGE, ReadTurns
from shoal_server.rpc.receive_slots import RECEIVING_SECONDS, ReceiveSlots
from shoal_server.rpc.serving_state import this_task

HEALTH_CHECK = "/grpc.health.v1.Health/Check"
MAX_HEALTH_CHECKS = 256  # at once, besides the other calls
# Seconds that a call waits for memory before it is refused.
PATIENCE = 10.0
# Seconds between two looks at the memory of the process, and after streams were ended for it.
WATCH_INTERVAL, REST = 0.1, 5.0
# Of the limit: above the one freed memory is given back, each time that the process has grown by the other since.
_TRIM_ABOVE, _TRIM_STEP = 7 / 8, 1 / 64
LARGE = 64 * 1024  # bytes; an answer that is smaller isn't counted while it is written
A_MESSAGE = "the message"
UNKNOWN_SIZE = 1024 * 1024  # bytes; what the first messages of a stream are taken for

log = structlog.get_logger()

_received: ContextVar[Reservation] = ContextVar("received message")  # a call has a task of its own


def leave_to_queue(size: int) -> None:
    """Stop counting so many bytes of the call's message: a queue, or who waits for what is in it, counts them."""
    received = _received.get()
    received.add(-min(size, received.bytes))


class Receiver:
    """Lets messages in as far as there is memory for them.

    Parameters
    ----------
    budget
        Has the messages that have come.
    plan
        How the memory limit is divided.
    max_message_bytes
        The most bytes of a message.
    """

    def __init__(self, budget: MemoryBudget, plan: MemoryPlan, max_message_bytes: int) -> None:
        places = plan.receiving // max_message_bytes
        self.budget = budget
        self._turns = ReadTurns()
        self.slots = ReceiveSlots(places - places // 2, lambda task: self._stop(task, _too_slow()))
        self.direct_places = places // 2  # for messages that gRPC reads by itself
        self._limit = plan.limit
        self._reading: set[asyncio.Task[Any]] = set()
        self._stopped: dict[asyncio.Task[Any], Refusal] = {}  # of those
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Watch the memory of the process: what has come of a message that isn't complete is seen nowhere else."""
        self._watching = asyncio.create_task(self._watch(), name="watching memory")

    async def stop(self) -> None:
        """Watch it no longer."""
        if self._watching:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    async def read(self, context: Context, likely_size: int) -> Any:
        """Return the next message of a call, or EOF; raise the refusal of a call whose reading is stopped."""
        task = this_task()
        self._reading.add(task)
        try:
            if likely_size <= SMALL_MESSAGE:
                return await context.read()
            return await self._turns.read(context.read(), likely_size)
        except asyncio.CancelledError:
            refusal = self._stopped.get(task)
            if refusal is None or task.uncancel():
                raise
            raise DomainError(refusal) from None
        finally:
            self._reading.discard(task)
            self._stopped.pop(task, None)

    def stop_reading(self) -> None:
        """End the calls that wait for a message: part of one may have come already."""
        for task in list(self._reading):
            self._stop(task, _short_of_memory())

    def _stop(self, task: asyncio.Task[Any], refusal: Refusal) -> None:
        if task in self._reading and task not in self._stopped:
            self._stopped[task] = refusal
            task.cancel()

    async def _watch(self) -> None:
        trim_above = self._limit * _TRIM_ABOVE
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            if (resident_bytes() or 0) <= trim_above:
                continue
            await asyncio.to_thread(give_back_freed_memory)
            resident = resident_bytes() or 0
            trim_above = max(self._limit * _TRIM_ABOVE, min(resident + self._limit * _TRIM_STEP, self._limit))
            if resident > self._limit:
                log.warning("over the memory limit", resident=resident, limit=self._limit, calls=len(self._reading))
                self.stop_reading()
                await asyncio.sleep(REST)


class ReceiveLayer(grpc.aio.ServerInterceptor):
    """Bounds the calls, and the messages that come in. The outermost layer: it decides before anything is read.

    Parameters
    ----------
    receiver
        Lets messages in.
    max_calls
        How many calls may go on at once, streams included. Health checks aren't among them.
    """

    def __init__(self, receiver: Receiver, max_calls: int) -> None:
        self._receiver = receiver
        self._max_calls = max_calls
        self._calls = 0
        self._checks: set[asyncio.Task[Any]] = set()  # of the health
        self._direct: set[asyncio.Task[Any]] = set()  # calls that gRPC reads by itself
        self._handlers: dict[str, tuple[Handler, Handler]] = {}  # read by gRPC, and here

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the handler of a method, or one that refuses the call without reading it."""
        method, task = handler_call_details.method, this_task()
        if method == HEALTH_CHECK:
            if len(self._checks) >= MAX_HEALTH_CHECKS:
                return refusing_handler(_too_many_calls(MAX_HEALTH_CHECKS))
            self._checks.add(task)
            task.add_done_callback(self._checks.discard)
        elif self._calls >= self._max_calls:
            return refusing_handler(_too_many_calls(self._max_calls))
        else:
            self._calls += 1
            task.add_done_callback(self._end)
        handlers = self._handlers.get(method)
        if handlers is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            handlers = self._wrapped(handler) if method.startswith(PREFIX) else (self._small(handler),) * 2
            self._handlers[method] = handlers
        direct, patient = handlers
        if direct.request_streaming or len(self._direct) >= self._receiver.direct_places:
            return patient
        self._direct.add(task)
        return direct

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._calls -= 1
        self._direct.discard(task)

    async def _small_requests(self, context: Context, deserialize: Callable[[bytes], Any]) -> AsyncGenerator[Any, None]:
        while (contents := await self._receiver.read(context, SMALL_MESSAGE)) is not grpc.aio.EOF:
            if len(contents) > SMALL_MESSAGE:
                raise _unreadable(f"has {len(contents):,} bytes; use at most {SMALL_MESSAGE:,}")
            try:
                request = deserialize(contents)
            except DecodeError:
                raise _unreadable("is malformed") from None
            del contents
            yield request

    def _small(self, handler: Any) -> Handler:
        """Return a handler of one of gRPC's own services, whose messages are small and read here."""

        async def answer(_: object, context: Context) -> None:
            try:
                async with aclosing(self._small_requests(context, handler.request_deserializer)) as incoming:
                    if handler.request_streaming:
                        async for response in handler.stream_stream(incoming, context):
                            await context.write(response)
                        return
                    request = await anext(incoming, None)
                if request is None:
                    raise _unreadable("is missing")
                if handler.response_streaming:
                    await handler.unary_stream(request, context)
                else:
                    await context.write(await handler.unary_unary(request, context))
            except DomainError as error:
                await abort(to_status(error.refusal), context)

        return grpc.stream_stream_rpc_method_handler(answer, None, handler.response_serializer)

    def _wrapped(self, handler: Any) -> tuple[Handler, Handler]:
        """Return a handler whose message gRPC reads by itself, and one that waits and reads it here."""
        serialize = handler.response_serializer
        if handler.request_streaming:
            streaming: Handler = grpc.stream_stream_rpc_method_handler(
                self._streaming(handler.stream_stream), None, serialize
            )
            return streaming, streaming
        direct: Handler
        if handler.response_streaming:
            behavior = self._metered(handler.unary_stream)
            direct = grpc.unary_stream_rpc_method_handler(self._receiving(behavior), None, serialize)
        else:
            behavior = handler.unary_unary
            direct = grpc.unary_unary_rpc_method_handler(self._receiving(behavior), None, serialize)
        return direct, grpc.stream_stream_rpc_method_handler(self._waiting(behavior), None, serialize)

    def _receiving(self, behavior: Behavior) -> Behavior:
        budget = self._receiver.budget

        async def receive(request: bytes, context: Context) -> Any:
            try:
                received = await budget.reserve_when_free(len(request), A_MESSAGE, PATIENCE)
            except DomainError as error:
                del request  # gRPC holds this frame until the garbage collector comes
                return await abort(to_status(error.refusal), context)
            self._direct.discard(this_task())
            _received.set(received)
            answering = behavior(request, context)
            del request  # as above
            try:
                answer = await answering
            finally:
                received.release()
            return self._counted(answer)

        return receive

    def _counted(self, answer: bytes | None) -> bytes | None:
        """Count a large answer until the call has ended: a client that doesn't read keeps it here."""
        if answer is not None and len(answer) >= LARGE:
            sending = self._receiver.budget.open()
            sending.add(len(answer))
            this_task().add_done_callback(lambda _: sending.release())
        return answer

    def _waiting(self, behavior: Behavior) -> Behavior:
        receiver = self._receiver

        async def answer(_: object, context: Context) -> None:
            try:
                async with receiver.slots.hold(context.peer()):
                    request = await receiver.read(context, UNKNOWN_SIZE)
                    if request is grpc.aio.EOF:
                        raise invalid(Reason.MESSAGE_MALFORMED, "", "the call has no message; send one")
                    received = await receiver.budget.reserve_when_free(len(request), A_MESSAGE, PATIENCE)
            except DomainError as error:
                request = None
                await abort(to_status(error.refusal), context)
            _received.set(received)
            answering = behavior(request, context)
            del request  # gRPC holds this frame until the garbage collector comes
            try:
                response = await answering
            finally:
                received.release()
            if response is not None:  # a stream has written its own
                await context.write(response)

        return answer

    def _metered(self, behavior: Behavior) -> Behavior:
        receiver = self._receiver

        async def answer(request: Any, context: Context) -> Any:
            answering = behavior(request, cast("Context", MeteredContext(context, receiver)))
            del request  # as in the others
            return await answering

        return answer

    def _streaming(self, behavior: Behavior) -> Behavior:
        receiver = self._receiver

        async def answer(request: Any, context: Context) -> Any:
            metered = MeteredContext(context, receiver)
            try:
                return await behavior(request, cast("Context", metered))
            finally:
                metered.message.release()

        return answer


class MeteredContext:
    """A stream's context that counts the message which was read last, and the large one that is being written.

    The one is counted until the next is read or the call ends, the other until gRPC has sent it: a client that doesn't
    read keeps it there.
    """

    def __init__(self, context: Context, receiver: Receiver) -> None:
        self._context = context
        self._receiver = receiver
        self._budget = receiver.budget
        self._last_size = 0
        self._likely_size = UNKNOWN_SIZE  # of the next one: the larger of the last two
        self.message = receiver.budget.open()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def read(self) -> Any:
        """Return the next message, or EOF, once there is memory for one like the last; else MEMORY_LIMIT_REACHED."""
        self.message.release()
        if self._budget.used + self._last_size > self._budget.total:
            (await self._budget.reserve_when_free(self._last_size, A_MESSAGE, PATIENCE)).release()
        contents = await self._receiver.read(self._context, self._likely_size)
        if contents is not grpc.aio.EOF:
            size = len(contents)
            self._likely_size, self._last_size = max(size, self._last_size or UNKNOWN_SIZE), size
            self.message.add(size)
        return contents

    async def write(self, response: bytes) -> None:
        """Write a message; a large one waits for memory."""
        if len(response) < LARGE:
            await self._context.write(response)
            return
        writing = await self._budget.reserve_when_free(len(response), "the next answer", PATIENCE)
        try:
            await self._context.write(response)
        finally:
            writing.release()


def _unreadable(what: str) -> DomainError:
    return invalid(Reason.MESSAGE_MALFORMED, "", f"the message of the call {what}")


def _too_many_calls(max_calls: int) -> Refusal:
    return Refusal(
        Reason.TOO_MANY_CALLS,
        f"the server answers {max_calls:,} calls already, which is its limit, streams included: try again later, end "
        f"streams that nobody needs, or raise SHOAL_MAX_CONCURRENT_CALLS",
        retry_after=RETRY_AFTER,
    )


def _too_slow() -> Refusal:
    return Refusal(
        Reason.MEMORY_LIMIT_REACHED,
        f"the message didn't come within {RECEIVING_SECONDS:.0f} seconds, and others wait for its place: try again "
        f"later, with fewer points, or raise SHOAL_MEMORY_LIMIT",
        retry_after=RETRY_AFTER,
    )


def _short_of_memory() -> Refusal:
    return Refusal(
        Reason.MEMORY_LIMIT_REACHED,
        "the server was at its memory limit while the next message was on its way: call again and go on, with smaller "
        "messages, or raise SHOAL_MEMORY_LIMIT",
        retry_after=RETRY_AFTER,
    )
