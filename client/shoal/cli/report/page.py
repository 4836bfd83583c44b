"""The page: which view goes where, and the file that it becomes."""

from __future__ import annotations

import json
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from shoal.cli.demo.looks import DARK, LIGHT
from shoal.cli.failures import CommandError, wrong_usage
from shoal.cli.report.drawing import panels
from shoal.cli.report.marks import definitions, stylesheet
from shoal.cli.report.playing import playable
from shoal.cli.report.reading import code, flow, key_moments_list, quiz
from shoal.cli.report.tables import agreements, execution, results, tracker
from shoal.views import Run, notes_of, plot_of, snapshot_of, transcript_of, words_of
from shoal.views.numbers import count_text, listed

_MARK = '<meta name="generator" content="shoal compare">'
_HEAD = 4096  # bytes of a report, in which the mark stands


def check_place(path: Path) -> None:
    """Refuse a place where no report can go; an earlier report there may be replaced.

    Raises
    ------
    CommandError
        If its folder doesn't exist, or it is a file of another kind.
    """
    if not path.parent.is_dir():
        raise wrong_usage(f"{path}: there is no folder {path.parent} to write the report into")
    if path.is_dir():
        raise wrong_usage(f"{path}: it is a folder; name a file in it, such as {path / 'report.html'}")
    if path.is_file() and not _is_report(path):
        raise wrong_usage(f"{path}: there is a file that is no report of shoal compare; name another")


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return _MARK.encode() in file.read(_HEAD)


def report_page(run: Run, source: str) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    run, source
        The run, and where its points are from, as it is to be said.
    """
    template = Template(files(__package__).joinpath("report.html").read_text("utf-8"))
    return template.substitute(_parts(run, source))


def write_report(run: Run, source: str, path: Path) -> None:
    """Write the report of a run.

    Parameters
    ----------
    run, source
        The run, and where its points are from, as it is to be said.
    path
        Where `check_place` has found nothing against; an earlier report there is replaced.

    Raises
    ------
    CommandError
        If it can't be written.
    """
    try:
        path.write_text(report_page(run, source), "utf-8")
    except OSError as error:
        raise CommandError(f"{path}: the report can't be written: {error.strerror}") from error


def _parts(run: Run, source: str) -> dict[str, str]:
    libraries = [words_of(engine).library for engine in run.engines]
    plot = plot_of(run)
    return {
        "mark": _MARK,
        "light": LIGHT.css,
        "dark": DARK.css,
        "colours": stylesheet(),
        "shapes": definitions(),
        "title": escape(f"k-means by {listed(libraries)}, step by step"),
        "lead": escape(_lead(run, source)),
        "flow": flow(run),
        "panels": panels(run, plot),
        "axes": escape(_axes(run, len(plot.rows))),
        "table": execution(run),
        "tracker": tracker(run),
        "results": results(run),
        "agreements": agreements(run),
        "code": code(run),
        "moments": key_moments_list(run),
        "quiz": quiz(run),
        "snapshot": _items(snapshot_of(run)),
        "transcript": _items(transcript_of(run)),
        "notes": _items(notes_of(run)),
        # Within a script element `<` might end it.
        "steps": json.dumps(playable(run, plot), separators=(",", ":")).replace("<", "\\u003c"),
        "player": files(__package__).joinpath("player.js").read_text("utf-8"),
        "version": escape(version("shoal")),
    }


def _lead(run: Run, source: str) -> str:
    start = run.start
    return (
        f"{count_text(len(start.points), 'point')} of {source}, {count_text(len(start.initial_centroids), 'cluster')}: "
        "what each engine does at each step, why, and what it comes to."
    )


def _axes(run: Run, shown: int) -> str:
    all_of_them = len(run.start.points)
    some = "" if shown == all_of_them else f" {shown:,} of {all_of_them:,} points are drawn, evenly spaced rows."
    columns = run.start.points.shape[1]
    if columns > 2:  # noqa: PLR2004  (a plane)
        return f"Of {columns:,} columns the two principal components are drawn.{some}"
    return f"The same axes in every panel.{some}"


def _items(texts: tuple[str, ...]) -> str:
    return "".join(f"<li>{escape(text)}</li>" for text in texts)
