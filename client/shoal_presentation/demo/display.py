"""The progress of the demo: a bar for each engine on a terminal, a line for each engine elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text


@dataclass(frozen=True)
class EngineProgress:
    """The progress of an engine in a pass."""

    engine: str
    rows: int
    seconds: float
    version: int
    inertia_per_point: float  # of the last batch

    @property
    def text(self) -> str:
        """The text beside the bar."""
        speed = self.rows / self.seconds if self.seconds else 0.0
        return f"{speed:>9,.0f} rows/s  version {self.version:>3,}  inertia per point {self.inertia_per_point:>7,.1f}"


class Display(Protocol):
    """Shows the progress of the demo; `advance` and `finish` are called from several threads."""

    def begin(self, title: str, rows: int) -> None:
        """Begin a pass over `rows` points."""

    def advance(self, progress: EngineProgress) -> None:
        """Show the progress of an engine."""

    def finish(self, progress: EngineProgress) -> None:
        """Show that an engine has finished the pass."""

    def end(self) -> None:
        """End the pass, after all engines have finished it."""

    def busy(self, message: str) -> AbstractContextManager[object]:
        """Show that something takes a while."""

    def tell(self, message: str) -> None:
        """Show a message as it is: not wrapped, no markup."""


def display_on(console: Console, engines: tuple[str, ...]) -> Display:
    """Return the display that suits the console."""
    return Bars(console, engines) if console.is_terminal else Lines(console)


class Bars:
    """A bar an engine, for a terminal; a new set for each pass, the old ones stay."""

    def __init__(self, console: Console, engines: tuple[str, ...]) -> None:
        self._console = console
        self._engines = engines
        self._progress = self._new_progress()
        self._tasks: dict[str, TaskID] = {}

    def begin(self, title: str, rows: int) -> None:
        """Draw the bars of a pass under a line that names it."""
        self._console.print(Text(title))
        self._progress = self._new_progress()
        self._tasks = {engine: self._progress.add_task(engine, total=rows, text="") for engine in self._engines}
        self._progress.start()

    def advance(self, progress: EngineProgress) -> None:
        """Move an engine's bar."""
        self._progress.update(self._tasks[progress.engine], completed=progress.rows, text=progress.text)

    def finish(self, progress: EngineProgress) -> None:
        """Draw an engine's finished bar."""
        self.advance(progress)

    def end(self) -> None:
        """Leave the bars as they are."""
        self._progress.stop()

    def busy(self, message: str) -> AbstractContextManager[object]:
        """Turn a spinner."""
        return self._console.status(message)

    def tell(self, message: str) -> None:
        """Print a message."""
        self._console.print(Text(message), soft_wrap=True)

    def _new_progress(self) -> Progress:
        return Progress(
            TextColumn("  [bold]{task.description:<8}"),
            BarColumn(None),  # as wide as the terminal allows
            TextColumn("{task.fields[text]}", table_column=Column(no_wrap=True)),
            console=self._console,
            expand=True,
        )


class Lines:
    """A line for each engine and pass, without a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, title: str, rows: int) -> None:  # noqa: ARG002  (the lines say how many)
        """Name the pass."""
        self.tell(title)

    def advance(self, progress: EngineProgress) -> None:
        """Print nothing: a line for each batch would be too many."""

    def finish(self, progress: EngineProgress) -> None:
        """Print an engine's figures of the pass."""
        self.tell(f"  {progress.engine:<8} {progress.text}")

    def end(self) -> None:
        """Print nothing: every engine has its line."""

    def busy(self, message: str) -> AbstractContextManager[object]:
        """Print the message once."""
        self.tell(message)
        return nullcontext()

    def tell(self, message: str) -> None:
        """Print a message."""
        self._console.print(Text(message), soft_wrap=True)
