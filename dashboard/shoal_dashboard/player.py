"""Which step of a run is shown, and how it goes on."""

from __future__ import annotations

from collections.abc import Callable

SPEEDS = {"slow": 2.0, "normal": 1.0, "fast": 0.35}  # seconds a step


class Player:
    """A place among some steps, that moves by itself while it plays.

    Parameters
    ----------
    on_change
        Called after each move, and when playing begins or ends.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self.count = 0
        self.place = 0
        self.playing = False

    @property
    def is_at_end(self) -> bool:
        """Whether there is no further step."""
        return self.place >= self.count - 1

    def load(self, count: int) -> None:
        """Begin anew with so many steps."""
        self.count, self.place, self.playing = count, 0, False
        self._on_change()

    def go_to(self, place: int) -> None:
        """Show a step; outside of what there is, the first or the last one."""
        wanted = max(0, min(place, self.count - 1))
        if wanted != self.place:
            self.place = wanted
            self.playing = self.playing and not self.is_at_end
            self._on_change()

    def toggle(self) -> None:
        """Play, from the beginning if the end is reached; or pause."""
        if self.count < 2:  # noqa: PLR2004  (with one step there is nothing to play)
            return
        self.playing = not self.playing
        if self.playing and self.is_at_end:
            self.place = 0
        self._on_change()

    def tick(self) -> None:
        """Go on by one, if it plays."""
        if self.playing:
            self.go_to(self.place + 1)
