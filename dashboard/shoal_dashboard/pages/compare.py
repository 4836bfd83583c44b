"""The comparison: one run, read in nine ways, step by step."""

from __future__ import annotations

from typing import Any

from nicegui import events, ui
from starlette.requests import Request

import shoal
import shoal.aio
from shoal.views import Run
from shoal_dashboard.frame import page_frame
from shoal_dashboard.pages.asking import Form
from shoal_dashboard.pages.reading import Reading
from shoal_dashboard.pages.showing import Stage
from shoal_dashboard.parameters import Parameters
from shoal_dashboard.texts import TextError


def add_page(client: shoal.aio.Client) -> None:
    """Add the page, for a client of the server."""

    @ui.page("/")
    async def compare(request: Request) -> None:
        page = ComparePage(client)
        with page_frame("Compare engines, step by step", "/", client.target):
            page.build(request.query_params)
        await ui.context.client.connected()
        await page.begin(play=not request.query_params)


class ComparePage:
    """One visitor's comparison.

    Parameters
    ----------
    client
        Of the server.
    """

    def __init__(self, client: shoal.aio.Client) -> None:
        self._client = client

    def build(self, query: Any) -> None:
        """Draw the page for what a link says."""
        ui.html("K-means by several libraries, side by side", sanitize=False, tag="h1")
        ui.html(
            "The same points and the same first centroids go through each library. Every step is the library's own.",
            sanitize=False,
            tag="p",
        ).classes("lead")
        parameters, trouble = _read(query)
        self._form = Form(parameters, self.run)
        self._trouble = ui.html(trouble, sanitize=True, tag="p").classes("trouble").props('role="alert"')
        self._trouble.set_visibility(bool(trouble))
        self._is_sound = not trouble
        self._stage = Stage(on_point=self._form.add_point)
        self._reading = Reading(self._stage.drawing)
        ui.keyboard(on_key=self._on_key)

    async def begin(self, *, play: bool) -> None:
        """Run what the link says, unless it can't be read."""
        if self._is_sound:
            await self.run()
        if play:
            self._stage.player.toggle()

    async def run(self) -> None:
        """Run the comparison that the form asks for, and show it."""
        self._say("")
        try:
            parameters = self._form.parameters()
            run = await _collect(self._client.compare(**parameters.request()))
        except (TextError, shoal.ShoalError) as error:
            self._say(str(error))
            return
        self._stage.show(run)
        self._reading.show(run)
        self._form.link_to(parameters)

    def _say(self, trouble: str) -> None:
        self._trouble.set_content(trouble)
        self._trouble.set_visibility(bool(trouble))

    def _on_key(self, event: events.KeyEventArguments) -> None:
        if not event.action.keydown:
            return
        player = self._stage.player
        if event.key.arrow_left:
            player.go_to(player.place - 1)
        elif event.key.arrow_right:
            player.go_to(player.place + 1)
        elif event.key.home:
            player.go_to(0)
        elif event.key.end:
            player.go_to(player.count - 1)
        elif event.key.space:
            player.toggle()


def _read(query: Any) -> tuple[Parameters, str]:
    try:
        return Parameters.of(dict(query)), ""
    except TextError as error:
        return Parameters(), str(error)


async def _collect(comparison: shoal.aio.Comparison) -> Run:
    async with comparison:
        return Run.of(comparison, [step async for step in comparison])
