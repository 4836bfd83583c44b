"""The progress of the demo: a bar for each stream on a terminal, a line for each elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text


@dataclass(frozen=True)
class StreamProgress:
    """How far one of the streams is."""

    name: str
    rows: int
    seconds: float
    version: int

    @property
    def text(self) -> str:
        """The text beside the bar."""
        speed = self.rows / self.seconds if self.seconds else 0.0
        return f"{speed:>9,.0f} rows/s  version {self.version:>3,}"


class Display(Protocol):
    """Shows the progress of the demo."""

    def begin(self, title: str, rows: int) -> None:
        """Begin to stream `rows` points."""

    def advance(self, progress: StreamProgress) -> None:
        """Show how far a stream is."""

    def finish(self, progress: StreamProgress) -> None:
        """Show that a stream has ended."""

    def end(self) -> None:
        """End the progress, after all streams."""

    def busy(self, message: str) -> AbstractContextManager[object]:
        """Show that something takes a while."""

    def tell(self, message: str) -> None:
        """Show a message as it is: not wrapped, no markup."""


def display_on(console: Console, names: tuple[str, ...]) -> Display:
    """Return the display that suits the console."""
    return Bars(console, names) if console.is_terminal else Lines(console)


class Bars:
    """A bar a stream, for a terminal."""

    def __init__(self, console: Console, names: tuple[str, ...]) -> None:
        self._console = console
        self._names = names
        self._progress = Progress(
            TextColumn("  [bold]{task.description:<11}"),
            BarColumn(None),  # as wide as the terminal allows
            TextColumn("{task.fields[text]}", table_column=Column(no_wrap=True)),
            console=console,
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def begin(self, title: str, rows: int) -> None:
        """Draw the bars under a title."""
        self._console.print(Text(title))
        self._tasks = {name: self._progress.add_task(name, total=rows, text="") for name in self._names}
        self._progress.start()

    def advance(self, progress: StreamProgress) -> None:
        """Move a stream's bar."""
        self._progress.update(self._tasks[progress.name], completed=progress.rows, text=progress.text)

    def finish(self, progress: StreamProgress) -> None:
        """Draw a stream's finished bar."""
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


class Lines:
    """A line for each stream, without a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, title: str, rows: int) -> None:  # noqa: ARG002  (the lines say how many)
        """Print the title."""
        self.tell(title)

    def advance(self, progress: StreamProgress) -> None:
        """Print nothing: a line for each batch would be too many."""

    def finish(self, progress: StreamProgress) -> None:
        """Print a stream's figures."""
        self.tell(f"  {progress.name:<11} {progress.text}")

    def end(self) -> None:
        """Print nothing: every stream has its line."""

    def busy(self, message: str) -> AbstractContextManager[object]:
        """Print the message once."""
        self.tell(message)
        return nullcontext()

    def tell(self, message: str) -> None:
        """Print a message."""
        self._console.print(Text(message), soft_wrap=True)
