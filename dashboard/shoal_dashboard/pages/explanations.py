"""The sections below the panels: key moments, the quiz, results, notes, the transcript and downloads."""

from __future__ import annotations

import csv
import io
from html import escape
from itertools import product

from nicegui import ui

from shoal_presentation.report import outcome_of, report_page
from shoal_presentation.views import (
    Question,
    Run,
    engine_text,
    key_facts_of,
    key_moments,
    notes_of,
    quiz_of,
    rows_of,
    transcript_of,
)


class Explanations:
    """Shows a run in words."""

    def __init__(self) -> None:
        self._root = ui.element("div").classes("below")

    def clear(self) -> None:
        """Remove the sections."""
        self._root.clear()

    def show(self, run: Run) -> None:
        """Show the sections of a run, in place of those shown before."""
        self._root.clear()
        with self._root:
            with _section("Key moments"):
                for moment in key_moments(run):
                    ui.html(
                        f"<summary>{escape(moment.question)}</summary><p>{escape(moment.explanation)}</p>",
                        sanitize=False,
                        tag="details",
                    )
            with _section("Quiz"):
                for number, question in enumerate(quiz_of(run), 1):
                    _Asked(number, question)
            with _section("Results"):
                ui.html(outcome_of(run), sanitize=False)
            with _section("In short"):
                _list(key_facts_of(run), "ul")
            with _section("Notes"):
                _list(notes_of(run), "ul")
            with _section("Transcript"), ui.element("div").classes("scroll").props(_REGION):
                _list(transcript_of(run), "ol")
            with _section("Downloads"):
                self._downloads(run)

    def _downloads(self, run: Run) -> None:
        table, source = _csv(run), run.start.example or "your own points"
        report = ui.button("Report (HTML)").props("flat no-caps")
        report.on_click(lambda: ui.download.content(report_page(run, source), "comparison.html"))
        ui.button("Table (CSV)", on_click=lambda: ui.download.content(table, "steps.csv")).props("flat no-caps")
        for engine, kind in product(run.engines, ("svg", "png")):
            ui.button(
                f"Plot of {engine_text(engine).library} ({kind.upper()})",
                on_click=lambda engine=engine, kind=kind: ui.run_javascript(f"shoalSave({engine!r}, {kind!r})"),
            ).props("flat no-caps")


class _Asked:
    """A question of the quiz, with its options and hint."""

    def __init__(self, number: int, question: Question) -> None:
        self._question = question
        with ui.element("fieldset").classes("question"):
            ui.html(f"{number}. {escape(question.text)}", sanitize=False, tag="legend")
            with ui.element("div").classes("options"):
                self._options = [
                    ui.button(option, on_click=lambda place=place: self._answer(place), color=None).props(
                        "outline no-caps align=left"
                    )
                    for place, option in enumerate(question.options)
                ]
            hint = ui.button("Hint", on_click=lambda: self._say(question.hint)).props("flat dense no-caps")
            hint.props(f'aria-label="Hint for question {number}"')
            self._said = ui.label().classes("said").props('aria-live="polite"')

    def _answer(self, place: int) -> None:
        right = place == self._question.answer
        for option in self._options:
            option.classes(remove="right wrong")
        self._options[place].classes("right" if right else "wrong")
        self._say(f"Right. {self._question.explanation}" if right else "Not this one. Look at the steps again.")

    def _say(self, text: str) -> None:
        self._said.set_text(text)


_REGION = 'tabindex="0" role="region" aria-label="The transcript"'


def _csv(run: Run) -> str:
    written = io.StringIO()
    writer = csv.writer(written)
    names = [f"{engine_text(engine).library} {what}" for engine in run.engines for what in ("centroids", "labels")]
    writer.writerow(["step", "action", *names])
    for row in rows_of(run):
        cells = [text for cell in row.cells.values() for text in (cell.centroids, cell.labels)]
        writer.writerow([row.number, row.action, *cells])
    return written.getvalue()


def _section(title: str) -> ui.element:
    section = ui.element("section").classes("card")
    with section:
        ui.html(escape(title), sanitize=False, tag="h2")
    return section


def _list(lines: tuple[str, ...], tag: str) -> None:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    ui.html(items, sanitize=False, tag=tag).classes("lines")
