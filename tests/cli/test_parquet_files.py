"""parquet: numbers, lists, nulls, and unsupported columns."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shoal.cli.failures import FAILED
from tests.cli.point_files import opened, points, read, refusal, weights


def saved(path: Path, row_group_size: int | None = None, **columns: Any) -> Path:
    parquet.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "points.parquet"


def test_numeric_parquet_columns_are_the_coordinates(path: Path) -> None:
    saved(path, x=pa.array([1, 2], pa.float32()), y=pa.array([3, 4], pa.float32()))

    rows = points(opened(path))

    assert rows.dtype == np.float32
    assert np.array_equal(rows, [[1, 3], [2, 4]])


def test_a_parquet_column_of_lists_is_an_embedding(path: Path) -> None:
    saved(path, name=["a", "b"], embedding=pa.array([[1, 2, 3], [4, 5, 6]], pa.list_(pa.float32())))

    rows = points(opened(path, columns=("embedding",)))

    assert rows.dtype == np.float32
    assert np.array_equal(rows, [[1, 2, 3], [4, 5, 6]])


def test_lists_of_a_fixed_length_and_numbers_stand_side_by_side(path: Path) -> None:
    saved(path, x=[0.5, 1.5], pair=pa.array([[1, 2], [3, 4]], pa.list_(pa.float64(), 2)))

    assert np.array_equal(points(opened(path)), [[0.5, 1, 2], [1.5, 3, 4]])


def test_parquet_nulls_are_nan_in_numbers_and_in_lists(path: Path) -> None:
    saved(path, x=pa.array([1, None], pa.int8()), pair=pa.array([[1, None], [3, 4]], pa.list_(pa.float32())))

    assert np.array_equal(points(opened(path)), np.array([[1, 1, np.nan], [np.nan, 3, 4]]), equal_nan=True)


def test_parquet_booleans_are_0_and_1(path: Path) -> None:
    saved(path, yes=[True, False, None])

    assert np.array_equal(points(opened(path)), np.array([[1], [0], [np.nan]]), equal_nan=True)


def test_a_weight_column_is_taken_out_of_the_points(path: Path) -> None:
    saved(path, x=[1.0, 2.0], count=pa.array([3, 4], pa.int32()))

    assert np.array_equal(points(opened(path, weight_column="count")), [[1], [2]])
    assert np.array_equal(weights(opened(path, weight_column="count")), [3.0, 4.0])


@pytest.mark.parametrize("unit", ["s", "us"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_a_batch_has_the_time_of_its_newest_row(path: Path, unit: str, zone: str | None) -> None:
    seconds = pa.array([0, 86400, None], pa.timestamp("s", "UTC"))
    saved(path, x=[1.0, 2.0, 3.0], when=seconds.cast(pa.timestamp(unit, zone)))

    (batch,) = read(opened(path, time_column="when"))

    assert np.array_equal(np.asarray(batch.points), [[1], [2], [3]])
    assert batch.event_time == datetime(1970, 1, 2, tzinfo=UTC)


def test_parquet_batches_have_the_requested_rows_for_any_row_groups(path: Path) -> None:
    saved(path, row_group_size=7, x=np.arange(50.0))

    batches = [np.asarray(batch.points) for batch in read(opened(path, batch_rows=20))]

    assert [len(batch) for batch in batches] == [20, 20, 10]
    assert np.array_equal(np.concatenate(batches)[:, 0], np.arange(50))


def test_the_number_of_parquet_rows_is_known_before_they_are_read(path: Path) -> None:
    assert opened(saved(path, x=np.arange(50.0))).rows == 50


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array(["a", "b"]), "string"),
        (pa.array([["a"], ["b"]]), "list"),
        (pa.array([1, 2], pa.timestamp("s")), "timestamp"),
        (pa.array(["a", "b"]).dictionary_encode(), "dictionary"),
        (pa.array([{"x": 1}, {"x": 2}]), "struct"),
    ],
)
def test_a_column_that_holds_no_numbers_is_refused(path: Path, column: Any, kind: str) -> None:
    saved(path, x=[1.0, 2.0], other=column)

    error = refusal(lambda: opened(path))

    assert f"column 'other' holds {kind}" in str(error)
    assert error.exit_code == FAILED


def test_a_parquet_weight_that_is_not_a_number_is_refused(path: Path) -> None:
    saved(path, x=[1.0], weight=["heavy"])

    assert refusal(lambda: opened(path, weight_column="weight")).exit_code == FAILED


@pytest.mark.parametrize("lists", [[[1.0], [2.0, 3.0]], [[1.0], None], [[], []]])
def test_invalid_lists_are_reported_with_their_column(path: Path, lists: list[Any]) -> None:
    file = opened(saved(path, embedding=pa.array(lists, pa.list_(pa.float64()))))

    error = refusal(lambda: read(file))

    assert "column 'embedding'" in str(error)
    assert error.exit_code == FAILED


def test_unknown_column_exits_with_2(path: Path) -> None:
    saved(path, x=[1.0])

    assert "no column 'y'; it has x" in str(refusal(lambda: opened(path, columns=("y",))))


def test_parquet_file_without_rows_is_refused(path: Path) -> None:
    saved(path, x=pa.array([], pa.float64()))

    assert "no rows" in str(refusal(lambda: opened(path)))


@pytest.mark.parametrize("content", [b"", b"hello, world", b"PAR1 and nothing more"])
def test_a_file_that_is_not_parquet_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    error = refusal(lambda: opened(path))

    assert str(path) in str(error)
    assert error.exit_code == FAILED


def test_parquet_file_with_a_broken_page_is_reported_without_a_traceback(path: Path) -> None:
    saved(path, x=np.random.default_rng(0).random(10_000))
    content = bytearray(path.read_bytes())
    content[4:60] = b"\xff" * 56
    path.write_bytes(content)

    error = refusal(lambda: read(opened(path)))

    assert str(path) in str(error)


def test_batches_of_wide_rows_are_of_about_a_mebibyte(path: Path) -> None:
    saved(path, embedding=pa.array(np.ones((100, 4096), np.float32).tolist(), pa.list_(pa.float32())))

    batches = read(opened(path, batch_rows=None))

    assert [len(np.asarray(batch.points)) for batch in batches] == [64, 36]
