"""How the demo shows that it is alive, with and without a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from shoal_presentation.demo.display import Display, EngineProgress, display_on
from tests.cli.cli_runner import without_escapes

ENGINES = ("numba", "scipy")


def drawn(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return without_escapes(console.file.getvalue())


def run(display: Display) -> None:
    display.begin("1,000 pixels in scan order", 1000)
    display.advance(EngineProgress("numba", 400, 0.5, 4, 12.5))
    display.finish(EngineProgress("scipy", 1000, 0.5, 10, 12.5))
    display.finish(EngineProgress("numba", 1000, 0.25, 10, 12.5))
    display.end()
    with display.busy("thinking"):
        pass


def test_each_engine_gets_a_line_when_it_has_finished_without_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=200)

    run(display_on(console, ENGINES))

    title, scipy, numba, busy = drawn(console).splitlines()
    assert title == "1,000 pixels in scan order"
    assert scipy.split() == ["scipy", "2,000", "rows/s", "version", "10", "inertia", "per", "point", "12.5"]
    assert numba.split()[:3] == ["numba", "4,000", "rows/s"]
    assert busy == "thinking"


def test_a_terminal_shows_a_bar_for_each_engine_under_the_title_of_the_pass() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None, legacy_windows=False)

    run(display_on(console, ENGINES))

    title, *lines = drawn(console).splitlines()
    numba, scipy = [line for line in lines if "rows/s" in line][-2:]
    assert title == "1,000 pixels in scan order"
    assert numba.split()[0] == "numba"
    assert scipy.split()[0] == "scipy"
    assert all(line.rstrip().endswith("version  10  inertia per point    12.5") for line in (numba, scipy))
