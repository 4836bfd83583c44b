"""The functions that Python calls: their types are declared, and they are compiled before the first batch.

A call with any other type is an error, never a compilation. Both of the large ones give `assign_groups` the same types,
so that it is compiled once.

Compiling is work for one thread and takes half a minute, so a second process compiles while the first does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from threading import Lock, Thread
from typing import IO, Any

import numba
import numpy as np
import structlog
from numba import types
from numpy.typing import NDArray

from shoal_server.engines.numba.batch_sampling import sample_labelled
from shoal_server.engines.numba.cache import caching_in, compile_cached, is_kept, part_of_cache
from shoal_server.engines.numba.cells import split_cells, split_cells_signature
from shoal_server.engines.numba.decorators import EXACT, FASTMATH, FLAGS
from shoal_server.engines.numba.kernels import add_rows, assign_rows
from shoal_server.engines.numba.labelled_rows import (
    add_deviations,
    add_deviations_signature,
    add_squares,
    add_squares_signature,
    stretch_rows,
    stretch_rows_signature,
    write_means,
    write_means_signature,
)
from shoal_server.engines.numba.layout import PRECISIONS, Layout, lay_out_rows, layout_type
from shoal_server.engines.numba.partition import (
    add_members,
    find_nearest_two,
    pack_points,
    partition_type,
    seed,
)
from shoal_server.engines.numba.sampling import sample_rows, sample_rows_signature
from shoal_server.engines.numba.swaps import try_swaps
from shoal_server.engines.numba.update_kernel import apply_batches, apply_contribution
from shoal_server.process import available_cores

_CODE = f"import sys; from {__name__} import help_out; help_out(sys.argv[1], sys.argv[2:])"

_PATIENCE = 300.0  # seconds; both take about as long
_ONE_DONE = b"."  # what the helper prints for each function

# Is told how many functions are compiled, and of how many.
Report = Callable[[int, int], None]

log = structlog.get_logger()


@dataclass(frozen=True)
class Kernels:
    """The compiled functions of one precision."""

    assign_rows: Callable[..., tuple[float, float, bool, int]]
    add_rows: Callable[..., float]
    apply_batches: Callable[..., tuple[int, int]]
    apply_contribution: Callable[..., bool]
    lay_out_rows: Callable[[NDArray[np.int32], Layout], None]
    sample_rows: Callable[..., tuple[int, int, bool]]
    sample_labelled: Callable[..., bool]
    add_deviations: Callable[..., None]
    add_squares: Callable[..., None]
    stretch_rows: Callable[..., None]
    write_means: Callable[..., None]
    split_cells: Callable[..., bool]
    pack_points: Callable[..., None]
    find_nearest_two: Callable[..., None]
    add_members: Callable[..., float]
    seed: Callable[..., None]
    try_swaps: Callable[..., tuple[int, int, int]]


def compile_kernels(report: Report = lambda *_: None) -> dict[np.dtype[Any], Kernels]:
    """Compile every signature, or load it from the cache on disk; what is loaded isn't reported."""
    return compile_cached(lambda: _compile_all(report))


def compile_precision(dtype: np.dtype[Any], one_done: Callable[[], None] = lambda: None) -> Kernels:
    """Compile the signatures of a precision, or load them from its part of the cache in use."""
    real = PRECISIONS[dtype]

    def compiled(function: Any, signature: Any, fastmath: set[str] = FASTMATH) -> Any:
        function = numba.njit([signature], cache=is_kept(), fastmath=fastmath, **FLAGS)(function.py_func)
        one_done()
        return function

    with part_of_cache(dtype.name):
        return Kernels(
            assign_rows=compiled(assign_rows, _assign_rows_signature(real)),
            add_rows=compiled(add_rows, _add_rows_signature(real)),
            apply_batches=compiled(apply_batches, _apply_batches_signature(real)),
            apply_contribution=compiled(apply_contribution, _apply_contribution_signature(real)),
            lay_out_rows=compiled(lay_out_rows, _lay_out_rows_signature(real)),
            sample_rows=compiled(sample_rows, sample_rows_signature(real), EXACT),
            sample_labelled=compiled(sample_labelled, _sample_labelled_signature(real)),
            add_deviations=compiled(add_deviations, add_deviations_signature(real), EXACT),
            add_squares=compiled(add_squares, add_squares_signature(real), EXACT),
            stretch_rows=compiled(stretch_rows, stretch_rows_signature(real), EXACT),
            write_means=compiled(write_means, write_means_signature(real), EXACT),
            split_cells=compiled(split_cells, split_cells_signature(real), EXACT),
            pack_points=compiled(pack_points, _groups_signature(real)),
            find_nearest_two=compiled(find_nearest_two, _groups_signature(real)),
            add_members=compiled(add_members, _add_members_signature(real)),
            seed=compiled(seed, _seed_signature(real)),
            try_swaps=compiled(try_swaps, _try_swaps_signature(real)),
        )


class _Progress:
    """Counts the functions that are compiled, here and by the helper, and reports it."""

    def __init__(self, report: Report, precisions: Sequence[np.dtype[Any]]) -> None:
        self._report = report
        self._of = len(precisions) * len(fields(Kernels))
        self._done = 0
        self._lock = Lock()
        if precisions:
            report(0, self._of)

    def one_done(self) -> None:
        """Report one more."""
        with self._lock:
            if self._done < self._of:  # what the helper has compiled is loaded after it
                self._done += 1
                self._report(self._done, self._of)

    def count(self, printed: IO[bytes]) -> None:
        """Report those that the helper says it has done, until it ends."""
        while printed.read(len(_ONE_DONE)):
            self.one_done()


def _compile_all(report: Report) -> dict[np.dtype[Any], Kernels]:
    first, *others = PRECISIONS
    progress = _Progress(report, [dtype for dtype in PRECISIONS if _is_missing(dtype)])
    with _helping(others, progress):
        kernels = {first: compile_precision(first, progress.one_done)}
    return kernels | {dtype: compile_precision(dtype, progress.one_done) for dtype in others}


def _is_missing(dtype: np.dtype[Any]) -> bool:
    """Return whether the cache in use has nothing of a precision."""
    return not is_kept() or not any((Path(numba.config.CACHE_DIR) / dtype.name).rglob("*.nbi"))


@contextmanager
def _helping(precisions: Sequence[np.dtype[Any]], progress: _Progress) -> Iterator[None]:
    """While the body compiles one precision, compile others into the cache in use, unless they are there already.

    Whatever keeps the helper from it, whoever asks for them then compiles them.
    """
    missing = [dtype.name for dtype in precisions if _is_missing(dtype)]
    if not is_kept() or not missing or not sys.executable or available_cores() == 1:
        yield
        return
    # Its input ends with this process, and so does it.
    with subprocess.Popen(  # noqa: S603  (this very program)
        [sys.executable, "-P", "-c", _CODE, numba.config.CACHE_DIR, *missing],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as helper:
        if helper.stdout is None:
            raise AssertionError("it is a pipe")
        Thread(target=progress.count, args=(helper.stdout,), daemon=True).start()
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
    Thread(target=_end_with_input, daemon=True).start()
    with caching_in(folder):
        for name in names:
            compile_precision(np.dtype(name), _print_one_done)
    os._exit(0)  # the thread waits for ever


def _print_one_done() -> None:
    os.write(1, _ONE_DONE)


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


_BOOL, _INT, _FLOAT = types.boolean, types.int64, types.float64
_SUMS = types.float64[::1], types.float64[:, ::1]  # counts, sums


def _assign_rows_signature(real: Any) -> Any:
    return types.Tuple((_FLOAT, _FLOAT, _BOOL, _INT))(*_rows(real), real[::1], *_SUMS)  # distances


def _add_rows_signature(real: Any) -> Any:
    return _FLOAT(*_rows(real), real[::1], *_SUMS)  # distances


def _sample_labelled_signature(real: Any) -> Any:
    return _BOOL(*_rows(real), *_SUMS, _INT)  # sample_address


def _rows(real: Any) -> tuple[Any, ...]:
    """Return the types of the first arguments of the kernels that get the rows of one batch."""
    return (
        _INT,  # points
        _INT,  # n
        _read(types.float64),  # weight
        layout_type(real),
        types.int32[::1],  # labels
    )


def _apply_batches_signature(real: Any) -> Any:
    return types.UniTuple(_INT, 2)(
        _INT,  # points_address
        _INT,  # weights_address
        _INT,  # count
        _INT,  # arguments_address
        real[:, ::1],  # like
    )


def _apply_contribution_signature(real: Any) -> Any:
    return _BOOL(
        _read(types.float64),  # counts
        types.Array(types.float64, 2, "A", readonly=True),  # sums
        _INT,  # before_address
        _INT,  # after_address
        real[:, ::1],  # like
    )


def _lay_out_rows_signature(real: Any) -> Any:
    return types.void(
        _read(types.int32),  # labels
        layout_type(real),
    )


def _groups_signature(real: Any) -> Any:
    return types.void(
        partition_type(real),
        _INT,  # first
        _INT,  # last
    )


def _add_members_signature(real: Any) -> Any:
    return _FLOAT(
        partition_type(real),
        _INT,  # first
        _INT,  # last
        types.float64[::1],  # counts
        types.float64[:, ::1],  # sums
    )


def _seed_signature(real: Any) -> Any:
    return types.void(
        partition_type(real),
        types.float64[:, ::1],  # draws
        types.int64[::1],  # chosen
        _INT,  # first
        _INT,  # last
    )


def _try_swaps_signature(real: Any) -> Any:
    return types.UniTuple(_INT, 3)(
        partition_type(real),
        types.float64[:, ::1],  # draws
        types.float64[:, ::1],  # reach
        _INT,  # first
        _INT,  # max_work
        _FLOAT,  # allowed
        _BOOL,  # cosine
    )


def _read(element: Any) -> Any:
    """Return the type of an array that may be read-only."""
    return types.Array(element, 1, "C", readonly=True)
