"""The page that compares engines: one run, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np
from nicegui import background_tasks, ui
from numpy.typing import NDArray
from starlette.requests import Request

import shoal
import shoal.aio
from shoal_dashboard.error_banner import ErrorBanner
from shoal_dashboard.layout import has_connected, page_layout
from shoal_dashboard.pages.explanations import Explanations
from shoal_dashboard.pages.form import Form
from shoal_dashboard.pages.stage import StageView
from shoal_dashboard.parameters import Parameters
from shoal_dashboard.parsing import ParseError
from shoal_presentation.drawing import Scale
from shoal_presentation.report import player_parts
from shoal_presentation.views import Run

_PAUSE = 1.0  # seconds between two attempts, where the server doesn't say how many


def add_page(client: shoal.aio.Client) -> None:
    """Add the page, for a client of the server."""
    drawers = asyncio.Semaphore(1)  # to draw a long run takes memory and, for a second or so, a core

    @ui.page("/")
    async def compare(request: Request) -> None:
        with page_layout("Compare engines, step by step", "/", client.target):
            page = ComparePage(client, drawers, request.query_params)
        if await has_connected():
            page.begin(is_first=not request.query_params)


class ComparePage:
    """One visitor's comparison. It is cancelled when the visitor starts another or leaves.

    Parameters
    ----------
    client
        Of the server.
    drawers
        Held while a run is drawn.
    query
        The parameters in the page's link.
    """

    def __init__(self, client: shoal.aio.Client, drawers: asyncio.Semaphore, query: Mapping[str, str]) -> None:
        self._client, self._drawers = client, drawers
        self._visitor = ui.context.client
        self._shown: NDArray[np.generic] | None = None  # the points of the run that is shown
        self._task: asyncio.Task[None] | None = None
        with ui.element("div").classes("intro"):
            ui.html("K-means by several libraries, side by side", sanitize=False, tag="h1")
            ui.html(
                "All get the same points, first centroids and stopping rule. Each library computes its own steps.",
                sanitize=False,
                tag="p",
            )
        parameters, error = _read(query)
        self._form = Form(parameters, self.run)
        self._error_banner = ErrorBanner()
        self._error_banner.say(error)
        self._is_sound = not error
        self._stage = StageView(self._add_point)
        self._explanations = Explanations()

    def begin(self, *, is_first: bool) -> None:
        """Run the comparison in the link, unless the link is invalid."""
        self._visitor.on_delete(self._end)
        if self._is_sound:
            self.run(is_first=is_first)

    def run(self, *, is_first: bool = False, scale: Scale | None = None) -> None:
        """Cancel the running comparison, and run and show the one in the form."""
        self._end()
        self._task = background_tasks.create(self._compare_patiently(scale, is_first=is_first), name="comparison")

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _compare_patiently(self, scale: Scale | None, *, is_first: bool) -> None:
        """Compare; retry while the server is away, starting or busy."""
        with self._visitor:
            while True:
                try:
                    await self._compare(scale, is_first=is_first)
                except (ParseError, shoal.ShoalError) as error:
                    self._error_banner.say(str(error))
                    pause = _pause_after(error)
                    if pause is None:
                        return
                    await asyncio.sleep(pause)
                else:
                    return

    async def _compare(self, scale: Scale | None, *, is_first: bool) -> None:
        parameters = self._form.parameters()
        if missing := await asyncio.to_thread(parameters.missing_points):  # many rows take a while to read
            self._error_banner.say("")
            self._stage.show_points(parameters.own_points, missing)
            self._shown = parameters.own_points
            self._explanations.clear()
            return
        run = await _collect(self._client.compare(**parameters.request()))
        async with self._drawers:
            stage = await asyncio.to_thread(player_parts, run, scale)
        self._error_banner.say("")
        self._stage.show(run, stage, is_first=is_first)
        self._explanations.show(run)
        self._form.show(parameters.of_run(run.start.random_state), is_first=self._shown is None)
        self._shown = run.start.points

    def _add_point(self, x: float, y: float) -> None:
        """Compare again, with the point that the visitor clicked into the plot."""
        self._form.add_point(x, y, self._shown)
        self.run(scale=self._stage.scale)  # the clicked place must not move


def _pause_after(error: Exception) -> float | None:
    """Return after how many seconds to retry; None: a retry can't succeed."""
    if not isinstance(error, shoal.ShoalError):
        return None
    if isinstance(error, shoal.UnavailableError):
        return error.retry_after or _PAUSE
    return error.retry_after


def _read(query: Mapping[str, str]) -> tuple[Parameters, str]:
    try:
        return Parameters.of(dict(query)), ""
    except ParseError as error:
        return Parameters(), str(error)


async def _collect(comparison: shoal.aio.Comparison) -> Run:
    async with comparison:
        return Run.of(comparison, [step async for step in comparison])
