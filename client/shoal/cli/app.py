"""The `shoal` command: puts the sub-commands together and reads the options that they share."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from shoal.cli import assign, centroids, compare, demo, describe, events, ingest, sessions, suggest_k, watch
from shoal.cli.invocation import DEFAULT_SERVER, Invocation
from shoal.cli.output import Format
from shoal.cli.root import RootCommand

app = typer.Typer(
    name="shoal",
    cls=RootCommand,
    help="Streaming clustering: push batches of points into sessions, watch the centroids move. "
    "You can put the options below after the command too.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(sessions.app, name="sessions")
app.command("ingest")(ingest.ingest)
app.command("assign")(assign.assign)
app.command("centroids")(centroids.centroids)
app.command("describe")(describe.describe)
app.command("suggest-k")(suggest_k.suggest_k)
app.command("watch")(watch.watch)
app.command("events")(events.events)
app.command("compare")(compare.compare)
app.command("demo")(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"shoal {version('shoal')}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    server: Annotated[
        str | None,
        typer.Option(
            envvar="SHOAL_SERVER", metavar="HOST:PORT", show_default=DEFAULT_SERVER, help="Address of the server."
        ),
    ] = None,
    output: Annotated[Format, typer.Option(help="Format of standard output.")] = "table",
    timeout: Annotated[float, typer.Option(min=0.001, help="Timeout of a call in seconds.")] = 30.0,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Read the options that every sub-command shares."""
    ctx.obj = Invocation(server, output, timeout)
