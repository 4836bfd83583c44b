"""Puts the dashboard together: one client of the server for all pages, and the pages."""

from __future__ import annotations

import json
from pathlib import Path

from nicegui import app, ui

import shoal.aio
from shoal import drawing, report
from shoal_dashboard.frame import LOGO
from shoal_dashboard.pages import compare, session, sessions

_HERE = Path(__file__).parent
STYLE = report.stylesheet() + (_HERE / "style.css").read_text("utf-8")
SCRIPT = f"{report.script()}const SHOAL_DRAWING_STYLE = {json.dumps(drawing.stylesheet())};\n" + (
    _HERE / "stage.js"
).read_text("utf-8")


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
    ui.add_head_html(f"<script>{SCRIPT}</script>", shared=True)
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
