"""The results files of the benchmarks, and their tables and plots."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import plots, report, results
from benchmarks.pairing import Spread
from benchmarks.results import FOLDER, Row, Suite, Target

MACHINE = {"cpu": "a fast one", "cores": 2}


@pytest.mark.parametrize(
    ("target", "ratio", "met"),
    [
        (Target(2.0), 2.0, True),
        (Target(2.0), 1.99, False),
        (Target(1.1, "at most"), 1.1, True),
        (Target(1.1, "at most"), 1.11, False),
    ],
)
def test_the_median_of_the_ratios_meets_a_target_or_misses_it(target: Target, ratio: float, *, met: bool) -> None:
    assert target.met(Spread(ratio, 0.0, 9.0, 3)) == met


def test_written_results_can_be_read_again(tmp_path: Path) -> None:
    suite = _suite(_row(2.5, Target(2.0)), _row(0.9, None))

    assert results.read(results.write(suite, MACHINE, tmp_path)) == suite


def test_a_results_file_describes_the_machine(tmp_path: Path) -> None:
    path = results.write(_suite(_row(1.0, None)), MACHINE, tmp_path)

    assert json.loads(path.read_text())["machine"] == MACHINE


def test_a_results_file_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = results.write(_suite(), MACHINE, tmp_path)
    path.write_text(path.read_text().replace(f'"schema": {results.SCHEMA}', '"schema": 0'))

    with pytest.raises(ValueError, match="schema 0"):
        results.read(path)


def test_cases_that_are_measured_again_replace_theirs_and_the_others_stay() -> None:
    one, other, again = (replace(_row(ratio, None), case=case) for case, ratio in (("a", 1.0), ("b", 2.0), ("a", 3.0)))
    before = replace(_suite(one, other), notes=["River is left out"])

    updated = results.updated(before, _suite(again))

    assert updated.rows == [other, again]
    assert updated.notes == ["River is left out"]


def test_the_description_of_the_machine_has_its_hardware_and_no_host_name() -> None:
    machine = results.describe_machine()

    assert machine["cores"] >= 1
    assert {"cpu", "memory_gib", "python", "blas", "load_average_before"} <= set(machine)
    assert {"numpy", "numba", "scikit-learn"} <= set(machine["packages"])
    assert not {"host", "hostname", "node"} & set(machine)


def test_the_table_says_which_targets_are_met() -> None:
    shown = _shown(_suite(_row(2.5, Target(2.0)), _row(1.5, Target(2.0)), _row(1.0, None)))

    assert [word for word in shown.split() if word in {"pass", "miss"}] == ["pass", "miss"]
    assert "1 of 2 targets met" in shown


def test_the_table_says_which_suites_were_left_out() -> None:
    suite = Suite("streaming", [], 1.0, quick=False, notes=["Spark is left out: no Java"])

    assert "note: Spark is left out: no Java" in _shown(suite)


def test_every_comparison_is_drawn(tmp_path: Path) -> None:
    suite = _suite(_row(2.5, Target(2.0)), _row(0.5, None))

    (drawn,) = plots.draw(suite, tmp_path)

    assert drawn.name == "kernel.svg"
    assert {"2.5", "0.5", "points / faiss"} <= {text.strip() for text in _texts(drawn)}


def test_doubled_ranges_are_drawn_as_lines(tmp_path: Path) -> None:
    rows = [_row(1.0, None, axis="n", size=2.0**power) for power in range(3)]

    assert [path.name for path in plots.draw(_suite(*rows), tmp_path)] == ["kernel-doubled.svg"]


def test_the_summary_has_only_the_headlines(tmp_path: Path) -> None:
    shown = _row(2.0, None)
    suite = _suite(shown, Row(**{**vars(shown), "case": "not shown", "headline": False}))

    drawn = plots.draw_summary([suite, Suite("empty", [], 1.0, quick=False)], tmp_path / "summary.svg")

    assert drawn
    assert not any("not shown" in text for text in _texts(drawn))


def test_no_summary_is_drawn_without_headlines(tmp_path: Path) -> None:
    assert plots.draw_summary([Suite("empty", [], 1.0, quick=False)], tmp_path / "summary.svg") is None


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_the_committed_results_are_of_a_full_run_and_of_this_schema(path: Path) -> None:
    suite = results.read(path)

    assert suite.name == path.stem
    assert not suite.quick
    assert suite.rows
    assert all(row.ratio.low <= row.ratio.median <= row.ratio.high for row in suite.rows)


def _row(ratio: float, target: Target | None, **facts: float | str) -> Row:
    one = Spread(1.0, 1.0, 1.0, 3)
    return Row("points", "faiss", "ms", one, one, Spread(ratio, ratio, ratio, 3), "times faster", target, facts, True)


def _suite(*rows: Row) -> Suite:
    return Suite("kernel", list(rows), 1.0, quick=False)


def _shown(suite: Suite) -> str:
    console = Console(file=io.StringIO(), width=160)
    report.show(suite, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _texts(path: Path) -> list[str]:
    return [" ".join(text.split()) for text in re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())]
