"""The card that tries other numbers of clusters, draws what each of them gives, and suggests one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nicegui import background_tasks, ui

import shoal
import shoal.aio
from shoal_dashboard.curves import Candidate, draw_curves, table_of
from shoal_dashboard.error_banner import ErrorBanner
from shoal_dashboard.parsing import ParseError
from shoal_presentation.views.numbers import count_text

_FIRST, _LAST = 2, 20
_MAX_NUMBERS = 256  # that the server takes at once


class SuggestionCard:
    """Two fields, a button, and the curves over the numbers of clusters between them.

    Parameters
    ----------
    session
        Whose summary other numbers of clusters are fitted to. The session itself stays as it is.
    error_banner
        Shows the server's errors.
    use
        Takes the suggested number when the visitor wants it.
    """

    def __init__(self, session: shoal.aio.Session, error_banner: ErrorBanner, use: Callable[[int], None]) -> None:
        self._session, self._error_banner, self._use = session, error_banner, use
        self._task: asyncio.Task[None] | None = None
        self._suggested: int | None = None
        with ui.element("section").classes("card"):
            ui.html("How many clusters?", sanitize=False, tag="h2")
            with ui.element("div").classes("form"):
                self._first = ui.number("From", value=_FIRST, min=1, step=1, format="%d").classes("number")
                self._last = ui.number("To", value=_LAST, min=1, step=1, format="%d").classes("number")
                self._try = ui.button("Compare", on_click=self._begin, color=None).props("outline no-caps")
                self._stop = ui.button("Stop", on_click=self._stop_it, color=None).props("flat no-caps")
                self._take = ui.button("Use it", on_click=self._take_it, color=None).props("unelevated no-caps")
            self._take.classes("primary")
            self._status = ui.label().props('role="status"')
            self._curves = ui.html("", sanitize=False).classes("charts")
            self._numbers = ui.element("details").classes("numbers")
        with self._numbers:
            ui.html("The figures of each number of clusters", sanitize=False, tag="summary")
            with ui.element("div").classes("scroll").props('tabindex="0" role="region" aria-label="Figures"'):
                self._table = ui.html("", sanitize=False)
        self._numbers.set_visibility(False)
        self._show_buttons(is_busy=False)

    def stop(self) -> None:
        """Cancel what is being computed, on the server too; shows nothing, as the visitor may have left."""
        if self._task is not None:
            self._task.cancel()

    def _stop_it(self) -> None:
        self.stop()
        self._status.set_text("")
        self._show_buttons(is_busy=False)

    def _begin(self) -> None:
        if self._task is not None and not self._task.done():
            return  # it is a double click
        with self._error_banner.catch_errors():
            numbers = _range_of(self._first.value, self._last.value)
            self._suggested = None
            self._curves.set_content("")
            self._numbers.set_visibility(False)
            self._show_buttons(is_busy=True)
            self._task = background_tasks.create(self._compare(numbers), name="numbers of clusters")

    async def _compare(self, numbers: range) -> None:
        found: list[Candidate] = []

        def show(clustering: shoal.Clustering) -> None:
            found.append(Candidate.of(clustering))
            self._status.set_text(f"k = {clustering.n_clusters:,}: {len(found):,} of {len(numbers):,}")
            self._curves.set_content(draw_curves(found))

        self._status.set_text(f"Comparing {count_text(len(numbers), 'number')} of clusters …")
        conclusion = ""
        with self._error_banner.catch_errors():
            result = await self._session.recluster(numbers, progress=show)
            self._suggested, conclusion = result.suggested, _conclusion(result)
            self._curves.set_content(draw_curves(found, result.suggested))
            self._table.set_content(table_of(found, result.suggested))
            self._numbers.set_visibility(True)
        self._status.set_text(conclusion)
        self._show_buttons(is_busy=False)

    def _take_it(self) -> None:
        if self._suggested is not None:
            self._use(self._suggested)

    def _show_buttons(self, *, is_busy: bool) -> None:
        self._try.set_visibility(not is_busy)
        self._stop.set_visibility(is_busy)
        self._take.set_visibility(self._suggested is not None and not is_busy)
        if self._suggested is not None:
            self._take.set_text(f"Use k = {self._suggested:,}")


def _range_of(first: float | None, last: float | None) -> range:
    if first is None or last is None:
        raise ParseError("the numbers of clusters to compare must be whole numbers, such as from 2 to 20")
    if first > last:
        raise ParseError(f"from is {first:g} and to is {last:g}; from can't be larger")
    if last - first >= _MAX_NUMBERS:
        raise ParseError(f"from {first:g} to {last:g} are too many; {_MAX_NUMBERS} at most can be compared at once")
    return range(int(first), int(last) + 1)


def _conclusion(result: shoal.Reclustering) -> str:
    reason = result.reason
    based = f"By the summary at version {result.version:,}: {count_text(result.summary_points, 'point')}"
    if result.suggested is None:
        return f"{reason[:1].upper()}{reason[1:]}. {based}."
    return f"{count_text(result.suggested, 'cluster')}: {reason}. {based}."
