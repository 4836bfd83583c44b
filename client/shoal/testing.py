"""A real server, in its own process, for a test or a notebook. Needs ``pip install 'shoal[server]'``."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from shoal._client import connect
from shoal._errors import ServerStartError
from shoal._types import Engine

START_SECONDS = 120.0  # the first start compiles the kernels
_STOP_SECONDS = 60.0
_TAIL_LINES = 40
_ANY_PORT = 0


def load_engines(target: str) -> None:
    """Wait until a server has loaded scikit-learn and SciPy, as it does while it serves: before something is measured.

    Parameters
    ----------
    target
        ``host:port``.

    Raises
    ------
    ShoalError
        If the server can't be reached, or can't load them.
    """
    with connect(target) as client:
        engines: tuple[Engine, ...] = ("sklearn", "scipy")
        point = np.zeros((1, 1))
        for engine in engines:
            session = client.create_session(f"load-{uuid.uuid4().hex}", n_clusters=1, init=point, engine=engine)
            session.push(point)
            session.delete()


class LocalServer:
    """A server on a free port of this machine. It ends with this process, whatever happens to it.

    Parameters
    ----------
    settings
        Of the server, such as ``max_sessions=10``; `shoal-server --help` lists them. Settings in the environment
        (``SHOAL_…``) don't reach it.

    Raises
    ------
    ServerStartError
        If it doesn't start; the message has the end of its log.

    Examples
    --------
    >>> with shoal.testing.LocalServer() as server, shoal.connect(server.target) as client:
    ...     client.create_session("pixels", n_clusters=8)
    """

    def __init__(self, **settings: object) -> None:
        self._settings: dict[str, object] = {"host": "127.0.0.1", "port": _ANY_PORT, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._target: str | None = None
        self.log_path = Path(tempfile.gettempdir()) / f"shoal-server-{uuid.uuid4().hex}.log"
        """What the server writes; it goes with the ``with`` block."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        self.log_path.unlink(missing_ok=True)

    @property
    def target(self) -> str:
        """``host:port``, for `shoal.connect`."""
        if self._target is None:
            raise ServerStartError("the server has not been started; use it in a with statement, or call start()")
        return self._target

    @property
    def port(self) -> int:
        """The port."""
        return int(self.target.rpartition(":")[2])

    @property
    def pid(self) -> int:
        """The number of the server's process."""
        if self._process is None:
            raise ServerStartError("the server doesn't run; call start()")
        return self._process.pid

    def start(self) -> Self:
        """Start the server and wait until it serves; after `stop` or `kill`, again on the same port."""
        if importlib.util.find_spec("shoal_server") is None:
            raise ServerStartError(
                f"the server isn't installed in {sys.prefix}: pip install 'shoal[server]'",
                reason="SERVER_NOT_INSTALLED",
            )
        if self._process is not None:
            return self
        reading, writing = os.pipe()
        try:
            self._process = self._spawn(writing)
        finally:
            os.close(writing)
        self._target = self._wait_until_ready(reading)
        self._settings["port"] = self.port
        return self

    def stop(self) -> None:
        """Stop the server as an operator would: what it has accepted is applied and answered."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        self._end(signal.SIGKILL)

    def _spawn(self, ready_fd: int) -> subprocess.Popen[bytes]:
        settings = {**self._settings, "ready_fd": ready_fd, "until_eof": True}
        with self.log_path.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  (this interpreter, with the caller's settings)
                [sys.executable, "-m", "shoal_server", *_flags(settings)],
                env={name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")},
                stdin=subprocess.PIPE,  # its end is the sign that this process has gone
                stdout=log,
                stderr=log,
                pass_fds=(ready_fd,),
                process_group=0,  # Ctrl-C is for this process, which then stops the server
            )

    def _wait_until_ready(self, reading: int) -> str:
        with os.fdopen(reading, "rb", buffering=0) as ready:
            line = _read_line(ready.fileno(), time.monotonic() + START_SECONDS)
        if line:
            return line
        self.kill()
        tail = "\n".join(self.log_path.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
        self.log_path.unlink()
        raise ServerStartError(f"the server didn't start. The end of its log:\n{tail}", reason="SERVER_NOT_STARTED")

    def _end(self, by: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with process:  # closes its standard input, and waits
            process.send_signal(by)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _flags(settings: dict[str, object]) -> list[str]:
    return [_flag(name.replace("_", "-"), value) for name, value in settings.items() if value is not None]


def _flag(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={value}"


def _read_line(descriptor: int, deadline: float) -> str:
    """Return what is written before a newline; empty if the writer ends before one, or time is up."""
    line = b""
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(descriptor, 1024) if readable else b""
        if not piece:
            return ""
        line += piece
    return line.decode().strip()
