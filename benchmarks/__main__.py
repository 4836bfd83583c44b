"""Run the suites, print their tables, and write and draw their figures."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from rich.console import Console

from benchmarks import plots, report, results
from benchmarks.pairing import Plan
from benchmarks.results import FOLDER, Row, Suite

SUITES = (
    "kernel",
    "overhead",
    "ingest",
    "crowded",
    "latency",
    "scaling",
    "streaming",
    "viewers",
    "comparing",
    "starvation",
    "memory",
    "hostile",
    "quality",
)
LONG = ("quality",)  # an hour or more: a run of all suites has the quick form of these, beside the others' results
WITH_CASES = ("quality", "starvation")  # that can be chosen from
QUIET = 0.5  # the most load under which figures are worth keeping
WIDTH = 160  # of tables in a file
ROUNDS, QUICK_ROUNDS = 15, 5


def main() -> None:
    """Run the suites on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; none: all")
    parser.add_argument("--quick", action="store_true", help="fewer shapes and rounds, under eight minutes for all")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}, quick {QUICK_ROUNDS}")
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help=f"of {' and '.join(WITH_CASES)}: the cases that match"
    )
    parser.add_argument("--keep", action="store_true", help="keep what the folder has of other cases; with --only")
    parser.add_argument("--into", type=Path, help="folder of the results; default benchmarks/results, quick below it")
    chosen = parser.parse_args()
    if chosen.keep and not chosen.only:
        parser.error("--keep needs --only: without it every case is measured again")
    if chosen.only and not (chosen.suites and set(chosen.suites) <= set(WITH_CASES)):
        parser.error(f"--only is for {' and '.join(WITH_CASES)}: name one of them")
    if unknown := set(chosen.suites) - set(SUITES):
        parser.error(f"there is no suite {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    plan = Plan(chosen.quick, chosen.rounds or (QUICK_ROUNDS if chosen.quick else ROUNDS), console, chosen.only)
    folder = chosen.into or (FOLDER / "quick" if chosen.quick else FOLDER)
    if chosen.suites or chosen.quick:
        run_suites(chosen.suites or SUITES, plan, folder, keep=chosen.keep)
    else:
        run_suites([name for name in SUITES if name not in LONG], plan, folder)
        run_suites(LONG, replace(plan, quick=True), folder / "quick")


def run_suites(names: Sequence[str], plan: Plan, folder: Path, *, keep: bool = False) -> None:
    """Run suites one after another, and write the results of each at once; `keep` the cases that aren't measured."""
    machine = results.describe_machine()
    if machine["load_average_before"] > QUIET:
        plan.console.print(f"The machine is busy (load {machine['load_average_before']}): take the figures with care.")
    for name in names:
        module = import_module(f"benchmarks.{name}")
        suite = run_suite(name, module.rows, plan)
        if plan.only and not suite.rows:
            plan.console.print(f"{name}: no case matches {plan.only!r}; its results stay as they are")
            continue
        report.show(suite, plan.console)
        if keep and (path := folder / f"{name}.json").exists():
            suite = results.updated(results.read(path), suite)
        results.write(suite, machine, folder)
        getattr(module, "draw", plots.draw)(suite, folder)
    kept = [results.read(path) for name in SUITES if (path := folder / f"{name}.json").exists()]
    if drawn := plots.draw_summary(kept, folder / "summary.svg"):
        plan.console.print(f"drawn: {drawn}")


def run_suite(name: str, rows: Callable[[Plan], Iterator[Row | str]], plan: Plan) -> Suite:
    """Run one suite, which yields rows, and notes as plain text."""
    begin = time.perf_counter()
    found = list(rows(plan))
    return Suite(
        name,
        [each for each in found if isinstance(each, Row)],
        time.perf_counter() - begin,
        plan.quick,
        [each for each in found if isinstance(each, str)],
    )


if __name__ == "__main__":
    main()
