"""The parts of every page: header, navigation and main part."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nicegui import ui

from shoal_presentation.drawing import definitions

LOGO = (Path(__file__).parent / "logo.svg").read_text("utf-8")

# The shapes that every drawing of the page refers to.
_MARKS = f'<svg class="marks" width="0" height="0" aria-hidden="true"><defs>{definitions()}</defs></svg>'

CONNECT_TIMEOUT = 20.0  # seconds from the response to a page until its browser's websocket

_PAGES = {"/": "Compare", "/sessions": "Sessions"}


async def has_connected() -> bool:
    """Wait for the visitor's browser to open the page's websocket, and delete the page if it doesn't."""
    client = ui.context.client
    try:
        # Not the timeout of `connected`: a request that calls itself a prefetch would wait forever.
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await client.connected()
    except TimeoutError:
        client.delete()
        return False
    return not client.is_deleted


@contextmanager
def page_layout(title: str, here: str, target: str) -> Iterator[None]:
    """Draw a page around what the context makes.

    Parameters
    ----------
    title
        Of the browser's tab.
    here
        The path of the page among the pages.
    target
        ``host:port`` of the server.
    """
    ui.html(_MARKS, sanitize=False)
    ui.page_title(f"{title} · Shoal")
    with ui.element("header").classes("top"):
        ui.html(f"{LOGO} <b>Shoal</b>", sanitize=False, tag="span").classes("brand")
        with ui.element("nav").props('aria-label="Pages"'):
            for path, name in _PAGES.items():
                link = ui.link(name, path)
                if path == here:
                    link.props('aria-current="page"')
        ui.label(f"server {target}").classes("server")
    with ui.element("div").classes("page"):
        yield
