"""The dashboard in a process of its own, as an operator would run it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

_PATIENCE = 60.0  # seconds after which it won't start any more
_PAUSE = 0.05


class Dashboard:
    """Serves the pages of a server, ``host:port``, while the context is open; `url` is where."""

    def __init__(self, server: str) -> None:
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._child = subprocess.Popen(  # noqa: S603  (this interpreter, with the dashboard)
            [sys.executable, "-m", "shoal_dashboard", "--server", server, "--port", str(port)],
            stdout=subprocess.DEVNULL,
            # NiceGUI does other things where it thinks that it is being tested from inside.
            env={name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        )
        self.pid = self._child.pid
        _wait_until_it_listens(port, self._child)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        self._child.wait(_PATIENCE)

    def peak_mib(self) -> float:
        """Return the most memory that was resident at any time, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        if found is None:
            raise RuntimeError("this system doesn't say how much memory a process had at most")
        return int(found[1]) / 1024


def _wait_until_it_listens(port: int, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not _listens(port):
        if child.poll() is not None or time.monotonic() > deadline:
            child.kill()
            raise RuntimeError("the dashboard doesn't start")
        time.sleep(_PAUSE)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
