"""What the dashboard accepts over HTTP: hosts, origins, body sizes and visitors; and the headers of its responses.

Anyone who reaches the page can delete sessions, so pages of other sites must not reach it through a visitor's browser:
the Host check stops names that were rebound to this machine, and the Origin check stops requests from other pages.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 21_000_000  # a file of 20 MB, and the form around it
MAX_BODIES = 4  # uploads that are read at once
MAX_WAITING_PAGES = 200  # pages whose browser has not opened its websocket yet

_MAX_LENGTH_DIGITS = 18  # of a Content-Length
_POLICY = (
    "default-src 'self'; "
    # NiceGUI writes a page's scripts and styles into it, and compiles Vue templates in the browser.
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True)
class AllowedHosts:
    """Which names the page may be opened under: localhost, any IP address, and the names given.

    An address needs no entry: the browser shows a page of another site under that site's name, never under an address.
    """

    names: frozenset[str]  # lower case

    def allows_host(self, host: str) -> bool:
        """Return whether a Host header, with or without a port, is one that the page may be opened under."""
        name = _host_name(host)
        return name is not None and (name == "localhost" or name in self.names or _is_address(name))

    def allows_origin(self, origin: str, host: str) -> bool:
        """Return whether a page from `origin` may send requests to `host`: the same page, or a name that was given.

        A proxy may change the Host that arrives here; the names given are those that visitors see.
        """
        _, _, netloc = origin.partition("://")
        return netloc.lower() == host.lower() or _host_name(netloc) in self.names


def protect(app: ASGIApp, allowed: AllowedHosts, waiting_pages: Callable[[], int]) -> ASGIApp:
    """Return the app behind its checks.

    Parameters
    ----------
    app
        What is protected.
    allowed
        The names that it may be opened under.
    waiting_pages
        Returns how many pages wait for their browser's websocket.
    """
    bodies = _BodyCount()

    async def protected(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await app(scope, receive, send)
            return
        if refusal := _refusal(scope, allowed, bodies, waiting_pages):
            await refusal(scope, receive, send)
        elif scope["type"] == "websocket":
            await app(scope, receive, send)
        elif scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await app(scope, receive, _with_headers(send))
        else:
            with bodies:
                await _call_with_bounded_body(app, scope, receive, _with_headers(send))

    return protected


class _BodyCount:
    """How many request bodies are being read."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1


class _BodyTooLargeError(Exception):
    """A request body is longer than the dashboard accepts."""


def _refusal(
    scope: Scope, allowed: AllowedHosts, bodies: _BodyCount, waiting_pages: Callable[[], int]
) -> ASGIApp | None:
    """Return the response that refuses a request, or None if it is allowed."""
    headers = Headers(scope=scope)
    return _refuse_foreign(headers, allowed) or (
        None if scope["type"] == "websocket" else _refuse_excess(scope, headers, bodies, waiting_pages)
    )


def _refuse_foreign(headers: Headers, allowed: AllowedHosts) -> ASGIApp | None:
    host, origin = headers.get("host", ""), headers.get("origin")
    if not allowed.allows_host(host):
        return _text(
            HTTPStatus.MISDIRECTED_REQUEST,
            f"This dashboard is not served as {host[:100]!r}. Start it with --allow-host NAME to open it under a name.",
        )
    if origin is not None and not allowed.allows_origin(origin, host):
        return _text(HTTPStatus.FORBIDDEN, f"Requests from {origin[:100]!r} are not accepted.")
    return None


def _refuse_excess(
    scope: Scope, headers: Headers, bodies: _BodyCount, waiting_pages: Callable[[], int]
) -> ASGIApp | None:
    if _announced_length(headers) > MAX_BODY_BYTES:
        return _too_large()
    if scope["method"] not in {"GET", "HEAD", "OPTIONS"}:
        return None if bodies.count < MAX_BODIES else _busy("Too many uploads at once.")
    if not scope["path"].startswith("/_nicegui") and waiting_pages() >= MAX_WAITING_PAGES:
        return _busy("Too many pages are being opened.")
    return None


async def _call_with_bounded_body(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Call the app; answer 413 once its request's body turns out to be too long."""
    received = 0
    has_begun = False

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise _BodyTooLargeError
        return message

    async def send_noting(message: Message) -> None:
        nonlocal has_begun
        has_begun = True
        await send(message)

    try:
        await app(scope, receive_bounded, send_noting)
    except _BodyTooLargeError:
        if not has_begun:
            await _too_large()(scope, receive, send)


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return send_with_headers


def _host_name(host: str) -> str | None:
    """Return the name in HOST:PORT or [IPv6]:PORT, in lower case; None for what is neither."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _announced_length(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return (
        int(length)
        if length.isascii() and length.isdigit() and len(length) <= _MAX_LENGTH_DIGITS
        else MAX_BODY_BYTES + 1
    )


def _too_large() -> ASGIApp:
    return _text(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"A file has {MAX_BODY_BYTES // 1_000_000 - 1} MB at most here; push larger ones with shoal ingest.",
    )


def _busy(text: str) -> ASGIApp:
    return PlainTextResponse(
        f"{text} Try again in a few seconds.", HTTPStatus.SERVICE_UNAVAILABLE, {**_HEADERS, "Retry-After": "5"}
    )


def _text(status: HTTPStatus, text: str) -> ASGIApp:
    return PlainTextResponse(text, status, _HEADERS)
