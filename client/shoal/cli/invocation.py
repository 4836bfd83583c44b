"""The shared options, wherever they stand on the command line, and the connection that they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

import typer

import shoal
from shoal.cli.failures import usage_error
from shoal.cli.output import Format

DEFAULT_SERVER = "localhost:50051"
SHARED_OPTIONS = ("--server", "--output", "--timeout")


@dataclass(frozen=True)
class Invocation:
    """The options that every sub-command shares."""

    server: str | None  # None: not said
    output: Format
    timeout: float  # seconds

    @property
    def target(self) -> str:
        """The address of the server."""
        return self.server or DEFAULT_SERVER

    def connect(self) -> shoal.Client:
        """Return a client of the server."""
        try:
            return shoal.connect(self.target, timeout=self.timeout)
        except shoal.InvalidArgumentError as error:
            option = "--timeout" if error.reason == "TIMEOUT_INVALID" else "--server or SHOAL_SERVER"
            raise usage_error(f"{option}: {error}") from None


def invocation(ctx: typer.Context) -> Invocation:
    """Return the shared options of the running command."""
    return cast("Invocation", ctx.obj)


def shared_first(arguments: Sequence[str]) -> list[str]:
    """Return the command line with the shared options before the sub-command; what follows ``--`` stays where it is."""
    shared: list[str] = []
    others: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            others += [argument, *remaining]
        elif argument in SHARED_OPTIONS:
            shared += [argument, *islice(remaining, 1)]
        else:
            (shared if argument.partition("=")[0] in SHARED_OPTIONS else others).append(argument)
    return shared + others
