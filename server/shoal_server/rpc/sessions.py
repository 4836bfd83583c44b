"""shoal.v1.SessionService."""

from __future__ import annotations

import asyncio

from shoal import wire
from shoal.v1 import events_pb2, sessions_pb2
from shoal_server.errors import Reason, invalid
from shoal_server.rpc.call_layers import CallContext
from shoal_server.rpc.config import decode_changes, decode_config, decode_merge_changes, encode_description
from shoal_server.rpc.events import encode_page, encoded_size
from shoal_server.sessions.port import MAX_MERGED, Description, Limits, SessionPort
from shoal_server.shared_results import SharedResults

DEFAULT_PAGE = 100
MAX_PAGE_SIZE = 1000
# Descriptions, which take 30 µs each, before others are served for some turns of the loop.
LISTED_AT_ONCE = 8
TURNS_BETWEEN = 3


class SessionService:
    """The life of named sessions, on the wire."""

    def __init__(self, sessions: SessionPort, limits: Limits, shared: SharedResults) -> None:
        self._sessions = sessions
        self._limits = limits
        self._shared = shared

    async def CreateSession(self, parsed: wire.Parsed[sessions_pb2.CreateSessionRequest], _call: CallContext) -> bytes:
        """Make a session; see sessions.proto."""
        request = parsed.message
        config = decode_config(request.config, self._limits, parsed.tensor)
        return await self._encode(await self._sessions.create(request.name, config, request.request_id))

    async def MergeSessions(self, request: sessions_pb2.MergeSessionsRequest, _call: CallContext) -> bytes:
        """Make a session of what others have seen; see sessions.proto."""
        changes = decode_merge_changes(request.config, self._limits)
        names = request.names[: MAX_MERGED + 1]  # of more, one is kept, so that it shows
        merged = self._sessions.merge(names, request.into, changes, request.request_id)
        return await self._encode(await merged)

    async def GetSession(self, request: sessions_pb2.GetSessionRequest, _call: CallContext) -> bytes:
        """Describe a session."""
        return await self._encode(await self._sessions.describe(request.name))

    async def ListSessions(
        self, request: sessions_pb2.ListSessionsRequest, _call: CallContext
    ) -> sessions_pb2.ListSessionsResponse:
        """List sessions by name, a page at a time."""
        page = await self._sessions.list(_page_size(request.page_size), request.page_token)
        response = sessions_pb2.ListSessionsResponse(next_page_token=page.next_after)
        for place, session in enumerate(page.sessions, 1):
            # A page of large sessions wouldn't fit a message with their centroids.
            response.sessions.append(encode_description(session, with_centroids=False))
            if place % LISTED_AT_ONCE == 0:
                for _ in range(TURNS_BETWEEN):
                    await asyncio.sleep(0)  # others are served
        return response

    async def UpdateSession(self, request: sessions_pb2.UpdateSessionRequest, _call: CallContext) -> bytes:
        """Change a session's configuration, in its place among the batches."""
        changes = decode_changes(request, self._limits)
        return await self._encode(await self._sessions.update(request.name, changes, request.etag))

    async def DeleteSession(
        self, request: sessions_pb2.DeleteSessionRequest, _call: CallContext
    ) -> sessions_pb2.DeleteSessionResponse:
        """Delete a session."""
        return sessions_pb2.DeleteSessionResponse(version=await self._sessions.delete(request.name, request.etag))

    async def ListEvents(self, request: events_pb2.ListEventsRequest, _call: CallContext) -> bytes:
        """List what has happened to a session, a page at a time."""
        page = await self._sessions.events(request.name, request.after, _page_size(request.page_size))
        return await self._shared.make(encoded_size(page.events), lambda: encode_page(page))

    async def _encode(self, session: Description) -> bytes:
        return await self._shared.make(
            session.config.init_bytes, lambda: encode_description(session).SerializeToString()
        )


def _page_size(asked: int) -> int:
    if not 0 <= asked <= MAX_PAGE_SIZE:
        raise invalid(Reason.PAGE_SIZE_INVALID, "page_size", f"page_size is {asked}; use 1 to {MAX_PAGE_SIZE}, or 0")
    return asked or DEFAULT_PAGE
