"""Libraries that few need at once, loaded while the server serves already, and the threads that they may start."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable
from importlib import import_module
from threading import RLock
from typing import Any, Protocol

from threadpoolctl import threadpool_limits


def compute_on_one_thread() -> None:
    """Make BLAS and OpenMP compute on the thread that calls them: the server's own pool makes the parallelism.

    That is for the whole process, both for libraries that are loaded and for those that will be.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    threadpool_limits(1)


_loaded: dict[str, Any] = {}
_loading = RLock()


def library(name: str) -> Any:
    """Return a module of scikit-learn or SciPy, which a server loads after its start; this is the only way to it.

    One thread loads at a time. Two that import modules that import each other may be given one that is half loaded.
    """
    if name not in _loaded:
        with _loading:
            _loaded[name] = import_module(name)
    return _loaded[name]


class Loadable(Protocol):
    """What needs libraries: an engine, or comparisons."""

    def warm_up(self) -> None:
        """Load them."""


def load(parts: Iterable[Loadable]) -> None:
    """Make parts ready, and keep what was loaded for them out of later garbage collections."""
    for part in parts:
        part.warm_up()
    gc.collect()
    gc.freeze()  # a million objects that no later collection has to go through
