"""Ignores the errors of requests whose visitors have left."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send


def ignore_disconnects(app: ASGIApp) -> ASGIApp:
    """Return the app without the errors that it raises when a visitor has left.

    Starlette's BaseHTTPMiddleware, used by NiceGUI, raises "No response returned" then
    (github.com/Kludex/starlette/issues/2516).
    """

    async def forgiving(scope: Scope, receive: Receive, send: Send) -> None:
        has_left = False

        async def receive_and_note() -> Message:
            nonlocal has_left
            message = await receive()
            has_left = has_left or message["type"] == "http.disconnect"
            return message

        try:
            await app(scope, receive_and_note, send)
        except RuntimeError:
            if not has_left:
                raise

    return forgiving
