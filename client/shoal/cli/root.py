"""The root of the command line: lets the shared options stand anywhere, and turns errors into exit codes."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

import shoal
from shoal.cli.failures import FAILED, CommandError, exit_code, message_of, tell_error
from shoal.cli.invocation import shared_first


class RootCommand(TyperGroup):
    """`shoal` itself."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the shared options, wherever they stand, before the sub-command."""
        with in_plain_words():
            return super().parse_args(ctx, shared_first(args))

    def invoke(self, ctx: Any) -> Any:
        """Run the sub-command; `typer.Exit` carries the exit code of what went wrong."""
        try:
            with in_plain_words():
                return super().invoke(ctx)
        except (CommandError, shoal.ShoalError) as error:
            tell_error(message_of(error))
            raise typer.Exit(exit_code(error)) from None
        except OSError as error:
            if error.errno == errno.EPIPE or error.filename is None:
                raise
            tell_error(f"{error.filename}: {error.strerror}")
            raise typer.Exit(FAILED) from None


@contextmanager
def in_plain_words() -> Iterator[None]:
    """Rewrite the messages of typer's validator in plain words."""
    try:
        yield
    except typer.BadParameter as error:
        for theirs, ours in _OUR_WORDS:
            error.message = theirs.sub(ours, error.message)
        raise


_OUR_WORDS = (
    (re.compile(r"^Value error, "), ""),
    (re.compile(r"^Input should be greater than or equal to (\S+)$"), r"it must be \1 or more"),
    (re.compile(r"^Input should be less than or equal to (\S+)$"), r"it must be \1 or less"),
    (re.compile(r"^Input should be a valid integer\b.*"), "it must be a whole number"),
    (re.compile(r"^Input should be a valid number\b.*"), "it must be a number"),
    (re.compile(r"^Input should be "), "it must be "),
)
