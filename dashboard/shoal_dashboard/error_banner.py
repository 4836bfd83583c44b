"""Errors on the page, with the server's own messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nicegui import ui

import shoal
from shoal_dashboard.parsing import ParseError


def lost_text(error: shoal.ShoalError) -> str:
    """Return the message for a page whose session or server is away."""
    if isinstance(error, shoal.SessionNotFoundError):
        return f"There is no session {error.session}. This page will show it as soon as it exists."
    if isinstance(error, shoal.UnavailableError):
        return f"The server can't be reached. This page will continue when the server is back. ({error})"
    return f"This page will continue after this error: {error}"


class ErrorBanner:
    """Two lines that appear while something is wrong: with the visitor's request, and with the connection."""

    def __init__(self) -> None:
        self._asked = _line()
        self._lost = _line()

    @contextmanager
    def catch_errors(self) -> Iterator[None]:
        """Show the error that the context raises, or clear the line."""
        self.say("")
        try:
            yield
        except (ParseError, shoal.ShoalError) as error:
            self.say(str(error))

    def say(self, trouble: str) -> None:
        """Show what is wrong with the visitor's request; empty: nothing."""
        _show(self._asked, trouble)

    def say_lost(self, trouble: str) -> None:
        """Show that the session or server is away (`lost_text`); empty: it is there."""
        _show(self._lost, trouble)


def _line() -> ui.label:
    line = ui.label().classes("trouble").props('role="alert"')
    line.set_visibility(False)
    return line


def _show(line: ui.label, trouble: str) -> None:
    line.set_text(trouble)
    line.set_visibility(bool(trouble))
