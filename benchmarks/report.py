"""A suite's table for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks.pairing import Spread
from benchmarks.results import Row, Suite, missed


def show(suite: Suite, console: Console) -> None:
    """Print the results of a suite."""
    table = Table(title=f"{suite.name}: median (quartiles)", title_justify="left")
    for heading in ("case", "against", "Shoal", "the other", "ratio", "", "target", ""):
        table.add_column(heading, justify="right" if heading in {"Shoal", "the other", "ratio"} else "left")
    before = ""
    for row in suite.rows:
        table.add_row("" if row.case == before else row.case, *_cells(row))
        before = row.case
    console.print(table)
    for note in suite.notes:
        console.print(f"note: {note}")
    aimed = [row for row in suite.rows if row.target]
    console.print(f"{len(aimed) - len(missed(aimed))} of {len(aimed)} targets met; it took {suite.seconds:.0f} s")


def _cells(row: Row) -> list[str]:
    cells = [
        row.peer,
        f"{_short(row.shoal.median)} {row.unit}",
        f"{_short(row.other.median)} {row.unit}",
        _with_quartiles(row.ratio),
        row.reading,
    ]
    if row.target is None:
        return [*cells, "", ""]
    met = row.target.met(row.ratio)
    return [*cells, str(row.target), "[green]pass[/]" if met else "[red]miss[/]"]


def _with_quartiles(spread: Spread) -> str:
    return f"{_short(spread.median)} ({_short(spread.low)}-{_short(spread.high)})"


def _short(value: float) -> str:
    """Return a number with three significant digits."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4  # noqa: PLR2004
    return f"{value:,.{digits}f}"
