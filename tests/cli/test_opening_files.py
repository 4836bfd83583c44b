"""Which reader a name gets, and what is said of names that get none."""

from __future__ import annotations

from pathlib import Path

from shoal.cli.failures import FAILED, USAGE
from tests.cli.point_files import opened, refusal


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    error = refusal(lambda: opened(tmp_path / "nothing.csv"))

    assert "no such file" in str(error)
    assert error.exit_code == USAGE


def test_a_folder_is_wrong_usage(tmp_path: Path) -> None:
    error = refusal(lambda: opened(tmp_path))

    assert "is a folder" in str(error)
    assert error.exit_code == USAGE


def test_an_ending_that_nobody_reads_is_wrong_usage_and_the_message_lists_those_that_can_be_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "points.xlsx").write_bytes(b"PK")

    error = refusal(lambda: opened(tmp_path / "points.xlsx"))

    assert ".npy, .csv, .parquet, .png" in str(error)
    assert error.exit_code == USAGE


def test_a_file_that_can_not_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "memory.csv").symlink_to("/proc/self/mem")  # its first byte gives an input/output error, root or not

    error = refusal(lambda: opened(tmp_path / "memory.csv"))

    assert str(error).endswith("can't be read: Input/output error")
    assert error.exit_code == FAILED
