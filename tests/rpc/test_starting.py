"""A server that can't start says why in a line, without a trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shoal.testing import LocalServer
from shoal_server import __main__ as program
from shoal_server.__main__ import main
from shoal_server.settings import Settings
from tests.rpc.wire import Wire, config

WRONG = [
    ("--port 70000", "--port is '70000': it must be less than or equal to 65535"),
    ("--port=x", "--port is 'x': it must be a valid integer"),
    ("--compute-threads 0", "--compute-threads is '0': it must be greater than or equal to 1"),
    ("--max-sessions -5", "--max-sessions is '-5': it must be greater than or equal to 1"),
    ("--queue-bytes 5", "--queue-bytes is '5': it must be greater than or equal to 1024"),
    ("--max-batch-bytes 99999999999", "max_batch_bytes is 99,999,999,999, above max_message_bytes 67,108,864"),
    ("--idle-ttl -1", "--idle-ttl is '-1': it must be greater than 0"),
    ("--idle-ttl inf", "--idle-ttl is 'inf': it must be a finite number"),
    ("--shutdown-grace nan", "--shutdown-grace is 'nan': it must be a finite number"),
    ("--max-event-time-ahead -1", "--max-event-time-ahead is '-1': it must be greater than or equal to 0"),
    ("--log-level loud", "--log-level is 'loud': it must be 'debug', 'info', 'warning' or 'error'"),
    ("--ready-fd -1", "--ready-fd is '-1': -1 is no open file descriptor"),
    ("--host=", "--host is '': it must have at least 1 character"),
    ("--port x --log-level loud", "error: --port is 'x': it must be a valid integer"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=[arguments for arguments, _ in WRONG])
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
        ("SHOAL_COMPUTE_THREADS", "many", "'many': it must be a valid integer"),
        ("SHOAL_PORT", "http://10.0.0.1:50051", "'http://10.0.0.1:50051': it must be a valid integer"),
        ("SHOAL_LOG_FORMAT", "xml", "'xml': it must be 'json' or 'console'"),
        ("SHOAL_IDLE_TTL", "x" * 5000, "…: it must be a valid number"),
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


def test_a_flag_sets_the_port_despite_the_variables_of_a_kubernetes_service() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "shoal_server", "--port", "0"],
        env={**os.environ, **KUBERNETES},
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stderr is not None
        lines = [json.loads(process.stderr.readline()) for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        process.stderr.read()

    assert (lines[0]["event"], lines[0]["variable"], lines[0]["value"]) == (
        "environment variable ignored",
        "SHOAL_PORT",
        "tcp://10.0.0.1:50051",
    )
    assert lines[1]["event"] == "starting"
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
        first = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()

    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in (first + rest).splitlines()]
    assert events == ["starting", "stopping", "stopped"]
