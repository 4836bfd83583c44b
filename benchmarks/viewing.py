"""Viewers of live session pages, in their own process: sockets that receive the same data as a browser's page.

    python -m benchmarks.viewing URL COUNT SESSION...

Prints a line when each has seen centroids; when standard input ends, what each saw and when, as JSON.
"""

from __future__ import annotations

import ast
import asyncio
import json
import re
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import astuple, dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp
import socketio

_ACK_SECONDS = 3.0  # as NiceGUI's page does it: what is acknowledged isn't kept for this viewer any more
_WINDOW_BITS = 15
_VERSION = re.compile(r"centroids of version (\d+)")


@dataclass(frozen=True)
class Sighting:
    """An update that a viewer received."""

    viewer: int
    session: str
    version: int
    when: float  # seconds of the machine's monotonic clock


class Viewer:
    """One page of a session, opened once."""

    def __init__(self, number: int, session: str) -> None:
        self._number, self._session = number, session
        # Browsers have what they get compressed, which is the dashboard's work.
        self._socket = socketio.AsyncClient(reconnection=False, websocket_extra_options={"compress": _WINDOW_BITS})
        self._socket.on("*", self._receive)
        self._next_message_id = 0
        self.at_work = asyncio.Event()
        self.sightings: list[Sighting] = []

    async def look(self, http: aiohttp.ClientSession, url: str) -> None:
        """Open the page and receive its updates until cancelled."""
        async with http.get(f"{url}/sessions/{self._session}") as response:
            query = query_of(await response.text())
        own = {"tab_id": uuid.uuid4().hex, "document_id": uuid.uuid4().hex}
        async with self._connected(f"{url}?{urlencode({**query, **own})}"):
            while True:
                await asyncio.sleep(_ACK_SECONDS)
                ack = {"client_id": query["client_id"], "next_message_id": self._next_message_id}
                await self._socket.emit("ack", ack)

    @asynccontextmanager
    async def _connected(self, address: str) -> AsyncIterator[None]:
        await self._socket.connect(address, socketio_path="/_nicegui_ws/socket.io", transports=["websocket"])
        try:
            yield
        finally:
            await self._socket.disconnect()

    async def _receive(self, event: str, message: dict[str, Any]) -> None:
        when = time.monotonic()
        self._next_message_id = message["_id"] + 1
        version = version_in(message) if event == "update" else None
        if version is not None:
            self.sightings.append(Sighting(self._number, self._session, version, when))
            self.at_work.set()


def query_of(page: str) -> dict[str, str]:
    """Return the query with which the socket of a page is opened.

    Raises
    ------
    ValueError
        If the page isn't one of NiceGUI's.
    """
    found = re.search(r"^\s*query: (\{.*\}),$", page, re.MULTILINE)
    if found is None:
        raise ValueError(f"the page has no query for a socket: {page[:200]}")
    query = ast.literal_eval(found[1])
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in query.items()}


def version_in(message: dict[str, Any]) -> int | None:
    """Return the version of the centroids in an update of a page, if it has any."""
    found = _VERSION.search(str(message))
    return int(found[1]) if found else None


async def main(url: str, count: int, names: list[str]) -> None:
    """Watch until standard input ends."""
    viewers = [Viewer(number, names[number % len(names)]) for number in range(count)]
    async with aiohttp.ClientSession() as http:
        looking = asyncio.create_task(_look(viewers, http, url))
        settled = asyncio.create_task(_all_at_work(viewers))
        await asyncio.wait([looking, settled], return_when=asyncio.FIRST_COMPLETED)
        if not settled.done():
            settled.cancel()
            await looking  # raises why
        print("at work", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
    print(json.dumps([astuple(sighting) for viewer in viewers for sighting in viewer.sightings]))


async def _look(viewers: list[Viewer], http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.TaskGroup() as tasks:
        for viewer in viewers:
            tasks.create_task(viewer.look(http, url))


async def _all_at_work(viewers: list[Viewer]) -> None:
    for viewer in viewers:
        await viewer.at_work.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
