"""A task that several viewers share; it runs as long as there are viewers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from nicegui import background_tasks


class Shared:
    """A task for several viewers.

    Parameters
    ----------
    work
        What it does, until it is cancelled.
    name
        For whoever looks at the tasks.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._work = work
        self._name = name
        self._viewers = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def is_used(self) -> bool:
        """Whether there are viewers."""
        return self._viewers > 0

    def enter(self) -> Callable[[], None]:
        """Add a viewer; return a function that removes the viewer (calling it again has no effect)."""
        self._viewers += 1
        if self._task is None or self._task.done():  # done: by a bug, which is in the log
            self._task = background_tasks.create(self._work(), name=self._name)
        left = False

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                self._leave()

        return leave

    def _leave(self) -> None:
        self._viewers -= 1
        if not self._viewers and self._task is not None:
            self._task.cancel()
            self._task = None
