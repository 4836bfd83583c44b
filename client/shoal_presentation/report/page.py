"""The report: fills the views of a run into its HTML page."""

from __future__ import annotations

from dataclasses import fields
from html import escape
from importlib.metadata import version
from importlib.resources import files
from string import Template

from shoal_presentation.drawing import definitions
from shoal_presentation.report.player import player_parts, script, stylesheet
from shoal_presentation.report.tables import agreements, results
from shoal_presentation.report.text_views import key_moments_list, quiz
from shoal_presentation.views import Run, engine_text, key_facts_of, notes_of, transcript_of
from shoal_presentation.views.numbers import count_text, listed

MARK = '<meta name="generator" content="shoal compare">'


def report_page(run: Run, source: str) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    run, source
        The run, and where its points are from, as it is to be said.
    """
    template = Template(files(__package__).joinpath("report.html").read_text("utf-8"))
    return template.substitute(_parts(run, source))


def outcome_of(run: Run) -> str:
    """Return the results of each engine and the agreement of each pair, as HTML tables."""
    return results(run) + agreements(run)


def _parts(run: Run, source: str) -> dict[str, str]:
    stage = player_parts(run)
    libraries = [engine_text(engine).library for engine in run.engines]
    return {
        "mark": MARK,
        "styles": stylesheet(),
        "shapes": definitions(),
        "title": escape(f"k-means by {listed(libraries)}, step by step"),
        "lead": escape(_lead(run, source)),
        **{part.name: getattr(stage, part.name) for part in fields(stage)},
        "results": results(run),
        "agreements": agreements(run),
        "moments": key_moments_list(run),
        "quiz": quiz(run),
        "snapshot": _items(key_facts_of(run)),
        "transcript": _items(transcript_of(run)),
        "notes": _items(notes_of(run)),
        "player": script(),
        "version": escape(version("shoal")),
    }


def _lead(run: Run, source: str) -> str:
    start = run.start
    return (
        f"{count_text(len(start.points), 'point')} of {source}, {count_text(len(start.initial_centroids), 'cluster')}: "
        "what each engine does at each step, why, and what it comes to."
    )


def _items(texts: tuple[str, ...]) -> str:
    return "".join(f"<li>{escape(text)}</li>" for text in texts)
