"""Shared by all tests: one real server, and libraries that compute on one thread as in production."""

from __future__ import annotations

import os

# Before anything imports NumPy, and for every process that a test starts: on few cores, threads of BLAS and OpenMP in
# several processes cost three times what they compute.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from shoal.testing import LocalServer
from shoal_server.process import available_cores
from tests.effort import QUICK

settings.load_profile(QUICK)  # --hypothesis-profile comes later

MAX_WORKERS = 8  # each has a server and perhaps a browser
COMPILE = "from shoal_server.engines.numba import NumbaEngine; NumbaEngine().warm_up()"


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers of `-n auto`."""
    return min(available_cores(), MAX_WORKERS)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the kernels before workers start that would all wait for them."""
    if getattr(session.config.option, "numprocesses", None) and not hasattr(session.config, "workerinput"):
        subprocess.run([sys.executable, "-c", COMPILE], check=True)


def pytest_collection_finish() -> None:
    """Keep a million objects of modules and tests out of the collections that tests ask for."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    """A server that all tests of a worker share; they may not change what others see of it."""
    with LocalServer() as running:
        yield running
