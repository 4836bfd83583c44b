"""A server that can't start says why in a line, without a trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from shoal.testing import LocalServer
from shoal_server import program
from shoal_server.process import unknown_variables
from shoal_server.program import main
from shoal_server.settings import Settings
from tests.rpc.wire import Wire, config

TOO_LARGE = "use at most 9,223,372,036,854,775,807"
WRONG = [
    ("--port 70000", "--port is 70000: use at most 65,535"),
    ("--port=x", "--port is 'x': use a whole number"),
    ("--port " + "9" * 5000, "…: use a whole number of fewer digits"),
    ("--compute-threads 0", "--compute-threads is 0: use at least 1"),
    ("--compute-threads 100000000000", "--compute-threads is 100000000000: use at most 1,024"),
    ("--max-comparisons 100000000000", "--max-comparisons is 100000000000: use at most 1,024"),
    ("--max-sessions -5", "--max-sessions is -5: use at least 1"),
    ("--max-sessions 9223372036854775808", f"--max-sessions is 9223372036854775808: {TOO_LARGE}"),
    ("--max-message-bytes 2147483648", "--max-message-bytes is 2147483648: use at most 2,147,483,647"),
    ("--max-streams-per-connection 2147483648", "-per-connection is 2147483648: use at most 2,147,483,647"),
    ("--queue-bytes 5", "--queue-bytes is 5: use at least 1,024"),
    ("--queue-bytes 99999999TiB", f"--queue-bytes is 109951161678088372224: {TOO_LARGE}"),
    ("--queue-bytes 1.5GiB", "--queue-bytes is '1.5GiB': use whole bytes, or a whole number of KiB, MiB, GiB or TiB"),
    ("--memory-limit lots", "or TiB, such as 2147483648 or 2GiB"),
    ("--memory-limit 1000000", "--memory-limit is '1000000': use at least 796MiB; the server needs 834,067,310 bytes"),
    ("--max-batch-bytes 99GiB", "--max-batch-bytes is '99GiB': use at most 67,108,864, the max_message_bytes"),
    ("--max-message-bytes 1MiB", "--max-batch-bytes is 33554432: use at most 1,048,576, the max_message_bytes"),
    ("--idle-ttl -1", "--idle-ttl is -1: use more than 0"),
    ("--idle-ttl 1e300", "--idle-ttl is 1e300: use at most 315,576,000,000"),
    ("--idle-ttl inf", "--idle-ttl is 'inf': use a finite number"),
    ("--shutdown-grace nan", "--shutdown-grace is 'nan': use a finite number"),
    ("--max-event-time-ahead -1", "--max-event-time-ahead is -1: use at least 0"),
    ("--log-level loud", "--log-level is 'loud': use 'debug', 'info', 'warning' or 'error'"),
    ("--ready-fd -1", "--ready-fd is '-1': use an open file descriptor of this process"),
    ("--host=", "--host is '': use a host name or an address, such as 127.0.0.1"),
    ("--port x --log-level loud", "error: --port is 'x': use a whole number"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=[arguments[:60] for arguments, _ in WRONG])
def test_an_invalid_flag_is_reported_with_its_value_and_a_valid_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: str, says: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["shoal-server", *arguments.split()])

    with pytest.raises(SystemExit) as caught:
        main()

    message = capsys.readouterr().err
    assert caught.value.code == 2
    assert says in message
    assert all(line.startswith("error: ") for line in message.splitlines())
    assert len(message.splitlines()) == arguments.count("--")


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("SHOAL_COMPUTE_THREADS", "many", "'many': use a whole number"),
        ("SHOAL_PORT", "http://10.0.0.1:50051", "'http://10.0.0.1:50051': use a whole number"),
        ("SHOAL_LOG_FORMAT", "xml", "'xml': use 'json' or 'console'"),
        ("SHOAL_PRELOAD", "maybe", "'maybe': use true or false"),
        ("SHOAL_MEMORY_LIMIT", "2GB", "'2GB': use whole bytes, or a whole number of KiB, MiB, GiB or TiB"),
        ("SHOAL_MEMORY_LIMIT", "1000000", "'1000000': use at least 796MiB"),
        ("SHOAL_IDLE_TTL", "x" * 5000, "…: use a number"),
    ],
)
def test_an_invalid_environment_variable_is_reported_with_its_value_and_a_valid_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, says: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["shoal-server"])
    monkeypatch.setenv(variable, value)

    with pytest.raises(SystemExit) as caught:
        main()

    message = capsys.readouterr().err
    assert caught.value.code == 2
    assert message.startswith(f"error: {variable} is '")
    assert says in message
    assert len(message) < 500


@pytest.mark.parametrize(
    ("given", "size"), [("2147483648", 2**31), ("2GiB", 2**31), (" 2048 mib", 2**31), ("1048576KiB", 2**30)]
)
def test_sizes_may_have_a_unit(monkeypatch: pytest.MonkeyPatch, given: str, size: int) -> None:
    monkeypatch.setenv("SHOAL_MEMORY_LIMIT", given)
    no_flags: dict[str, Any] = {}

    assert Settings(**no_flags).memory_limit == size


def test_an_empty_environment_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    no_flags: dict[str, Any] = {}
    expected = Settings(**no_flags)
    for name in Settings.model_fields:
        monkeypatch.setenv(f"SHOAL_{name.upper()}", "")

    assert Settings(**no_flags) == expected


def test_unknown_variables_are_found_with_the_nearest_setting_except_those_of_other_programs() -> None:
    environment = {
        **KUBERNETES,
        "SHOAL_DASHBOARD_PORT_8080_TCP": "tcp://10.0.0.2:8080",
        "SHOAL_SERVER": "localhost:50051",
        "SHOAL_QUEUE_BYTES": "1MiB",
        "shoal_max_sesions": "5",
        "SHOAL_MEMORY_LIMT": "2GiB",
        "SHOAL_XYZZY": "1",
        "PATH": "/usr/bin",
    }

    unknown = unknown_variables(environment, Settings.model_fields)

    assert unknown == {
        "shoal_max_sesions": "SHOAL_MAX_SESSIONS",
        "SHOAL_MEMORY_LIMT": "SHOAL_MEMORY_LIMIT",
        "SHOAL_XYZZY": "",
    }


def test_version_prints_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["shoal-server", "--version"])

    with pytest.raises(SystemExit) as caught:
        main()

    assert not caught.value.code
    assert capsys.readouterr().out == f"shoal-server {version('shoal')}\n"


KUBERNETES = {  # what it sets in every pod for a service named shoal
    "SHOAL_SERVICE_HOST": "10.0.0.1",
    "SHOAL_SERVICE_PORT": "50051",
    "SHOAL_SERVICE_PORT_GRPC": "50051",
    "SHOAL_PORT": "tcp://10.0.0.1:50051",
    "SHOAL_PORT_50051_TCP": "tcp://10.0.0.1:50051",
    "SHOAL_PORT_50051_TCP_PROTO": "tcp",
    "SHOAL_PORT_50051_TCP_PORT": "50051",
    "SHOAL_PORT_50051_TCP_ADDR": "10.0.0.1",
}


def test_the_variables_of_a_kubernetes_service_named_shoal_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    no_flags: dict[str, Any] = {}
    expected = Settings(**no_flags)

    for variable, value in KUBERNETES.items():
        monkeypatch.setenv(variable, value)

    assert Settings(**no_flags) == expected


def test_a_flag_sets_the_port_despite_kubernetes_and_a_misspelt_variable_is_logged() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "shoal_server", "--port", "0"],
        env={**os.environ, **KUBERNETES, "SHOAL_MAX_SESIONS": "5"},
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stderr is not None
        lines = [json.loads(process.stderr.readline()) for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        process.stderr.read()

    assert (lines[0]["event"], lines[0]["variable"], lines[0]["value"]) == (
        "environment variable ignored",
        "SHOAL_PORT",
        "tcp://10.0.0.1:50051",
    )
    assert lines[1]["event"] == "environment variable unknown"
    assert (lines[1]["variable"], lines[1]["nearest"]) == ("SHOAL_MAX_SESIONS", "SHOAL_MAX_SESSIONS")
    assert lines[2]["event"] == "starting"
    assert process.returncode == 0


@pytest.mark.parametrize("arguments", ["--colour red", "stray", "--port"])
def test_an_unknown_flag_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["shoal-server", *arguments.split()])

    with pytest.raises(SystemExit) as caught:
        main()

    assert caught.value.code == 2
    assert "shoal-server: error: " in capsys.readouterr().err


def test_a_second_server_on_a_port_fails_and_leaves_the_first_alone(server: LocalServer, wire: Wire, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shoal_server", "--port", str(server.port)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert f"error: can't listen on 127.0.0.1:{server.port}: the port is in use" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "add_port" not in done.stderr  # gRPC's own log
    assert wire.create(name, config()).name == name


def test_until_eof_with_a_file_as_standard_input_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shoal_server", "--port", "0", "--until-eof"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert done.stderr == "error: until_eof needs a pipe or a terminal as standard input, not a file\n"


def test_main_raises_a_bug_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: Settings) -> None:
        raise RuntimeError("the server has a bug")

    monkeypatch.setattr(sys, "argv", ["shoal-server"])
    monkeypatch.setattr(program, "serve", fail)

    with pytest.raises(RuntimeError, match="has a bug"):
        main()


def test_a_signal_while_the_kernels_are_compiled_ends_the_server_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "shoal_server", "--port", "0"],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline(), process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read().splitlines()

    assert process.returncode == 0
    lines = [json.loads(line) for line in (*first, *rest)]
    assert [line["event"] for line in lines] == ["starting", "compiling the kernels", "stopping", "stopped"]
    assert (lines[1]["done"], lines[1]["of"]) == (0, 34)
