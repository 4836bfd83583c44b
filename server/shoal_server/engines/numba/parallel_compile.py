"""A second process that compiles while the first does: compiling is work for one thread, and takes half a minute."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import numba
import numpy as np
import structlog

from shoal_server.engines.numba.cache import caching_in, is_kept
from shoal_server.process import available_cores

_CODE = f"import sys; from {__name__} import help_out; help_out(sys.argv[1], sys.argv[2:])"

_PATIENCE = 300.0  # seconds; both take about as long

log = structlog.get_logger()


@contextmanager
def helping(precisions: Sequence[np.dtype[Any]]) -> Iterator[None]:
    """While the body compiles one precision, compile others into the cache in use, unless they are there already.

    Whatever keeps the helper from it, whoever asks for them then compiles them.
    """
    if not is_kept():
        yield
        return
    missing = [dtype.name for dtype in precisions if not any((Path(numba.config.CACHE_DIR) / dtype.name).glob("*.nbi"))]
    if not missing or not sys.executable or available_cores() == 1:
        yield
        return
    # Its input ends with this process, and so does it.
    with subprocess.Popen(  # noqa: S603  (this very program)
        [sys.executable, "-P", "-c", _CODE, numba.config.CACHE_DIR, *missing],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as helper:
        try:
            yield
        except BaseException:
            helper.kill()
            raise
        _wait_for(helper)


def _wait_for(helper: subprocess.Popen[bytes]) -> None:
    try:
        status = helper.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        helper.kill()
        status = helper.wait()
    if status:
        log.warning("the process that helps to compile failed; one compiles alone", status=status)


def help_out(folder: str, names: Sequence[str]) -> None:
    """Compile precisions into a cache: what the helper does."""
    from shoal_server.engines.numba.signatures import compile_precision  # noqa: PLC0415  (it imports this module)

    Thread(target=_end_with_input, daemon=True).start()
    with caching_in(folder):
        for name in names:
            compile_precision(np.dtype(name))
    os._exit(0)  # the thread waits for ever


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(1)
