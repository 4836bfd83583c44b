"""A server whose memory can be measured from outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from benchmarks.processes import settled_server
from shoal.testing import LocalServer

MIB = 1024 * 1024


@dataclass(frozen=True)
class Measured:
    """A server in a process of its own."""

    server: LocalServer
    process: psutil.Process

    def memory(self) -> int:
        """Return the bytes in use."""
        return int(self.process.memory_info().rss)

    def forget_peak(self) -> None:
        """Reset the peak to the memory in use now."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def peak(self) -> int:
        """Return the most bytes in use at any moment since the peak was forgotten."""
        (kibibytes,) = re.findall(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(kibibytes) * 1024


@contextmanager
def measured_server() -> Iterator[Measured]:
    """Run a server that gives back at once what it has freed, so that what it has is what it uses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MALLOC_MMAP_THRESHOLD_", str(128 * 1024))
        with settled_server() as server:
            yield Measured(server, psutil.Process(server.pid))
