"""Starts and stops a Shoal program in a process of its own, which ends with this one (`--until-eof`)."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from shoal._errors import ServerStartError

_START_SECONDS = 600.0  # the first start of the server compiles the kernels: a minute or two, on a busy machine more
_STOP_SECONDS = 60.0
_TAIL_LINES = 40


class ManagedProcess:
    """A program that can be started and stopped repeatedly.

    Parameters
    ----------
    module
        What `python -m` runs. It knows ``--ready-fd`` and ``--until-eof``.
    title
        What people call it: "server".
    """

    def __init__(self, module: str, title: str) -> None:
        self._module = module
        self._title = title
        self._process: subprocess.Popen[bytes] | None = None
        self.log_path = Path(tempfile.gettempdir()) / f"{module.replace('_', '-')}-{uuid.uuid4().hex}.log"

    @property
    def pid(self) -> int:
        """The process id; raises ServerStartError if it doesn't run."""
        if self._process is None:
            raise ServerStartError(f"the {self._title} doesn't run; call start()")
        return self._process.pid

    @property
    def is_started(self) -> bool:
        """Whether it was started and not stopped; it may have ended by itself."""
        return self._process is not None

    def start(self, settings: Mapping[str, object]) -> str:
        """Start it with these flags, and return the line that it prints when it is ready.

        Raises
        ------
        ServerStartError
            If it ends before, or takes ten minutes; the message has the end of its log.
        """
        reading, writing = os.pipe()
        try:
            self._process = self._spawn({**settings, "ready_fd": writing, "until_eof": True}, writing)
        finally:
            os.close(writing)
        with os.fdopen(reading, "rb", buffering=0) as ready:
            line = _read_line(ready.fileno(), time.monotonic() + _START_SECONDS)
        return line or self._fail()

    def end(self, by: signal.Signals) -> None:
        """Send the signal and wait for the process to end; kill it after a minute."""
        process, self._process = self._process, None
        if process is None:
            return
        with process:  # closes its standard input, and waits
            process.send_signal(by)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

    def remove_log(self) -> None:
        """Delete the log file."""
        self.log_path.unlink(missing_ok=True)

    def _spawn(self, settings: Mapping[str, object], ready_fd: int) -> subprocess.Popen[bytes]:
        with self.log_path.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  (this interpreter, with the caller's settings)
                [sys.executable, "-m", self._module, *_flags(settings)],
                env=_environment(),
                stdin=subprocess.PIPE,  # its end is the sign that this process has gone
                stdout=log,
                stderr=log,
                pass_fds=(ready_fd,),
                process_group=0,  # Ctrl-C is for this process, which then stops the program
            )

    def _fail(self) -> str:
        self.end(signal.SIGKILL)
        tail = "\n".join(self.log_path.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
        self.remove_log()
        raise ServerStartError(
            f"the {self._title} didn't start. The end of its log:\n{tail}", reason="SERVER_NOT_STARTED"
        )


def _environment() -> dict[str, str]:
    # NiceGUI does other things where it thinks that it is being tested from inside.
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SHOAL_") and name != "PYTEST_CURRENT_TEST"
    }


def _flags(settings: Mapping[str, object]) -> list[str]:
    return [_flag(name.replace("_", "-"), value) for name, value in settings.items() if value is not None]


def _flag(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={value}"


def _read_line(descriptor: int, deadline: float) -> str:
    """Return the text before a newline; empty if the writer ends or the time is up before one."""
    line = b""
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(descriptor, 1024) if readable else b""
        if not piece:
            return ""
        line += piece
    return line.decode().strip()
