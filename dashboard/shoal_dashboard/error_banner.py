"""What went wrong, on the page, in the server's own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nicegui import ui

import shoal
from shoal_dashboard.parsing import ParseError


def lost_text(error: shoal.ShoalError) -> str:
    """Return what a page says when what it shows is away."""
    if isinstance(error, shoal.SessionNotFoundError):
        return f"There is no session {error.session}. This page shows it when there is one."
    if isinstance(error, shoal.UnavailableError):
        return f"The server can't be reached. This page goes on by itself when it is back. ({error})"
    return f"This page goes on by itself after: {error}"


class ErrorBanner:
    """Two lines that are there only while something is wrong: of what was asked for, and of the connection."""

    def __init__(self) -> None:
        self._asked = _line()
        self._lost = _line()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Show what the context raises, and nothing if all is well."""
        self.say("")
        try:
            yield
        except (ParseError, shoal.ShoalError) as error:
            self.say(str(error))

    def say(self, trouble: str) -> None:
        """Show what is wrong with what was asked for."""
        _show(self._asked, trouble)

    def say_lost(self, trouble: str) -> None:
        """Show that what the page is about is away (`lost_text`); empty: it is there."""
        _show(self._lost, trouble)


def _line() -> ui.label:
    line = ui.label().classes("trouble").props('role="alert"')
    line.set_visibility(False)
    return line


def _show(line: ui.label, trouble: str) -> None:
    line.set_text(trouble)
    line.set_visibility(bool(trouble))
