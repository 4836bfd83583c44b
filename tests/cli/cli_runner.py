"""Runs the `shoal` command."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from typer.testing import CliRunner

from shoal.cli.app import app
from tests.interrupts import interruptible

InProcess = Callable[..., "Outcome"]


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    stdout: str
    stderr: str


def run_here(*arguments: object, env: Mapping[str, str] | None = None) -> Outcome:
    """Run the command in this process."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def run_apart(
    *arguments: object,
    stdin: bytes = b"",
    stdout: IO[bytes] | int = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """Run the command in a process of its own."""
    result = subprocess.run(
        _command(*arguments), input=stdin, env=_environment(env), stdout=stdout, stderr=subprocess.PIPE, check=False
    )
    return Outcome(result.returncode, (result.stdout or b"").decode(), result.stderr.decode())


def run_on_terminal(
    *arguments: object,
    columns: int,
    env: Mapping[str, str],
    question: bytes = b"",
    answer: Callable[[], bytes] | None = None,
) -> list[str]:
    """Run the command in a process of its own on a terminal, and return the lines that were drawn there.

    Once `question` has been drawn somebody types what `answer` returns.
    """
    drawn = b""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, columns))
    with subprocess.Popen(_command(*arguments), env=_environment(env), stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        while piece := _read_terminal(ours):
            drawn += piece
            if answer is not None and question in drawn:
                os.write(ours, answer())
                answer = None
    os.close(ours)
    return without_escapes(drawn.decode()).replace("\r", "\n").split("\n")


def without_escapes(drawn: str) -> str:
    """Return the output of a terminal without colours and cursor movements."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn)


@contextmanager
def running(*arguments: object, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start the command in a process of its own, with pipes at all its ends."""
    with subprocess.Popen(
        interruptible(_command(*arguments)),
        env=_environment(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def _read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how Linux says that nobody has the other end any more
        return b""


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "shoal.cli", *map(str, arguments)]


def _environment(added: Mapping[str, str] | None) -> dict[str, str]:
    # A width in the environment, as pytest's workers have it, would count more than the terminal's own.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SHOAL_") and name not in {"COLUMNS", "LINES"}
    }
    return {**inherited, **(added or {})}
