"""The command line of `shoal demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shoal.cli.failures import CommandError
from shoal.cli.invocation import invocation


def demo(
    ctx: typer.Context,
    output_dir: Annotated[
        Path, typer.Option(file_okay=False, help="Where the report goes; an earlier one there is replaced.")
    ] = Path("shoal-demo"),
    step: Annotated[
        int, typer.Option(min=1, max=16, help="Take every Nth pixel of every Nth row: less to see, sooner done.")
    ] = 1,
) -> None:
    """Cluster a photograph live with three engines, and write a report of it.

    Starts a server of its own unless --server or SHOAL_SERVER names one. The pixels are streamed twice, in scan order
    and shuffled, into three sessions at once, and set beside an offline scikit-learn fit of all pixels.
    """
    try:
        from shoal.cli.demo.stage import perform  # noqa: PLC0415  (so that a missing package gets advice)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise CommandError(f"the package {package!r} is missing; the demo needs: pip install 'shoal[demo]'") from error
    perform(invocation(ctx), output_dir, step)
