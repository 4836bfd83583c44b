"""The command line of `shoal demo`."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from shoal.cli.failures import CommandError
from shoal.cli.invocation import invocation

_REPORT_PACKAGES = ("matplotlib", "sklearn")
_SERVER_PACKAGES = ("numba", "pydantic_settings", "scipy", "structlog")


def demo(
    ctx: typer.Context,
    output_dir: Annotated[
        Path, typer.Option(file_okay=False, help="Where the report goes; an earlier one there is replaced.")
    ] = Path("shoal-demo"),
    step: Annotated[
        int, typer.Option(min=1, max=16, help="Take every Nth pixel of every Nth row: less to see, sooner done.")
    ] = 1,
    stay: Annotated[
        bool | None,
        typer.Option(
            "--stay/--no-stay", show_default="on a terminal", help="Keep page, sessions and server until Ctrl-C."
        ),
    ] = None,
) -> None:
    """Cluster a photograph live with three engines, and write a report of it.

    The pixels go into three sessions at once, in scan order and then shuffled, beside an offline fit of them all.
    The dashboard shows the sessions live.

    Starts a server of its own, unless --server or SHOAL_SERVER names one.
    """
    _check_packages(own_server=invocation(ctx).server is None)
    from shoal.cli.demo.stage import perform  # noqa: PLC0415  (it needs those packages)

    perform(invocation(ctx), output_dir, step, stays=_on_terminal() if stay is None else stay)


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _check_packages(*, own_server: bool) -> None:
    needed = (*_REPORT_PACKAGES, *(_SERVER_PACKAGES if own_server else ()))
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise CommandError(f"the package {missing[0]!r} is missing; the demo needs: pip install 'shoal[demo]'")
