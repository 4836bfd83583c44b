"""Puts the dashboard together: one client of the server for all pages, and the pages."""

from __future__ import annotations

from pathlib import Path

from nicegui import app, ui

import shoal.aio
from shoal_dashboard.frame import LOGO
from shoal_dashboard.pages import compare, session, sessions

STYLE = (Path(__file__).parent / "style.css").read_text("utf-8")


def serve(server: str, host: str, port: int) -> None:
    """Serve the pages until the process is told to stop.

    Parameters
    ----------
    server
        ``host:port`` of the Shoal server.
    host, port
        Where to listen.

    Raises
    ------
    InvalidArgumentError
        If the server's address can't be one.
    """
    client = shoal.aio.connect(server)
    app.on_shutdown(client.close)
    app.colors(primary="#0b62a8")
    ui.add_css(STYLE, shared=True)
    for page in (compare, sessions, session):
        page.add_page(client)
    ui.run(
        host=host,
        port=port,
        title="Shoal",
        favicon=LOGO,
        dark=None,
        language="en-US",
        reload=False,
        show=False,
        show_welcome_message=True,
    )
