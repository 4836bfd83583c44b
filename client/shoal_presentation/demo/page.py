"""The demo's dashboard. On a terminal it stays until the user presses a key; otherwise it ends with the demo."""

from __future__ import annotations

import asyncio
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import shoal
from shoal.testing import LocalDashboard
from shoal_presentation.demo.display import Display

PORT = 8080  # a free one where it is taken


@contextmanager
def page_of(target: str, display: Display) -> Iterator[str | None]:
    """Serve the dashboard of a server, print and yield its URL; without one, print why and yield None."""
    with ExitStack() as stack:
        try:
            with display.busy("starting the page"):
                url = stack.enter_context(_dashboard(target)).url
        except shoal.ServerStartError as error:
            display.tell(f"there is no page to watch: {error}")
            yield None
        else:
            display.tell(f"watch it live: {url}/sessions")
            yield url


def stay(target: str, tell: Callable[[str], None]) -> None:
    """Wait for Ctrl-C or SIGTERM, or on a terminal for Enter; `tell` shows the user what to press."""
    asyncio.run(_wait_for_user(target, tell))


def _dashboard(target: str) -> LocalDashboard:
    try:
        return LocalDashboard(target, PORT).start()
    except shoal.ServerStartError:  # most likely the port is taken; any other fault the second try raises again
        return LocalDashboard(target).start()


async def _wait_for_user(target: str, tell: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    keys = "Ctrl-C"
    if sys.stdin.isatty():
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # who was impatient during the race didn't mean the page
        loop.add_reader(sys.stdin, stop.set)
        keys = "Enter or Ctrl-C"
    tell(f"the page and the session on {target} stay until you press {keys}")
    await stop.wait()
    if sys.stdin.isatty():
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # the shell isn't meant either
