"""The command line of `shoal demo`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli.failures import CommandError, tell
from shoal.cli.invocation import invocation
from shoal.cli.output import Format, show_record, show_records

if TYPE_CHECKING:
    from shoal_presentation.demo.comparison import FitSummary
    from shoal_presentation.demo.run import FinishedDemo

_REPORT_PACKAGES = ("matplotlib", "sklearn")
_SERVER_PACKAGES = ("numba", "pydantic_settings", "scipy", "structlog")


def demo(
    ctx: typer.Context,
    output_dir: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for the report. Replaces an earlier report.")
    ] = Path("shoal-demo"),
    step: Annotated[
        int, typer.Option(min=1, max=16, help="Take every Nth pixel of every Nth row, to finish sooner.")
    ] = 1,
    stay: Annotated[
        bool | None,
        typer.Option(
            "--stay/--no-stay",
            show_default="on a terminal",
            help="Keep page, session and server running until Ctrl-C.",
        ),
    ] = None,
) -> None:
    """Cluster a photograph in one pass, compare with an offline fit, and write a report of it.

    Streams the pixels once, in scan order, into a session and into scikit-learn's partial_fit, and fits them offline.
    The dashboard shows the session live.

    Starts a local server unless you name one with --server or SHOAL_SERVER.
    """
    _check_packages(own_server=invocation(ctx).server is None)
    # Imported here, because these need packages that the rest of the command does without.
    from shoal_presentation.demo.page import stay as stay_with_page  # noqa: PLC0415
    from shoal_presentation.demo.run import run_demo  # noqa: PLC0415

    shared = invocation(ctx)
    with run_demo(output_dir, step, server=shared.server, timeout=shared.timeout) as finished:
        _show(finished, shared.output)
        tell(f"the report: {finished.report}\nopen it in a browser: {finished.report.as_uri()}")
        if finished.page_url is not None and (_on_terminal() if stay is None else stay):
            stay_with_page(finished.target, tell)


def _show(finished: FinishedDemo, form: Format) -> None:
    if form == "json":
        fits = [asdict(summary) for summary in finished.summaries]
        show_record({"report": str(finished.report), "fits": fits}, "json")
    else:
        show_records([_row(summary) for summary in finished.summaries], "table")


def _row(summary: FitSummary) -> dict[str, str | int | float]:
    return {
        "fit": summary.fit,
        "inertia/point": round(summary.inertia_per_point, 2),
        "x offline": round(summary.ratio_to_offline, 4),
        "seconds": round(summary.seconds, 2),
        "rows/s": round(summary.rows_per_second),
    }


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _check_packages(*, own_server: bool) -> None:
    needed = (*_REPORT_PACKAGES, *(_SERVER_PACKAGES if own_server else ()))
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise CommandError(
            f"the package {missing[0]!r} is missing; the demo needs, in a checkout of Shoal: pip install '.[demo]'"
        )
