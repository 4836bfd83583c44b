"""All commands: shared options, exit codes, colours, and advice instead of tracebacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

import shoal
from shoal.cli.failures import FAILED, UNREACHABLE, USAGE
from shoal.cli.invocation import shared_first
from shoal.testing import LocalServer
from tests.cli.cli_runner import InProcess, run_apart, run_here
from tests.client.fake_server import FakeServer


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("sessions list --output json", "--output json sessions list"),
        ("sessions list --output=json", "--output=json sessions list"),
        ("--server a watch b", "--server a watch b"),
        ("watch b --count 1 --server a", "--server a watch b --count 1"),
        ("demo --output-dir out", "demo --output-dir out"),
        ("watch -- --output", "watch -- --output"),
        ("watch b --server", "--server watch b"),
    ],
)
def test_shared_options_may_stand_anywhere(given: str, read: str) -> None:
    assert shared_first(given.split()) == read.split()


def test_the_server_may_be_named_after_the_command(server: LocalServer) -> None:
    assert run_here("sessions", "list", "--server", server.target, "--output", "json").exit_code == 0


def test_the_server_may_be_named_in_the_environment(server: LocalServer) -> None:
    assert run_here("sessions", "list", env={"SHOAL_SERVER": server.target}).exit_code == 0


def test_an_unreachable_server_exits_with_3() -> None:
    outcome = run_apart("--server", "localhost:1", "--timeout", 1, "sessions", "list")

    assert outcome.exit_code == UNREACHABLE
    assert outcome.stdout == ""
    assert outcome.stderr == "error: can't reach localhost:1 (connection refused): is shoal-server running there?\n"
    assert outcome.stderr.count("\n") == 1


def test_invalid_server_address_exits_with_2() -> None:
    outcome = run_here("--server", "no such host at all", "--timeout", 1, "sessions", "list")

    assert outcome.exit_code == USAGE
    assert "error: --server or SHOAL_SERVER: target is " in outcome.stderr
    assert "use HOST:PORT" in outcome.stderr


@pytest.mark.parametrize(
    "arguments", [["--no-such-option"], ["no-such-command"], ["--output", "xml", "sessions", "list"]]
)
def test_invalid_command_line_is_reported_on_standard_error(arguments: list[str]) -> None:
    outcome = run_here(*arguments)

    assert outcome.exit_code == USAGE
    assert outcome.stdout == ""
    assert outcome.stderr != ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("sessions create a -k 0", "'-k': it must be 1 or more"),
        ("sessions create a -k x", "'-k': it must be a whole number"),
        ("watch a --min-shift x", "'--min-shift': it must be a number"),
        ("--output xml sessions list", "'--output': 'xml' is not one of"),
        ("watch a --after-version 99999999999999999999", "'--after-version': it must be 9223372036854775807 or less"),
        ("watch a --count 99999999999999999999", "'--count' / '-n': it must be 9223372036854775807 or less"),
        ("watch a --min-interval 1e300", "'--min-interval': it must be 315576000000 or less"),
        ("sessions create a -k 99999999999", "'-k': it must be 2147483647 or less"),
        ("sessions create a -k 2 --random-state 4294967296", "'--random-state': it must be 4294967295 or less"),
        ("sessions create a -k 2 --idle-ttl 1e300", "'--idle-ttl': it must be 315576000000 or less"),
        ("sessions create a -k 2 --half-life 1e400", "--half-life 1e400: give a number above 0"),
        ("compare -k 99999999999", "'-k': it must be 2147483647 or less"),
        ("--timeout 1e300 sessions list", "--timeout: timeout is 1e+300; give seconds above 0"),
        ("--timeout nan sessions list", "'--timeout': it must be 0.001 or more"),
    ],
)
def test_invalid_option_value_is_reported_in_plain_words(arguments: str, message: str) -> None:
    outcome = run_here(*arguments.split(), env={"COLUMNS": "200"})

    assert outcome.exit_code == USAGE
    assert message in outcome.stderr
    assert "Value error" not in outcome.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("sessions", "create", b"\xff", "-k", "2"),
        ("sessions", "show", b"\xff"),
        ("sessions", "delete", "a", "--etag", b"\xff"),
        ("watch", b"\xff"),
        ("ingest", b"\xff", "FILE", "--producer", "p"),
        ("ingest", "a", "FILE", "--producer", b"\xff"),
        ("compare", "--example", b"\xff"),
    ],
)
def test_text_that_is_not_unicode_is_a_usage_error(arguments: tuple[str | bytes, ...], tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("1,2\n")
    given = [tmp_path / "points.csv" if argument == "FILE" else os.fsdecode(argument) for argument in arguments]

    outcome = run_here("--server", "localhost:1", *given)

    assert outcome.exit_code == USAGE
    assert r"is '\udcff', which isn't Unicode" in outcome.stderr


def test_a_late_answer_is_reported_with_the_option_that_helps() -> None:
    with FakeServer() as fake:
        fake.plays("ListSessions", lambda _, context: context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "too late"))
        outcome = run_here("--server", fake.target, "sessions", "list")

    assert outcome.exit_code == UNREACHABLE
    assert "in time: give a longer --timeout" in outcome.stderr


@pytest.mark.parametrize("arguments", [("sessions", "list", "--output", "json"), ("sessions", "show")])
def test_full_output_is_reported_in_one_line(
    server: LocalServer, client: shoal.Client, name: str, arguments: tuple[str, ...]
) -> None:
    client.create_session(name, 3)
    given = [*arguments, name] if arguments[-1] == "show" else arguments

    with Path("/dev/full").open("wb") as full:
        outcome = run_apart("--server", server.target, *given, stdout=full)

    assert outcome.exit_code == FAILED
    assert outcome.stderr == "error: can't write to standard output: No space left on device\n"


@pytest.mark.parametrize("help_option", ["-h", "--help"])
def test_help_lists_the_commands(help_option: str) -> None:
    outcome = run_here(help_option)

    assert outcome.exit_code == 0
    for command in ("sessions", "ingest", "assign", "centroids", "watch", "demo"):
        assert command in outcome.stdout


def test_the_version_is_printed() -> None:
    assert run_here("--version").stdout == f"shoal {shoal.__version__}\n"


def test_no_color_is_honoured_even_if_colour_is_forced(command: InProcess, client: shoal.Client, name: str) -> None:
    coloured = command("sessions", "show", name, env={"FORCE_COLOR": "1", "SHOAL_SERVER": client.target})
    plain = command("sessions", "show", name, env={"FORCE_COLOR": "1", "NO_COLOR": "1", "SHOAL_SERVER": client.target})

    assert "\x1b[1;31merror" in coloured.stderr
    assert "\x1b[1;31m" not in plain.stderr
    assert "\x1b[31m" not in plain.stderr


@pytest.mark.parametrize(
    ("package", "program", "title", "extra"),
    [
        ("rich", "shoal", "the command", "cli"),
        ("pydantic_settings", "server", "the server", "server"),
        ("typer", "dashboard", "the dashboard", "dashboard"),
    ],
)
def test_a_missing_package_gets_advice_and_no_traceback(package: str, program: str, title: str, extra: str) -> None:
    without = f"import sys; sys.modules[{package!r}] = None; from shoal_programs import {program}; {program}()"

    outcome = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, check=False)

    assert outcome.returncode == 1
    assert outcome.stderr == (
        f"error: the package {package!r} is missing; {title} needs, in a checkout of Shoal: pip install '.[{extra}]'\n"
    )


@pytest.mark.parametrize("program", ["shoal", "server", "dashboard"])
def test_ctrl_c_while_a_program_is_loaded_ends_it_without_a_traceback(program: str) -> None:
    interrupted = (
        "import signal, sys; import shoal_programs\n"
        "class Interrupting:\n"
        "    def find_spec(self, *_):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        f"sys.meta_path.insert(0, Interrupting()); shoal_programs.{program}()"
    )

    outcome = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, text=True, check=False)

    assert outcome.returncode == 130
    assert outcome.stderr == ""
