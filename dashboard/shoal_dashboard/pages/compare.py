"""The comparison: one run, read in nine ways, step by step."""

from __future__ import annotations

import asyncio
from typing import Any

from nicegui import ui
from starlette.requests import Request

import shoal
import shoal.aio
from shoal.report import stage_of
from shoal.views import Run
from shoal_dashboard.frame import page_frame
from shoal_dashboard.pages.asking import Form
from shoal_dashboard.pages.reading import Reading
from shoal_dashboard.pages.stage import StageView
from shoal_dashboard.parameters import Parameters
from shoal_dashboard.texts import TextError

_PAUSE = 1.0  # seconds between two attempts when the server is away


def add_page(client: shoal.aio.Client) -> None:
    """Add the page, for a client of the server."""

    @ui.page("/")
    async def compare(request: Request) -> None:
        page = ComparePage(client)
        with page_frame("Compare engines, step by step", "/", client.target):
            page.build(request.query_params)
        await ui.context.client.connected()
        await page.begin(is_first=not request.query_params)


class ComparePage:
    """One visitor's comparison.

    Parameters
    ----------
    client
        Of the server.
    """

    def __init__(self, client: shoal.aio.Client) -> None:
        self._client = client
        self._run: Run | None = None

    def build(self, query: Any) -> None:
        """Draw the page for what a link says."""
        with ui.element("div").classes("intro"):
            ui.html("K-means by several libraries, side by side", sanitize=False, tag="h1")
            ui.html(
                "The same points, first centroids and stopping rule for each; every step is the library's own.",
                sanitize=False,
                tag="p",
            )
        parameters, trouble = _read(query)
        self._form = Form(parameters, self.run)
        self._trouble = ui.html(trouble, sanitize=True, tag="p").classes("trouble").props('role="alert"')
        self._trouble.set_visibility(bool(trouble))
        self._is_sound = not trouble
        self._stage = StageView(self._add_point)
        self._reading = Reading()

    async def begin(self, *, is_first: bool) -> None:
        """Run what the link says, unless it can't be read; if the server is away or starting, when it is there."""
        while self._is_sound and self._run is None:
            try:
                await self._compare(is_first=is_first)
            except shoal.UnavailableError as error:
                self._say(str(error))
                await asyncio.sleep(_PAUSE)
            except (TextError, shoal.ShoalError) as error:
                self._say(str(error))
                return

    async def run(self) -> None:
        """Run the comparison that the form asks for, and show it."""
        try:
            await self._compare(is_first=False)
        except (TextError, shoal.ShoalError) as error:
            self._say(str(error))

    async def _compare(self, *, is_first: bool) -> None:
        self._say("")
        parameters = self._form.parameters()
        if missing := await asyncio.to_thread(parameters.missing_points):  # many rows take a while to read
            self._stage.show_points(parameters.own_points, missing)
            self._reading.clear()
            return
        run = await _collect(self._client.compare(**parameters.request()))
        self._stage.show(run, await asyncio.to_thread(stage_of, run), is_first=is_first)
        self._run = run
        self._reading.show(run)
        self._form.link_to(parameters)

    async def _add_point(self, x: float, y: float) -> None:
        """Compare once more, with a point that was clicked into the plot."""
        self._form.add_point(x, y, None if self._run is None else self._run.start.points)
        await self.run()

    def _say(self, trouble: str) -> None:
        self._trouble.set_content(trouble)
        self._trouble.set_visibility(bool(trouble))


def _read(query: Any) -> tuple[Parameters, str]:
    try:
        return Parameters.of(dict(query)), ""
    except TextError as error:
        return Parameters(), str(error)


async def _collect(comparison: shoal.aio.Comparison) -> Run:
    async with comparison:
        return Run.of(comparison, [step async for step in comparison])
