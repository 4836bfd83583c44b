"""npy, from a file and from standard input."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.cli.failures import FAILED, USAGE
from tests.cli.point_files import opened, piped, points, read, refusal, weights

ROWS = np.arange(30, dtype=np.float32).reshape(10, 3)


def saved(rows: NDArray[Any], path: Path) -> Path:
    np.save(path, rows)
    return path


def as_npy(rows: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, rows)
    return stream.getvalue()


def test_npy_rows_come_in_batches_and_keep_their_dtype(tmp_path: Path) -> None:
    file = opened(saved(ROWS, tmp_path / "points.npy"), batch_rows=4)

    batches = [np.asarray(batch.points) for batch in read(file)]

    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert batches[0].dtype == np.float32
    assert np.array_equal(np.concatenate(batches), ROWS)
    assert file.rows == 10


def test_standard_input_gives_the_same_batches_as_the_file(tmp_path: Path) -> None:
    from_file = read(opened(saved(ROWS, tmp_path / "points.npy")))

    from_pipe = read(piped(as_npy(ROWS)))

    for one, other in zip(from_file, from_pipe, strict=True):
        assert np.array_equal(np.asarray(one.points), np.asarray(other.points))


def test_npy_columns_and_a_weight_are_picked_by_number(tmp_path: Path) -> None:
    path = saved(ROWS, tmp_path / "points.npy")

    picked = points(opened(path, columns=("2", "0"), weight_column="1"))
    weight = weights(opened(path, columns=("2", "0"), weight_column="1"))

    assert np.array_equal(picked, ROWS[:, [2, 0]])
    assert np.array_equal(weight, ROWS[:, 1])


def test_a_batch_has_the_time_of_its_newest_row_in_seconds_since_1970(tmp_path: Path) -> None:
    path = saved(np.array([[1.5, 86400], [2.5, 0]]), tmp_path / "points.npy")

    (batch,) = read(opened(path, time_column="1"))

    assert np.array_equal(np.asarray(batch.points), [[1.5], [2.5]])
    assert batch.event_time == datetime(1970, 1, 2, tzinfo=UTC)


def test_a_weight_column_is_a_coordinate_only_if_it_is_named(tmp_path: Path) -> None:
    path = saved(ROWS, tmp_path / "points.npy")

    assert points(opened(path, weight_column="1")).shape == (10, 2)


def test_a_column_major_npy_file_is_read_in_rows(tmp_path: Path) -> None:
    path = saved(np.asfortranarray(ROWS), tmp_path / "points.npy")

    assert np.array_equal(points(opened(path)), ROWS)


def test_a_column_major_npy_stream_is_refused_with_advice() -> None:
    error = refusal(lambda: piped(as_npy(np.asfortranarray(ROWS))))

    assert "row-major" in str(error)
    assert error.exit_code == FAILED


def test_unknown_column_exits_with_2_and_lists_the_columns(tmp_path: Path) -> None:
    error = refusal(lambda: opened(saved(ROWS, tmp_path / "points.npy"), columns=("3",)))

    assert "no column '3'; it has 0, 1, 2" in str(error)
    assert error.exit_code == USAGE


@pytest.mark.parametrize("shape", [(10,), (2, 5, 3), ()])
def test_an_array_without_two_axes_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    error = refusal(lambda: opened(saved(np.zeros(shape), tmp_path / "points.npy")))

    assert "two axes" in str(error)
    assert error.exit_code == FAILED


@pytest.mark.parametrize("dtype", ["U3", "M8[s]", "c16"])
def test_an_array_of_other_than_numbers_is_refused(tmp_path: Path, dtype: str) -> None:
    error = refusal(lambda: opened(saved(np.zeros((2, 2), dtype), tmp_path / "points.npy")))

    assert "points are floating-point numbers or integers" in str(error)
    assert error.exit_code == FAILED


def test_npy_booleans_are_1_and_0(tmp_path: Path) -> None:
    rows = np.array([[True, False], [False, True]])

    from_file, from_pipe = points(opened(saved(rows, tmp_path / "points.npy"))), points(piped(as_npy(rows)))

    for read_rows in (from_file, from_pipe):
        assert read_rows.dtype == np.uint8
        assert np.array_equal(read_rows, [[1, 0], [0, 1]])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((9000, 3), [8192, 808]), ((300, 4096), [64, 64, 64, 64, 44]), ((3, 400_000), [1, 1, 1])],
)
def test_npy_batches_are_about_a_mebibyte_unless_batch_rows_is_given(
    tmp_path: Path, shape: tuple[int, int], expected: list[int]
) -> None:
    path = saved(np.zeros(shape, np.float32), tmp_path / "points.npy")

    batches = read(opened(path, batch_rows=None))

    assert [len(np.asarray(batch.points)) for batch in batches] == expected


def test_an_array_of_python_objects_is_refused_and_not_unpickled(tmp_path: Path) -> None:
    path = saved(np.array([[1, "a"]], dtype=object), tmp_path / "points.npy")

    assert refusal(lambda: opened(path)).exit_code == FAILED


def test_an_array_of_no_rows_is_refused(tmp_path: Path) -> None:
    path = saved(np.zeros((0, 3)), tmp_path / "points.npy")

    assert "no rows" in str(refusal(lambda: opened(path)))
    assert "no rows" in str(refusal(lambda: piped(path.read_bytes())))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not an npy file"),
        (b"hello, world", "not an npy file"),
        (b"PK\x03\x04 a zip", "not an npy file"),
        (as_npy(ROWS)[:60], "the file is shorter than its header says; copy it again"),
        (as_npy(ROWS)[:-1], "the file is shorter than its header says; copy it again"),
    ],
)
def test_a_truncated_or_invalid_npy_file_is_refused_when_it_is_opened(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "points.npy"
    path.write_bytes(content)

    error = refusal(lambda: opened(path))

    assert str(error) == f"{path}: {says}"
    assert error.exit_code == FAILED


def test_a_truncated_npy_stream_is_reported_with_its_number_of_rows() -> None:
    file = piped(as_npy(ROWS)[: -5 * 12 + 1])

    error = refusal(lambda: read(file))

    assert str(error) == "standard input ended after 5 of 10 rows"


def test_an_npy_stream_with_a_truncated_header_is_refused() -> None:
    assert "not npy" in str(refusal(lambda: piped(as_npy(ROWS)[:60])))
