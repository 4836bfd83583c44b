"""Processes beside this one: the bare server, and clients that watch or push during a measurement."""

from __future__ import annotations

import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Self

import grpc
import psutil
from google.protobuf import empty_pb2

from benchmarks.bare_server import SERVICE
from benchmarks.datasets import Float32Array
from benchmarks.pairing import Clock
from shoal._channels import CHANNEL_OPTIONS
from shoal.testing import LocalServer, load_engines
from shoal.v1 import clustering_pb2, tensor_pb2

_ROOT = Path(__file__).parents[1]


class Process:
    """A module of benchmarks in its own process; `said` is the line that it prints when it is ready."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._child = subprocess.Popen(  # noqa: S603  (this interpreter, with a module of this folder)
            [sys.executable, "-m", f"benchmarks.{module}", *arguments],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._child.pid
        self.said = _stdout(self._child).readline().strip()
        if not self.said:
            self.__exit__()
            raise RuntimeError(f"benchmarks.{module} ended with {self._child.returncode} before it was ready")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._child:  # closes its standard input, at which it ends, and waits
            pass

    def has_more_to_read(self) -> bool:
        """Return whether it has printed something since it was ready, or has ended."""
        return bool(select.select([_stdout(self._child)], [], [], 0.0)[0])

    def end(self) -> str:
        """End it, and return its output since it was ready."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        return _stdout(self._child).read()


class Bare:
    """A client of a bare server, with the generated classes and the channel options of Shoal's client."""

    def __init__(self, port: str) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS)
        self._acknowledge = self._channel.stream_stream(
            f"/{SERVICE}/Acknowledge",
            request_serializer=clustering_pb2.IngestRequest.SerializeToString,
            response_deserializer=clustering_pb2.IngestResponse.FromString,
        )
        self._nothing = self._channel.unary_unary(
            f"/{SERVICE}/Nothing",
            request_serializer=empty_pb2.Empty.SerializeToString,
            response_deserializer=empty_pb2.Empty.FromString,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def stream(self, batches: Iterable[Float32Array], together: int) -> int:
        """Send batches, `together` of them in each message, and return the acknowledged rows."""
        responses = self._acknowledge(_requests(batches, together))
        return sum(result.accepted for response in responses for result in response.results)

    def nothing(self) -> None:
        """Make an empty unary call."""
        self._nothing(empty_pb2.Empty(), timeout=30.0)


@contextmanager
def settled_server(**settings: object) -> Iterator[LocalServer]:
    """Run a server, and wait until it has loaded the libraries that it loads while it serves."""
    with LocalServer(preload=True, **settings) as server:
        load_engines(server.target)
        yield server


@dataclass(frozen=True)
class Taken:
    """The cost of moving some rows."""

    rows: int
    bytes: int
    seconds: float
    cpu_seconds: float  # of the process that received them

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    @property
    def cpu_per_gb(self) -> float:
        """CPU seconds a gigabyte (1e9 bytes)."""
        return self.cpu_seconds / self.bytes * 1e9


def measure(move: Callable[[], object], batches: list[Float32Array], cpu_clock: Clock) -> Taken:
    """Return the cost of `move`, which sends the batches; the clock gives the CPU seconds."""
    cpu, begin = cpu_clock(), time.perf_counter()
    move()
    seconds, cpu = time.perf_counter() - begin, cpu_clock() - cpu
    return Taken(sum(map(len, batches)), sum(batch.nbytes for batch in batches), seconds, cpu)


def cpu_clock_of(pid: int) -> Clock:
    """Return a clock of a process's CPU seconds; it ticks every 10 ms."""
    process = psutil.Process(pid)

    def read() -> float:
        times = process.cpu_times()
        return times.user + times.system

    return read


def peak_mib(pid: int) -> float:
    """Return the peak resident memory of a process in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    if found is None:
        raise RuntimeError("this system doesn't say how much memory a process had at most")
    return int(found[1]) / 1024


def _requests(batches: Iterable[Float32Array], together: int) -> Iterator[clustering_pb2.IngestRequest]:
    waiting: list[clustering_pb2.Batch] = []
    for sequence, points in zip(count(1), batches):
        tensor = tensor_pb2.Tensor(dtype=tensor_pb2.DTYPE_FLOAT32, shape=points.shape, data=points.tobytes())
        waiting.append(clustering_pb2.Batch(points=tensor, sequence=sequence))
        if len(waiting) == together:
            yield clustering_pb2.IngestRequest(batches=waiting)
            waiting = []
    if waiting:
        yield clustering_pb2.IngestRequest(batches=waiting)


def _stdout(child: subprocess.Popen[str]) -> IO[str]:
    if child.stdout is None:
        raise AssertionError("the child was started with a pipe")
    return child.stdout
