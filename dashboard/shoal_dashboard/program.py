"""`shoal-dashboard`: read the flags, and run the dashboard."""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

import shoal
import shoal.aio
from shoal.cli.root import in_plain_words
from shoal_dashboard.server_socket import ListenError, listen

DEFAULT_SERVER = "localhost:50051"
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})")


class DashboardCommand(TyperCommand):
    """`shoal-dashboard`, which reports invalid options as `shoal` does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options."""
        with in_plain_words():
            return super().parse_args(ctx, args)


def main() -> None:
    """Run the dashboard of this process."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command("shoal-dashboard", cls=DashboardCommand)(dashboard)
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"shoal-dashboard {version('shoal')}")
        raise typer.Exit


def _open_descriptor(ready_fd: int | None) -> int | None:
    if ready_fd is not None:
        try:
            os.fstat(ready_fd)
        except (OSError, OverflowError):
            raise typer.BadParameter(f"{ready_fd} is no open file descriptor of this process") from None
    return ready_fd


def _host_names(names: list[str]) -> frozenset[str]:
    for name in names:
        if not _HOST_NAME.fullmatch(name):
            raise typer.BadParameter(
                f"--allow-host is {name[:100]!r}; give a host name without scheme and port, such as shoal.example.com"
            )
    return frozenset(name.lower() for name in names)


def dashboard(
    server: Annotated[
        str, typer.Option(envvar="SHOAL_SERVER", metavar="HOST:PORT", help="Shoal server that the page shows.")
    ] = DEFAULT_SERVER,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 listens on all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            envvar="SHOAL_DASHBOARD_ALLOWED_HOSTS",
            metavar="NAME",
            help="Host name under which the page may be opened, besides localhost and IP addresses; may be repeated.",
        ),
    ] = None,
    ready_fd: Annotated[
        int | None,
        typer.Option(
            callback=_open_descriptor,
            help="File descriptor that receives a line with the page's URL, then is closed, when the page is served.",
        ),
    ] = None,
    until_eof: Annotated[
        bool, typer.Option(help="Stop when standard input ends, as it does when the parent dies.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Serve the dashboard: comparisons step by step, and sessions live."""
    allowed_hosts = _host_names(allow_host or [])
    try:
        client = shoal.aio.connect(server)
        listening = listen(host, port)
    except shoal.InvalidArgumentError as error:
        raise typer.BadParameter(str(error), param_hint="--server or SHOAL_SERVER") from None
    except ListenError as error:
        sys.exit(f"error: {error}")
    # Imported here, because NiceGUI takes seconds to import, which a wrong argument needn't wait for.
    from shoal_dashboard.app import serve  # noqa: PLC0415

    serve(client, listening, ready_fd=ready_fd, until_eof=until_eof, allowed_hosts=allowed_hosts)
