"""Requests that the dashboard refuses: foreign names and origins, too large bodies, too many pages."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse

import pytest
from starlette.types import Message, Receive, Scope, Send

from shoal_dashboard.security import MAX_BODY_BYTES, AllowedHosts, protect
from tests.dashboard.browsing import Dashboard

PATIENCE = 60.0  # seconds after which what is waited for won't come any more
NO_SERVER = "127.0.0.1:1"
WEBSOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"

# A dashboard that gives pages up quickly, and lets few of them wait.
IMPATIENT = f"""
import sys
from shoal_dashboard import layout, security
layout.CONNECT_TIMEOUT, security.MAX_WAITING_PAGES = 0.1, 1
from shoal_dashboard.program import main
sys.argv = ["shoal-dashboard", "--server", {NO_SERVER!r}, "--port", "0", "--until-eof"]
main()
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with Dashboard(NO_SERVER) as dashboard:
        yield dashboard.url.removeprefix("http://")


def request(address: str, path: str = "/sessions", method: str = "GET", **headers: str) -> HTTPResponse:
    """Send a request without a body, and return the response, read."""
    connection = HTTPConnection(address, timeout=PATIENCE)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    response = connection.getresponse()
    if response.status != HTTPStatus.SWITCHING_PROTOCOLS:
        response.read()
    connection.close()
    return response


def open_websocket(address: str, **headers: str) -> HTTPResponse:
    key = base64.b64encode(bytes(16)).decode()
    return request(
        address,
        WEBSOCKET,
        Connection="Upgrade",
        Upgrade="websocket",
        Sec_WebSocket_Key=key,
        Sec_WebSocket_Version="13",
        **headers,
    )


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::1", ""])
def test_a_page_under_a_foreign_host_name_is_refused(address: str, host: str) -> None:
    assert request(address, Host=host).status == HTTPStatus.MISDIRECTED_REQUEST
    assert open_websocket(address, Host=host).status not in {HTTPStatus.OK, HTTPStatus.SWITCHING_PROTOCOLS}


@pytest.mark.parametrize("host", ["localhost:8080", "LOCALHOST", "127.0.0.1", "192.168.1.7:8080", "[::1]:8080"])
def test_a_page_under_a_local_name_or_an_address_is_served(address: str, host: str) -> None:
    assert request(address, Host=host).status == HTTPStatus.OK


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:9999", "null", "file://", "http://[::1"])
def test_a_websocket_from_another_sites_page_is_refused(address: str, origin: str) -> None:
    assert open_websocket(address, Origin=origin).status != HTTPStatus.SWITCHING_PROTOCOLS


def test_a_websocket_from_the_dashboards_own_page_is_opened(address: str) -> None:
    assert open_websocket(address, Origin=f"http://{address}").status == HTTPStatus.SWITCHING_PROTOCOLS


def test_a_post_from_another_sites_page_is_refused(address: str) -> None:
    refused = request(address, "/", "POST", Origin="https://evil.example", Content_Length="0")

    assert refused.status == HTTPStatus.FORBIDDEN


def test_an_allowed_host_name_is_served_behind_a_proxy() -> None:
    allowed = AllowedHosts(frozenset({"shoal.example.com"}))

    assert allowed.allows_host("shoal.example.com:443")
    assert allowed.allows_origin("https://shoal.example.com", "10.0.0.7:8080")
    assert not allowed.allows_origin("https://evil.example", "10.0.0.7:8080")
    assert not allowed.allows_host("evil.example")


@pytest.mark.parametrize("length", [str(MAX_BODY_BYTES + 1), "9" * 400, "-1", "1e3"])
def test_a_body_with_a_too_large_content_length_is_refused_unread(address: str, length: str) -> None:
    response = request(address, "/", "POST", Content_Length=length)

    assert response.status in {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.BAD_REQUEST}


async def test_a_body_of_unknown_length_is_read_up_to_the_limit() -> None:
    pieces_read = 0
    sent: list[Message] = []

    async def read_everything(_: Scope, receive: Receive, __: Send) -> None:
        while (await receive())["more_body"]:
            pass

    async def receive() -> Message:
        nonlocal pieces_read
        pieces_read += 1
        return {"type": "http.request", "body": bytes(1_000_000), "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}
    await protect(read_everything, AllowedHosts(frozenset()), lambda: 0)(scope, receive, send)

    assert sent[0]["status"] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert pieces_read == MAX_BODY_BYTES // 1_000_000 + 1


def test_responses_carry_security_headers(address: str) -> None:
    headers = request(address).headers

    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "connect-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"


def test_pages_whose_browser_opens_no_websocket_are_dropped() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    with subprocess.Popen(
        [sys.executable, "-c", IMPATIENT], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as dashboard:
        assert dashboard.stdout is not None
        address = dashboard.stdout.readline().split("http://")[1].strip()
        first = request(address, Sec_Purpose="prefetch").status
        second = request(address, Sec_Purpose="prefetch").status
        while request(address).status == HTTPStatus.SERVICE_UNAVAILABLE:
            pass  # pytest's timeout ends it where the first page is never given up
        dashboard.communicate(timeout=PATIENCE)

    assert first == HTTPStatus.OK
    assert second in {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE}
    assert dashboard.returncode == 0
