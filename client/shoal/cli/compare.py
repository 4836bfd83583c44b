"""`shoal compare`: k-means by several engines on the same points, step by step."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import numpy as np
import typer
from numpy.typing import NDArray

import shoal
from shoal import CompareEngine, Comparison
from shoal.cli import pouring
from shoal.cli.documents import plain
from shoal.cli.failures import tell, wrong_usage
from shoal.cli.files import Reading
from shoal.cli.invocation import invocation
from shoal.cli.output import as_json, fit, show_things, write_lines
from shoal.cli.progress import stepping
from shoal.cli.report import check_place, write_report
from shoal_presentation.views import Row, Run, notes_of, rows_of, track, words_of

_EXAMPLE = "six-points"


def compare(
    ctx: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help=f"{pouring.FILES} Without it: the example of six points."),
    ] = None,
    n_clusters: Annotated[int, typer.Option("--n-clusters", "-k", min=1, help="How many centroids.")] = 2,
    example: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="In place of a file, points that the server has: six-points, blobs."),
    ] = None,
    init: Annotated[
        str, typer.Option(metavar="WAY", help="k-means++, random, or a file with the initial centroids.")
    ] = "k-means++",
    engines: Annotated[
        str,
        typer.Option(metavar="A,B,…", help=f"The engines, in order: {', '.join(get_args(CompareEngine))}."),
    ] = "scipy,sklearn",
    random_state: Annotated[int | None, typer.Option(min=0, help="Makes the random draws repeatable.")] = None,
    max_iter: Annotated[int, typer.Option(min=1, max=1000, help="Iterations of each engine at most.")] = 100,
    tol: Annotated[float, typer.Option(min=0, help="Converged when no more than this has moved.")] = 0.0,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="PAGE.html", help="Write a page with every view of the run too; an earlier one there is replaced."
        ),
    ] = None,
    columns: pouring.ColumnNames = None,
    header: pouring.Header = None,
) -> None:
    """Run k-means by several engines from the same initial centroids, and print every step of each.

    With --output json each line is a step, and the last one what the engines come to. With --report everything goes
    onto a page as well: the steps to play, the program, questions and answers. It needs no network.
    """
    if report is not None:
        check_place(report)
    how = Reading(columns=pouring.column_names(columns), header=header)
    with invocation(ctx).connect() as client:
        comparison = client.compare(
            None if file is None else _points(file, how),
            n_clusters,
            example=_example(file, example),
            init=init if init in {"k-means++", "random"} else _points(init, Reading(header=header)),
            random_state=random_state,
            engines=cast("tuple[CompareEngine, ...]", tuple(name.strip() for name in engines.split(","))),
            max_iter=max_iter,
            tol=tol,
        )
        with closing(comparison):
            run = _write_steps(comparison) if invocation(ctx).output == "json" else _collect(comparison)
    if invocation(ctx).output != "json":
        _print(run)
    if report is not None:
        write_report(run, file or f"the example {run.start.example}", report)
        tell(f"the report: {report.resolve()}\nopen it in a browser: {report.resolve().as_uri()}")


def _example(file: str | None, example: str | None) -> str | None:
    if file is not None and example is not None:
        raise wrong_usage("give a file or --example, not both")
    return example or _EXAMPLE if file is None else None


def _points(name: str, how: Reading) -> NDArray[Any]:
    """Return all points of a file."""
    with pouring.opened([name], how) as (file,):
        return np.concatenate([np.asarray(batch.points) for batch in file.batches])


def _write_steps(comparison: Comparison) -> Run:
    steps: list[shoal.ComparisonStep] = []
    for step in comparison:
        if not steps:
            write_lines([as_json({"start": plain(comparison.start)})])
        write_lines([as_json({"step": plain(step)})])
        steps.append(step)
    run = Run.of(comparison, steps)
    write_lines([as_json({"result": plain(run.result)})])
    return run


def _collect(comparison: Comparison) -> Run:
    steps: list[shoal.ComparisonStep] = []
    with stepping() as say:
        for step in comparison:
            say(f"step {step.number}: {words_of(step.engine).library}")
            steps.append(step)
    return Run.of(comparison, steps)


def _print(run: Run) -> None:
    tables = {
        "Steps": _steps(run),
        "Variables": _variables(run),
        "Results": [_result(result) for result in run.result.engines],
        "Agreement": [_agreement(agreement) for agreement in run.result.agreements],
    }
    for place, (title, rows) in enumerate(tables.items()):
        if rows:
            write_lines(["", title.upper()] if place else [title.upper()])
            show_things(rows, "table", wraps=not fit(rows))
    write_lines(["", *notes_of(run)])
    if run.start.init != "given":
        write_lines([f"The initial centroids come again with random_state {run.start.random_state}."])


def _steps(run: Run) -> list[dict[str, Any]]:
    """Return the execution table; on a terminal too narrow for it a row has the cells of its own engine alone."""
    wide = [_step(row) for row in rows_of(run)]
    if fit(wide):
        return wide
    return [
        {
            "step": str(row.number),
            "engine": words_of(engine).library,
            "action": row.action,
            "centroids": row.cells[engine].centroids,
            "labels": row.cells[engine].labels,
        }
        for row in rows_of(run)
        for engine in ([row.engine] if row.engine else run.engines)
    ]


def _variables(run: Run) -> list[dict[str, Any]]:
    """Return the variable tracker, a column a moment; on a terminal too narrow for it a row for each new value."""
    tracker = track(run)
    names = ["variable", *(moment.name for moment in tracker.moments)]
    wide = [dict(zip(names, (name, *values), strict=True)) for name, values in tracker.variables]
    if fit(wide):
        return wide
    return [
        {"variable": name, "when": moment.name, "value": value}
        for name, values in tracker.variables
        for moment, before, value in zip(tracker.moments, ("", *values), values, strict=False)
        if value != before or moment.step is None
    ]


def _step(row: Row) -> dict[str, Any]:
    cells = {
        f"{words_of(engine).library} {what}": getattr(cell, what)
        for engine, cell in row.cells.items()
        for what in ("centroids", "labels")
    }
    return {"step": str(row.number), "action": row.action, **cells}


def _result(result: shoal.ComparedEngine) -> dict[str, Any]:
    return {
        "engine": words_of(result.engine).library,
        "calls": words_of(result.engine).calls,
        "inertia": result.inertia,
        "mean distance": result.distortion,
        "iterations": result.iterations,
        "converged": "yes" if result.converged else "no",
        "milliseconds": 1e3 * result.elapsed,
    }


def _agreement(agreement: shoal.Agreement) -> dict[str, Any]:
    return {
        "engines": f"{words_of(agreement.one).library} and {words_of(agreement.other).library}",
        "adjusted Rand index": agreement.adjusted_rand_index,
        "points that differ": agreement.points_that_differ,
        "centroids differ by": agreement.largest_difference,
    }
