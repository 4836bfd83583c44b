"""npy: an (n, d) array, mapped from a file or read from a stream. Its columns are called by their numbers, from 0."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import numpy as np

from shoal import Batch
from shoal.cli.failures import CommandError
from shoal.cli.files.columns import Columns, select_columns
from shoal.cli.files.point_file import Array, PointFile, ReadOptions, no_rows_error

_DIMENSIONS = 2
_MAGIC = b"\x93NUMPY"


def open_npy(path: Path, options: ReadOptions) -> PointFile:
    """Open an npy file without reading more of it than its header."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise CommandError(f"{path}: not an npy file")
    try:
        rows: Array = np.lib.format.open_memmap(path, mode="r")
    except ValueError as error:
        raise CommandError(f"{path}: {_explained(str(error))}") from error
    columns = _columns(rows.shape, rows.dtype, options, str(path))
    rows = rows.view(_number(rows.dtype))
    batches = (columns.take(piece).batch for piece in slices(rows, _batch_rows(rows.dtype, columns, options)))
    return PointFile(str(path), len(rows), batches)


def _explained(error: str) -> str:
    """Return what NumPy's error means for whoever has the file."""
    if "mmap length" in error or "EOF" in error:
        return "the file is shorter than its header says; copy it again"
    if "objects" in error:
        return "it holds Python objects; points are floating-point numbers or integers"
    return f"not a whole npy file of numbers: {error}"


def read_npy(stream: BufferedReader, options: ReadOptions, where: str) -> PointFile:
    """Read npy from a stream that can't be mapped, a batch at a time."""
    shape, dtype = _header(stream, where)
    columns = _columns(shape, dtype, options, where)
    batch_rows = _batch_rows(dtype, columns, options)
    return PointFile(where, shape[0], _streamed(stream, shape, _number(dtype), columns, batch_rows, where))


def slices(rows: Array, batch_rows: int) -> Iterator[Array]:
    """Yield an (n, d) array in views of `batch_rows` rows."""
    for start in range(0, len(rows), batch_rows):
        yield rows[start : start + batch_rows]


def _columns(shape: tuple[int, ...], dtype: np.dtype[np.generic], options: ReadOptions, where: str) -> Columns:
    if len(shape) != _DIMENSIONS:
        raise CommandError(f"{where} has shape {shape}; points need two axes: (n, d), one row a point")
    if dtype.kind not in "fiub":
        raise CommandError(f"{where} holds {dtype}; points are floating-point numbers or integers")
    if shape[0] == 0:
        raise no_rows_error(where)
    return select_columns([str(index) for index in range(shape[1])], options, where)


def _number(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype  # as the client does: true is 1


def _batch_rows(dtype: np.dtype[np.generic], columns: Columns, options: ReadOptions) -> int:
    return options.rows_of(dtype.itemsize * len(columns.points))


def _header(stream: BufferedReader, where: str) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    try:
        version = np.lib.format.read_magic(stream)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, column_major, dtype = reader(stream)
    except ValueError as error:
        raise CommandError(f"{where}: not npy: {error}") from error
    if column_major and min(shape, default=0) > 1:
        raise CommandError(f"{where}: the array is in column-major order and can't be streamed; save it row-major")
    return shape, dtype


def _streamed(
    stream: BufferedReader,
    shape: tuple[int, ...],
    dtype: np.dtype[np.generic],
    columns: Columns,
    batch_rows: int,
    where: str,
) -> Iterator[Batch]:
    row_bytes = dtype.itemsize * shape[1]
    for start in range(0, shape[0], batch_rows):
        wanted = min(batch_rows, shape[0] - start) * row_bytes
        buffer = stream.read(wanted)
        if len(buffer) < wanted:
            raise CommandError(f"{where} ended after {start + len(buffer) // row_bytes} of {shape[0]} rows")
        yield columns.take(np.frombuffer(buffer, dtype).reshape(-1, shape[1])).batch
