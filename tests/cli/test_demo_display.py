"""How the demo shows that it is alive, with and without a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from shoal_presentation.demo.display import Display, StreamProgress, display_on
from tests.cli.cli_runner import without_escapes

NAMES = ("partial_fit", "Shoal")


def drawn(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return without_escapes(console.file.getvalue())


def run(display: Display) -> None:
    display.begin("1,000 pixels in scan order", 1000)
    display.advance(StreamProgress("partial_fit", 400, 0.5, 4))
    display.finish(StreamProgress("partial_fit", 1000, 0.5, 10))
    display.finish(StreamProgress("Shoal", 1000, 0.25, 18))
    display.end()
    with display.busy("thinking"):
        pass


def test_each_stream_gets_a_line_when_it_has_finished_without_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=200)

    run(display_on(console, NAMES))

    title, partial_fit, session, busy = drawn(console).splitlines()
    assert title == "1,000 pixels in scan order"
    assert partial_fit.split() == ["partial_fit", "2,000", "rows/s", "version", "10"]
    assert session.split() == ["Shoal", "4,000", "rows/s", "version", "18"]
    assert busy == "thinking"


def test_a_terminal_shows_a_bar_for_each_stream_under_the_title() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None, legacy_windows=False)

    run(display_on(console, NAMES))

    title, *lines = drawn(console).splitlines()
    partial_fit, session = [line for line in lines if "rows/s" in line][-2:]
    assert title == "1,000 pixels in scan order"
    assert partial_fit.split()[0] == "partial_fit"
    assert partial_fit.rstrip().endswith("2,000 rows/s  version  10")
    assert session.split()[0] == "Shoal"
    assert session.rstrip().endswith("4,000 rows/s  version  18")
