"""csv, with and without names, whole and broken."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from shoal.cli.failures import FAILED, USAGE
from shoal.cli.files import ReadOptions
from shoal.cli.files.csv_reader import read_csv
from tests.cli.point_files import opened, piped, points, read, refusal, weights

NAMED = b"x,y,weight\n1,2,10\n3,4,20\n5,6,30\n"


def test_a_line_without_numbers_is_taken_for_names() -> None:
    assert np.array_equal(points(piped(NAMED, columns=("y", "x"))), [[2, 1], [4, 3], [6, 5]])


def test_a_line_of_numbers_is_the_first_point() -> None:
    assert np.array_equal(points(piped(b"1,2\n3,4\n")), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("line", "header", "told"),
    [
        ("2019,2020,2021", None, True),
        ("0,1,2", None, True),
        ("2019,2020,2021", False, False),
        ("2019,2020,2021", True, False),
        ("2021,2020,2019", None, False),
        ("1.0,2.0,3.0", None, False),
        ("1,2", None, False),
    ],
)
def test_a_first_line_of_consecutive_integers_is_said_to_count_as_a_point(
    capsys: pytest.CaptureFixture[str], line: str, header: bool | None, told: bool
) -> None:
    piped(f"{line}\n{line}\n".encode(), header=header)

    hint = f"standard input: the first line, {line}, counts as a point; use --header if it has names\n"
    assert capsys.readouterr().err == (hint if told else "")


def test_columns_without_names_are_called_by_their_numbers() -> None:
    assert np.array_equal(points(piped(b"1,2\n3,4\n", columns=("1",))), [[2], [4]])


def test_a_weight_column_is_taken_out_of_the_points() -> None:
    assert np.array_equal(points(piped(NAMED, weight_column="weight")), [[1, 2], [3, 4], [5, 6]])
    assert np.array_equal(weights(piped(NAMED, weight_column="weight")), [10, 20, 30])


def test_a_first_line_of_numbers_is_a_line_of_names_when_requested() -> None:
    assert np.array_equal(points(piped(b"2019,2020\n1,2\n", header=True, columns=("2020",))), [[2]])


def test_a_first_point_with_a_missing_value_is_not_taken_for_names() -> None:
    rows = points(piped(b"1,,NA\n4,5,6\n"))

    assert np.array_equal(rows, np.array([[1, np.nan, np.nan], [4, 5, 6]]), equal_nan=True)


def test_a_first_line_of_words_and_numbers_is_a_point_not_names() -> None:
    rows = points(piped(b"berlin,1,2\nparis,3,4\n", columns=("1", "2")))

    assert np.array_equal(rows, [[1, 2], [3, 4]])


def test_empty_and_null_and_nan_fields_are_nan() -> None:
    rows = points(piped(b"x,y\n,null\nnan,NA\n1,inf\n"))

    assert np.array_equal(rows, [[np.nan, np.nan], [np.nan, np.nan], [1, np.inf]], equal_nan=True)


def test_text_in_a_column_that_is_not_read_is_ignored() -> None:
    assert np.array_equal(points(piped(b"city,x\nberlin,1\nparis,2\n", columns=("x",))), [[1], [2]])


def test_two_columns_of_the_same_name_are_both_read() -> None:
    assert np.array_equal(points(piped(b"x,x\n1,2\n")), [[1, 2]])


def test_ambiguous_column_name_is_refused() -> None:
    error = refusal(lambda: piped(b"x,x\n1,2\n", columns=("x",)))

    assert "2 columns 'x'" in str(error)
    assert error.exit_code == USAGE


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfx,y\n1,2\n",
        b"x,y\r\n1,2\r\n",
        b"\n\nx,y\n\n1,2\n\n",
        b' x , y\n" 1", 2\n',
        b"x,y\n1,2",
    ],
    ids=["byte order mark", "carriage returns", "empty lines", "quotes and spaces", "no last newline"],
)
def test_csv_files_of_other_programs_are_read(content: bytes) -> None:
    assert np.array_equal(points(piped(content, columns=("x", "y"))), [[1, 2]])


@pytest.mark.parametrize("content", [b"", b"\n\n", b"x,y\n", b"x,y\n\n"])
def test_a_file_without_rows_is_refused_when_it_is_opened(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "points.csv"
    path.write_bytes(content)

    assert "no rows" in str(refusal(lambda: opened(path)))


def test_csv_batches_have_the_requested_rows_for_any_length_of_the_file() -> None:
    lines = b"".join(b"%d,%d\n" % (row, -row) for row in range(100_000))

    batches = [np.asarray(batch.points) for batch in read(piped(lines, batch_rows=30_000))]

    assert [len(batch) for batch in batches] == [30_000, 30_000, 30_000, 10_000]
    assert np.array_equal(np.concatenate(batches)[:, 0], np.arange(100_000))


def test_text_among_numbers_is_reported_with_its_column() -> None:
    error = refusal(lambda: read(piped(b"x,y\n1,2\n\n3,oops\n")))

    assert "standard input: row 2, column 'y': 'oops' is not a number; choose number columns" in str(error)
    assert error.exit_code == FAILED


def test_csv_line_of_another_length_is_reported() -> None:
    error = refusal(lambda: read(piped(b"x,y\n1,2\n3\n")))

    assert "row 2: Expected 2 columns, got 1: 3; each row needs 2 values" in str(error)


def test_an_error_counts_its_row_from_the_beginning_of_the_file() -> None:
    error = refusal(lambda: read(piped(b"x,y\n" + b"1,2\n" * 700_000 + b"3,oops\n")))

    assert "row 700,001" in str(error)


def test_a_word_in_the_first_line_of_numbers_gets_advice() -> None:
    error = refusal(lambda: read(piped(b"1,oops\n3,4\n")))

    assert "row 1" in str(error)
    assert "--header" in str(error)


def test_csv_that_is_not_text_is_refused() -> None:
    error = refusal(lambda: piped(b"\x89PNG\r\n\x1a\n\x00\x00"))

    assert "isn't text; parquet and images need their file extension" in str(error)


@pytest.mark.parametrize(
    ("content", "separator"),
    [(b"x;y\n1;2\n", "';'"), (b"1,5;2,5\n", "';'"), (b"1\t2\n3\t4\n", "tabs"), (b"1 2\n3 4\n", "spaces")],
)
def test_an_unsupported_separator_is_named_in_the_error(content: bytes, separator: str) -> None:
    error = refusal(lambda: read(piped(content)))

    assert f"seem to be separated by {separator}: write commas" in str(error)
    assert error.exit_code == FAILED


def test_numbers_are_read_in_the_requested_precision_and_weights_in_float64() -> None:
    batches = read(piped(b"x,w\n0.1,0.1\n1e300,0.2\n", dtype="float32", weight_column="w"))

    (rows,) = [np.asarray(batch.points) for batch in batches]
    assert rows.dtype == np.float32
    assert np.array_equal(rows, np.array([[0.1], [np.inf]], np.float32))
    assert np.array_equal(weights(piped(b"x,w\n0.1,0.1\n", dtype="float32", weight_column="w")), [0.1])


def test_batches_of_wide_rows_are_of_about_a_mebibyte() -> None:
    line = b",".join([b"1"] * 2048) + b"\n"

    batches = read(piped(line * 100, batch_rows=None))

    assert [len(np.asarray(batch.points)) for batch in batches] == [64, 36]


def test_unknown_column_exits_with_2() -> None:
    error = refusal(lambda: piped(NAMED, columns=("z",)))

    assert "no column 'z'; it has x, y, weight" in str(error)
    assert error.exit_code == USAGE


@pytest.mark.parametrize(
    "lines",
    [b"1,0\n2,86400\n", b"1,1970-01-01\n2,1970-01-02\n", b"1,1970-01-01T00:00:00Z\n2,1970-01-02 00:00:00+00:00\n"],
)
def test_a_batch_has_the_time_of_its_newest_row(lines: bytes) -> None:
    (batch,) = read(piped(b"x,when\n" + lines, time_column="when"))

    assert np.array_equal(np.asarray(batch.points), [[1], [2]])
    assert batch.event_time == datetime(1970, 1, 2, tzinfo=UTC)


def test_invalid_time_is_reported_with_its_column() -> None:
    error = refusal(lambda: read(piped(b"x,when\n1,yesterday\n", time_column="when")))

    assert "column 'when': it holds string; a time is" in str(error)


def test_rows_of_a_slow_pipe_are_read_as_they_come() -> None:
    receiving, sending = os.pipe()
    with os.fdopen(receiving, "rb") as stream, os.fdopen(sending, "wb") as source:
        source.write(b"1,2\n3,4\n")
        source.flush()
        batches = read_csv(stream, ReadOptions(2), "the pipe").batches

        batch = next(batches)

    assert np.array_equal(np.asarray(batch.points), [[1, 2], [3, 4]])


def test_no_column_left_for_the_points_exits_with_2() -> None:
    assert refusal(lambda: piped(b"weight\n1\n", weight_column="weight")).exit_code == USAGE
