"""The dashboard beside the demo: it comes and goes with it, and on a terminal it stays as long as somebody looks."""

from __future__ import annotations

import asyncio
import signal
import sys
import termios
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import shoal
from shoal.cli.demo.display import Display
from shoal.cli.failures import tell
from shoal.testing import LocalDashboard

PORT = 8080  # a free one where it is taken


@contextmanager
def page_of(target: str, display: Display) -> Iterator[str | None]:
    """Serve the page of a server, say where, and yield its URL; None where there can be no page, which is told."""
    with ExitStack() as stack:
        try:
            with display.busy("starting the page"):
                url = stack.enter_context(_dashboard(target)).url
        except shoal.ServerStartError as error:
            tell(f"there is no page to watch: {error}")
            yield None
        else:
            tell(f"watch it live: {url}/sessions")
            yield url


def stay(target: str) -> None:
    """Wait until Ctrl-C or SIGTERM; on a terminal until Enter, too."""
    asyncio.run(_until_told(target))


def _dashboard(target: str) -> LocalDashboard:
    try:
        return LocalDashboard(target, PORT).start()
    except shoal.ServerStartError:  # most likely the port is taken; anything else is told by the second try
        return LocalDashboard(target).start()


async def _until_told(target: str) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    keys = "Ctrl-C"
    if sys.stdin.isatty():
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # who was impatient during the race didn't mean the page
        loop.add_reader(sys.stdin, told.set)
        keys = "Enter or Ctrl-C"
    tell(f"the page and the sessions on {target} stay until you press {keys}")
    await told.wait()
    if sys.stdin.isatty():
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # the shell isn't meant either
