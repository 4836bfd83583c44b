"""`shoal-dashboard`, and `python -m shoal_dashboard`."""

from __future__ import annotations

from typing import Annotated

import typer

import shoal
from shoal_dashboard.app import serve

DEFAULT_SERVER = "localhost:50051"


def main() -> None:
    """Run the dashboard of this process."""
    typer.run(dashboard)


def dashboard(
    server: Annotated[
        str, typer.Option(envvar="SHOAL_SERVER", metavar="HOST:PORT", help="The Shoal server that the page shows.")
    ] = DEFAULT_SERVER,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8080,
) -> None:
    """Serve the dashboard: comparisons step by step, and sessions live."""
    try:
        serve(server, host, port)
    except shoal.InvalidArgumentError as error:
        raise typer.BadParameter(str(error)) from None


if __name__ in {"__main__", "__mp_main__"}:
    main()
