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
from shoal._validation import INT32, UINT32
from shoal.cli import file_options
from shoal.cli.documents import plain
from shoal.cli.failures import tell, usage_error
from shoal.cli.files import ReadOptions
from shoal.cli.invocation import invocation
from shoal.cli.output import as_json, fits_terminal, show_records, write_lines
from shoal.cli.progress import activity
from shoal.cli.report import check_place, write_report
from shoal_presentation.views import Row, Run, engine_text, notes_of, rows_of, track

_EXAMPLE = "six-points"


def compare(
    ctx: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help=f"{file_options.FILES} By default six example points."),
    ] = None,
    n_clusters: Annotated[
        int, typer.Option("--clusters", "--n-clusters", "-k", min=1, max=INT32[1], help="Number of centroids.")
    ] = 2,
    example: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Use example points of the server instead of a file: six-points or blobs."),
    ] = None,
    init: Annotated[
        str, typer.Option(metavar="METHOD|FILE", help="k-means++, random, or a file with the initial centroids.")
    ] = "k-means++",
    engines: Annotated[
        str,
        typer.Option(metavar="A,B,…", help=f"The engines, in order: {', '.join(get_args(CompareEngine))}."),
    ] = "scipy,sklearn",
    random_state: Annotated[
        int | None, typer.Option(min=0, max=UINT32[1], help="Seed that makes the run repeatable.")
    ] = None,
    max_iter: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of iterations of each engine.")] = 100,
    tol: Annotated[
        float, typer.Option(min=0, help="Stop when the centroids move by no more than this in total.")
    ] = 0.0,
    report: Annotated[
        Path | None,
        typer.Option(metavar="PAGE.html", help="Also write an HTML report to this path, replacing an earlier report."),
    ] = None,
    columns: file_options.ColumnNames = None,
    header: file_options.Header = None,
) -> None:
    """Run k-means with several engines from the same initial centroids, and print every step of each.

    With --output json each line is a step, and the last line the results. With --report you also get an HTML page
    with the steps to play, the program, explanations and a quiz; it needs no network.
    """
    if report is not None:
        check_place(report)
    options = ReadOptions(columns=file_options.column_names(columns), header=header)
    with invocation(ctx).connect() as client:
        comparison = client.compare(
            None if file is None else _points(file, options),
            n_clusters,
            example=_example(file, example),
            init=init if init in {"k-means++", "random"} else _points(init, ReadOptions(header=header)),
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
        raise usage_error("give a file or --example, not both")
    return example or _EXAMPLE if file is None else None


def _points(name: str, options: ReadOptions) -> NDArray[Any]:
    """Return all points of a file."""
    with file_options.opened([name], options) as (file,):
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
    with activity() as say:
        for step in comparison:
            say(f"step {step.number}: {engine_text(step.engine).library}")
            steps.append(step)
    return Run.of(comparison, steps)


def _print(run: Run) -> None:
    tables = {
        "Steps": _steps(run),
        "Variables": _variables(run),
        "Results": [_result(result) for result in run.result.engines],
        "Agreement": [_agreement(agreement) for agreement in run.result.agreements],
    }
    for index, (title, rows) in enumerate(tables.items()):
        if rows:
            write_lines(["", title.upper()] if index else [title.upper()])
            show_records(rows, "table", wraps=not fits_terminal(rows))
    write_lines(["", *notes_of(run)])
    if run.start.init != "given":
        write_lines([f"Use --random-state {run.start.random_state} to get the same initial centroids."])


def _steps(run: Run) -> list[dict[str, Any]]:
    """Return the execution table; on a narrow terminal, each row has only the cells of its own engine."""
    wide = [_step(row) for row in rows_of(run)]
    if fits_terminal(wide):
        return wide
    return [
        {
            "step": str(row.number),
            "engine": engine_text(engine).library,
            "action": row.action,
            "centroids": row.cells[engine].centroids,
            "labels": row.cells[engine].labels,
        }
        for row in rows_of(run)
        for engine in ([row.engine] if row.engine else run.engines)
    ]


def _variables(run: Run) -> list[dict[str, Any]]:
    """Return the variable tracker; on a narrow terminal, with a row for each new value."""
    tracker = track(run)
    names = ["variable", *(column.name for column in tracker.columns)]
    wide = [dict(zip(names, (name, *values), strict=True)) for name, values in tracker.variables]
    if fits_terminal(wide):
        return wide
    return [
        {"variable": name, "when": column.name, "value": value}
        for name, values in tracker.variables
        for column, before, value in zip(tracker.columns, ("", *values), values, strict=False)
        if value != before or column.step is None
    ]


def _step(row: Row) -> dict[str, Any]:
    cells = {
        f"{engine_text(engine).library} {what}": getattr(cell, what)
        for engine, cell in row.cells.items()
        for what in ("centroids", "labels")
    }
    return {"step": str(row.number), "action": row.action, **cells}


def _result(result: shoal.ComparedEngine) -> dict[str, Any]:
    return {
        "engine": engine_text(result.engine).library,
        "calls": engine_text(result.engine).calls,
        "inertia": result.inertia,
        "mean distance": result.distortion,
        "iterations": result.iterations,
        "converged": "yes" if result.converged else "no",
        "milliseconds": 1e3 * result.elapsed,
    }


def _agreement(agreement: shoal.Agreement) -> dict[str, Any]:
    return {
        "engines": f"{engine_text(agreement.one).library} and {engine_text(agreement.other).library}",
        "adjusted Rand index": agreement.adjusted_rand_index,
        "points that differ": agreement.points_that_differ,
        "centroids differ by": agreement.largest_difference,
    }
