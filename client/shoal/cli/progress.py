"""The progress of `ingest`, `compare` and `suggest-k` on standard error, if that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.table import Column
from rich.text import Text


class IngestProgress:
    """A bar with rows, rows/s, version and inertia per point. Made by `ingest_progress`."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, rows: int, inertia_per_point: float | None, version: int) -> None:
        """Count `rows` more, and show the current inertia per point."""
        self._progress.update(self._task, advance=rows, fit=_fit_text(version, inertia_per_point))


@contextmanager
def ingest_progress(rows: int | None) -> Iterator[IngestProgress]:
    """Draw a bar until the context ends; `rows` is the total number of rows, None if unknown."""
    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(),
        BarColumn(None),  # as wide as the terminal allows
        _RowsColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[fit]}", table_column=Column(no_wrap=True)),
        console=console,
        expand=True,
        disable=not console.is_terminal,
    ) as progress:
        yield IngestProgress(progress, progress.add_task("", total=rows, fit=""))


@contextmanager
def activity() -> Iterator[Callable[[str], None]]:
    """Show what a command is doing until the context ends; call the yielded function to replace the text."""
    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("")
        yield lambda text: progress.update(task, description=text)


@contextmanager
def counted_progress(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Draw a bar until the context ends; call the yielded function after each of `total` steps, with a number to show.

    Parameters
    ----------
    total
        Steps.
    what
        The numbers count.
    """
    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(),
        BarColumn(),
        TextColumn("{task.fields[shown]}", table_column=Column(no_wrap=True)),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=total, shown="")
        yield lambda number: progress.update(task, advance=1, shown=f"{number:,} {what}")


class _RowsColumn(ProgressColumn):
    """Rows so far and rows per second."""

    def render(self, task: Task) -> Text:
        """Return the text for one bar."""
        speed = task.finished_speed or task.speed or 0.0
        return Text(f"{task.completed:,.0f} rows  {speed:>9,.0f} rows/s", style="cyan")


def _fit_text(version: int, inertia_per_point: float | None) -> str:
    if inertia_per_point is None:
        return "warming"
    return f"version {version:,}  inertia per point {inertia_per_point:,.5g}"
