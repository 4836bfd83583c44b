"""parquet: numeric columns, or one column of lists (embeddings). Row groups are read as they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from shoal.cli.failures import CommandError
from shoal.cli.files.arrow_rows import as_rows, is_list, is_number
from shoal.cli.files.columns import Columns, select_columns
from shoal.cli.files.point_file import MAX_ROWS, PointFile, ReadOptions, no_rows_error
from shoal.cli.files.rows import Rows, in_batches


def open_parquet(path: Path, options: ReadOptions) -> PointFile:
    """Open a parquet file; only the columns asked for are read."""
    table = _table(path)
    columns = select_columns(table.schema_arrow.names, options, str(path))
    _check_types(table.schema_arrow, columns, str(path))
    rows = table.metadata.num_rows
    if rows == 0:
        raise no_rows_error(str(path))
    pieces = _pieces(table, columns, options.batch_rows or MAX_ROWS, str(path))
    return PointFile(str(path), rows, in_batches(pieces, options))


def _table(path: Path) -> Any:
    try:
        return parquet.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise CommandError(f"{path}: not a parquet file: {error}") from error


def _check_types(schema: Any, columns: Columns, where: str) -> None:
    for index in columns.points:
        field = schema.field(index)
        if not is_number(field.type.value_type if is_list(field.type) else field.type):
            raise CommandError(
                f"{where}: column {field.name!r} holds {field.type}, points are numbers; choose columns with --columns"
            )
    if columns.weight is not None and not is_number(schema.field(columns.weight).type):
        field = schema.field(columns.weight)
        raise CommandError(f"{where}: column {field.name!r} holds {field.type}; a weight is a number")


def _pieces(table: Any, columns: Columns, batch_rows: int, where: str) -> Iterator[Rows]:
    names = table.schema_arrow.names
    wanted = [names[index] for index in columns.all]
    try:
        for batch in table.iter_batches(batch_size=batch_rows, columns=wanted):
            yield as_rows([batch.column(name) for name in wanted], names, columns, where)
    except pa.ArrowException as error:
        raise CommandError(f"{where}: can't be read: {error}") from error
