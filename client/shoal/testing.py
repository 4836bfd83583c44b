"""A real server, in its own process, for a test or a notebook; and the dashboard.

In a checkout of Shoal the server needs ``pip install '.[server]'``, the dashboard ``pip install '.[dashboard]'``.
"""

from __future__ import annotations

import importlib.util
import signal
import sys
import uuid
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self, get_args

import numpy as np

from shoal._client import connect
from shoal._errors import ServerStartError
from shoal._process import ManagedProcess
from shoal._types import Engine
from shoal.wire.comparison import CompareEngine

_ANY_PORT = 0


def load_engines(target: str) -> None:
    """Make a server load scikit-learn and SciPy, and wait until it has. Call it before measuring.

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
        for _ in client.compare(example="blobs", n_clusters=2, engines=get_args(CompareEngine), max_iter=1):
            pass  # comparisons load more of both


class _Local(ABC):
    """A program of Shoal on this machine, which a ``with`` block starts and stops."""

    def __init__(self, process: ManagedProcess) -> None:
        self._process = process

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        self._process.remove_log()

    @property
    def log_path(self) -> Path:
        """The log file; deleted at the end of the ``with`` block."""
        return self._process.log_path

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @abstractmethod
    def start(self) -> Self:
        """Start it and wait until it serves; after `stop`, again on the same port."""

    def stop(self) -> None:
        """Stop it as an operator would."""
        self._process.end(signal.SIGTERM)


class LocalServer(_Local):
    """A server on a free port of this machine. It ends with this process, whatever happens to it.

    Parameters
    ----------
    settings
        Of the server, such as ``max_sessions=10``; `shoal-server --help` lists them. Settings in the environment
        (``SHOAL_…``) don't reach it. Unlike `shoal-server` itself, it loads scikit-learn and SciPy only when a call
        needs them, unless ``preload=True`` is given: a test starts sooner.

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
        super().__init__(ManagedProcess("shoal_server", "server"))
        self._settings: dict[str, object] = {"host": "127.0.0.1", "port": _ANY_PORT, "preload": False, **settings}
        self._target: str | None = None

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

    def start(self) -> Self:
        """Start the server and wait until it serves; after `stop` or `kill`, again on the same port."""
        _require("shoal_server", "server")
        if not self._process.is_started:
            self._target = self._process.start(self._settings)
            self._settings["port"] = self.port
        return self

    def stop(self) -> None:
        """Stop the server as an operator would: what it has accepted is applied and answered."""
        self._process.end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        self._process.end(signal.SIGKILL)


class LocalDashboard(_Local):
    """The dashboard of a server, on this machine. It ends with this process, whatever happens to it.

    Parameters
    ----------
    server
        ``host:port`` of the server that it shows.
    port
        Where to listen; 0 for a free port.

    Raises
    ------
    ServerStartError
        If it doesn't start, as when the port is taken; the message has the end of its log.

    Examples
    --------
    >>> with shoal.testing.LocalDashboard(server.target) as dashboard:
    ...     webbrowser.open(f"{dashboard.url}/sessions")
    """

    def __init__(self, server: str, port: int = _ANY_PORT) -> None:
        super().__init__(ManagedProcess("shoal_dashboard", "dashboard"))
        self._settings: dict[str, object] = {"server": server, "port": port}
        self._url: str | None = None

    @property
    def url(self) -> str:
        """``http://host:port``, for a browser."""
        if self._url is None:
            raise ServerStartError("the dashboard has not been started; use it in a with statement, or call start()")
        return self._url

    def start(self) -> Self:
        """Start the dashboard and wait until browsers can open it; after `stop`, again on the same port."""
        _require("nicegui", "dashboard")
        if not self._process.is_started:
            self._url = self._process.start(self._settings)
            self._settings["port"] = int(self._url.rpartition(":")[2])
        return self


def _require(package: str, title: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ServerStartError(
            f"{package} isn't installed in {sys.prefix}; the {title} needs, in a checkout of Shoal: "
            f"pip install '.[{title}]'",
            reason="SERVER_NOT_INSTALLED",
        )
