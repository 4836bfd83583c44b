"""Writes the report of `shoal compare`."""

from __future__ import annotations

from pathlib import Path

from shoal.cli.failures import CommandError, usage_error
from shoal_presentation.report import MARK, report_page
from shoal_presentation.views import Run

_HEAD = 4096  # bytes of a report, in which the mark stands


def check_place(path: Path) -> None:
    """Check that a report can be written to a path; an earlier report there may be replaced.

    Raises
    ------
    CommandError
        If its folder doesn't exist, or it is a file of another kind.
    """
    if not path.parent.is_dir():
        raise usage_error(f"{path}: there is no folder {path.parent} to write the report into")
    if path.is_dir():
        raise usage_error(f"{path}: it is a folder; name a file in it, such as {path / 'report.html'}")
    if path.is_file() and not _is_report(path):
        raise usage_error(f"{path}: this file is not a report of shoal compare; choose another path")


def write_report(run: Run, source: str, path: Path) -> None:
    """Write the report of a run.

    Parameters
    ----------
    run, source
        The run, and where its points are from, as it is to be said.
    path
        Where `check_place` has found nothing against; an earlier report there is replaced.

    Raises
    ------
    CommandError
        If it can't be written.
    """
    try:
        path.write_text(report_page(run, source), "utf-8")
    except OSError as error:
        raise CommandError(f"{path}: the report can't be written: {error.strerror}") from error


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return MARK.encode() in file.read(_HEAD)
