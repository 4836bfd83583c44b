"""parquet: numeric columns, or one column of lists (embeddings). Row groups are read as they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from shoal import Batch
from shoal.cli.failures import CommandError, wrong_usage
from shoal.cli.files.columns import Columns, choose
from shoal.cli.files.contract import Array, PointFile, Reading, no_rows
from shoal.cli.files.tables import as_array, in_batches, is_list


def open_parquet(path: Path, reading: Reading) -> PointFile:
    """Open a parquet file; only the columns asked for are read."""
    table = _table(path)
    schema = table.schema_arrow
    columns = choose(schema.names, reading, str(path))
    _check_types(schema, columns, str(path))
    rows = table.metadata.num_rows
    if rows == 0:
        raise no_rows(str(path))
    pieces = _pieces(table, [schema.names[place] for place in columns.all], columns, reading.batch_rows, str(path))
    return PointFile(str(path), rows, in_batches(pieces, reading.batch_rows))


def _table(path: Path) -> Any:
    try:
        return parquet.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise CommandError(f"{path}: not a parquet file: {error}") from error


def _check_types(schema: Any, columns: Columns, where: str) -> None:
    for place in columns.points:
        field = schema.field(place)
        if not _is_numeric(field.type.value_type if is_list(field.type) else field.type):
            raise wrong_usage(
                f"{where}: column {field.name!r} holds {field.type}, points are numbers; choose columns with --columns"
            )
    if columns.weight is not None and not _is_numeric(schema.field(columns.weight).type):
        field = schema.field(columns.weight)
        raise wrong_usage(f"{where}: column {field.name!r} holds {field.type}; a weight is a number")


def _is_numeric(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _pieces(table: Any, names: list[str], columns: Columns, batch_rows: int, where: str) -> Iterator[Batch]:
    count = len(columns.points)
    try:
        for batch in table.iter_batches(batch_size=batch_rows, columns=names):
            arrays = [_coordinates(batch.column(name), name, where) for name in names]
            weight = arrays[-1].astype("f8") if len(arrays) > count else None
            yield Batch(np.column_stack(arrays[:count]), weight)
    except pa.ArrowException as error:
        raise CommandError(f"{where}: can't be read: {error}") from error


def _coordinates(column: Any, name: str, where: str) -> Array:
    try:
        return as_array(column)
    except ValueError as error:
        raise CommandError(f"{where}: column {name!r}: {error}") from error
