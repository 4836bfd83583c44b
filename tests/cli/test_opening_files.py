"""The reader for a file name, and the errors for names without one."""

from __future__ import annotations

from pathlib import Path

from shoal.cli.failures import FAILED, USAGE
from tests.cli.point_files import opened, refusal


def test_missing_file_exits_with_2(tmp_path: Path) -> None:
    error = refusal(lambda: opened(tmp_path / "nothing.csv"))

    assert "no such file" in str(error)
    assert error.exit_code == USAGE


def test_folder_as_a_file_exits_with_2(tmp_path: Path) -> None:
    error = refusal(lambda: opened(tmp_path))

    assert "is a folder" in str(error)
    assert error.exit_code == USAGE


def test_unknown_file_extension_exits_with_2_and_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "points.xlsx").write_bytes(b"PK")

    error = refusal(lambda: opened(tmp_path / "points.xlsx"))

    assert ".npy, .csv, .parquet, .png" in str(error)
    assert error.exit_code == USAGE


def test_unreadable_file_is_reported_with_the_cause(tmp_path: Path) -> None:
    (tmp_path / "memory.csv").symlink_to("/proc/self/mem")  # its first byte gives an input/output error, root or not

    error = refusal(lambda: opened(tmp_path / "memory.csv"))

    assert str(error).endswith("can't be read: Input/output error")
    assert error.exit_code == FAILED
