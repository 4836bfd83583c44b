"""Puts the dashboard together: one client of the server for all pages, the pages, and the HTTP server."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from nicegui import Client, app, ui

import shoal.aio
from shoal_dashboard.disconnects import ignore_disconnects
from shoal_dashboard.layout import LOGO
from shoal_dashboard.pages import compare, session, sessions
from shoal_dashboard.security import AllowedHosts, protect
from shoal_dashboard.server_socket import listen, tell_ready, url_of
from shoal_presentation import drawing, report

_HERE = Path(__file__).parent
STYLE = report.stylesheet() + (_HERE / "style.css").read_text("utf-8")
SCRIPT = f"{report.script()}const SHOAL_DRAWING_STYLE = {json.dumps(drawing.stylesheet())};\n" + (
    _HERE / "stage.js"
).read_text("utf-8")
STANDARD_INPUT = 0
# Seconds that a page waits for its browser to come back; the browser has 0.4 of them to answer a ping. With NiceGUI's 3
# a machine that is busy for two seconds reloads the page, and what was typed is lost.
RECONNECT_TIMEOUT = 20.0
_MAX_WEBSOCKET_BYTES = 2_000_000  # of one message; NiceGUI's own limit is a megabyte


@dataclass(frozen=True)
class ListenOptions:
    """Where the page is served, under which names, and for how long."""

    host: str
    port: int  # 0: a free one
    ready_fd: int | None = None  # gets a line with the page's URL
    until_eof: bool = False  # stop when standard input ends
    allowed_hosts: frozenset[str] = frozenset()  # names that the page may be opened under, besides localhost


def serve(server: str, place: ListenOptions) -> None:
    """Serve the pages until the process is told to stop.

    Parameters
    ----------
    server
        ``host:port`` of the Shoal server.
    place
        Where to listen, whom to tell.

    Raises
    ------
    InvalidArgumentError
        If the server's address can't be one.
    ListenError
        If the page can't be served there.
    """
    client = shoal.aio.connect(server)
    app.on_shutdown(client.close)
    app.colors(primary="#0b62a8")
    ui.add_css(STYLE, shared=True)
    ui.add_head_html(f"<script>{SCRIPT}</script>", shared=True)
    for page in (compare, sessions, session):
        page.add_page(client)
    _run(place)


def _run(place: ListenOptions) -> None:
    """Run NiceGUI on a socket that listens before its URL is printed."""
    listening = listen(place.host, place.port)
    url = url_of(listening)

    @asynccontextmanager
    async def serving(_: FastAPI) -> AsyncIterator[None]:
        print(f"the dashboard: {url}", flush=True)  # noqa: T201  (a program says where it is)
        if place.ready_fd is not None:
            tell_ready(place.ready_fd, url)
        yield

    outer = FastAPI(openapi_url=None, lifespan=serving)
    ui.run_with(
        outer,
        title="Shoal",
        favicon=LOGO,
        dark=None,
        language="en-US",
        show_welcome_message=False,
        reconnect_timeout=RECONNECT_TIMEOUT,
    )
    protected = protect(ignore_disconnects(outer), AllowedHosts(place.allowed_hosts), _count_waiting_pages)
    http = uvicorn.Server(
        uvicorn.Config(protected, log_level="warning", ws="wsproto", ws_max_size=_MAX_WEBSOCKET_BYTES)
    )
    if place.until_eof:
        threading.Thread(target=_stop_at_eof, args=(http,), daemon=True, name="standard input").start()
    with suppress(KeyboardInterrupt):  # uvicorn raises it again once it has stopped
        http.run(sockets=[listening])


def _count_waiting_pages() -> int:
    return sum(not client.has_socket_connection for client in Client.instances.values())


def _stop_at_eof(http: uvicorn.Server) -> None:
    while os.read(STANDARD_INPUT, 4096):
        pass
    http.should_exit = True
