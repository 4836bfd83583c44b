"""Arrow's columns as points: what csv and parquet share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from shoal import Batch
from shoal.cli.files.contract import Array, cut


def in_batches(pieces: Iterable[Batch], batch_rows: int) -> Iterator[Batch]:
    """Cut pieces of any length into batches of `batch_rows` rows, the last one shorter."""
    waiting: list[Batch] = []
    rows = 0
    for piece in pieces:
        waiting.append(piece)
        rows += _rows(piece)
        if rows < batch_rows:
            continue
        joined, whole = _join(waiting), rows // batch_rows * batch_rows
        for start in range(0, whole, batch_rows):
            yield cut(joined, start, start + batch_rows)
        waiting, rows = [cut(joined, whole, rows)], rows - whole
    if rows:
        yield _join(waiting)


def as_array(column: Any) -> Array:
    """Return an Arrow array as NumPy: (n,) for numbers, (n, d) for lists of d numbers. Nulls become NaN.

    Raises
    ------
    ValueError
        For lists that are null or not all of one length.
    """
    if is_list(column.type):
        return _from_lists(column)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    values: Array = column.to_numpy(zero_copy_only=False)
    return values.astype(_with_nan(column.type), copy=False) if column.null_count else values


def is_list(kind: Any) -> bool:
    """Tell whether an Arrow type is one of lists, of one length or several."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _from_lists(column: Any) -> Array:
    lengths = compute.list_value_length(column).unique().to_pylist()
    if len(lengths) != 1 or lengths[0] in (None, 0):
        raise ValueError("its lists are null, empty or of several lengths; every point needs the same number of values")
    return as_array(column.flatten()).reshape(len(column), -1)


def _with_nan(kind: Any) -> np.dtype[Any]:
    """Return the smallest type that holds the values and NaN, so that a batch with nulls fits those without."""
    return np.result_type(kind.to_pandas_dtype(), np.float16)


def _rows(batch: Batch) -> int:
    return len(np.asarray(batch.points))


def _join(pieces: list[Batch]) -> Batch:
    if len(pieces) == 1:
        return pieces[0]
    weights = [piece.sample_weight for piece in pieces if piece.sample_weight is not None]
    points = np.concatenate([np.asarray(piece.points) for piece in pieces])
    return Batch(points, np.concatenate([np.asarray(weight) for weight in weights]) if weights else None)
