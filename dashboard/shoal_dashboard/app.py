"""Puts the dashboard together: one client of the server for all pages, the pages, and the HTTP server."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from nicegui import Client, app, ui

import shoal.aio
from shoal_dashboard.disconnects import ignore_disconnects
from shoal_dashboard.layout import LOGO
from shoal_dashboard.pages import compare, session, sessions
from shoal_dashboard.security import AllowedHosts, protect
from shoal_dashboard.server_socket import tell_ready, url_of
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


def serve(
    client: shoal.aio.Client,
    listening: socket.socket,
    *,
    ready_fd: int | None = None,
    until_eof: bool = False,
    allowed_hosts: frozenset[str] = frozenset(),
) -> None:
    """Serve the pages until the process is told to stop.

    Parameters
    ----------
    client
        Of the Shoal server; closed at the end.
    listening
        The socket on which to serve.
    ready_fd
        File descriptor that gets a line with the page's URL. None: the URL is only printed.
    until_eof
        Whether to stop when standard input ends.
    allowed_hosts
        Names under which the page may be opened, besides localhost.
    """
    app.on_shutdown(client.close)
    app.colors(primary="#0b62a8")
    ui.add_css(STYLE, shared=True)
    ui.add_head_html(f"<script>{SCRIPT}</script>", shared=True)
    for page in (compare, sessions, session):
        page.add_page(client)
    outer = FastAPI(openapi_url=None, lifespan=_telling(url_of(listening), ready_fd))
    ui.run_with(
        outer,
        title="Shoal",
        favicon=LOGO,
        dark=None,
        language="en-US",
        show_welcome_message=False,
        reconnect_timeout=RECONNECT_TIMEOUT,
    )
    protected = protect(ignore_disconnects(outer), AllowedHosts(allowed_hosts), _count_waiting_pages)
    http = uvicorn.Server(
        uvicorn.Config(protected, log_level="warning", ws="wsproto", ws_max_size=_MAX_WEBSOCKET_BYTES)
    )
    if until_eof:
        threading.Thread(target=_stop_at_eof, args=(http,), daemon=True, name="standard input").start()
    with suppress(KeyboardInterrupt):  # uvicorn raises it again once it has stopped
        http.run(sockets=[listening])


def _telling(url: str, ready_fd: int | None) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return a lifespan that announces the page's URL once it is served."""

    @asynccontextmanager
    async def serving(_: FastAPI) -> AsyncIterator[None]:
        print(f"the dashboard: {url}", flush=True)  # noqa: T201  (a program says where it is)
        if ready_fd is not None:
            tell_ready(ready_fd, url)
        yield

    return serving


def _count_waiting_pages() -> int:
    return sum(not client.has_socket_connection for client in Client.instances.values())


def _stop_at_eof(http: uvicorn.Server) -> None:
    while os.read(STANDARD_INPUT, 4096):
        pass
    http.should_exit = True
