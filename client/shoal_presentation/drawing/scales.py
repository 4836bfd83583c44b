"""Conversion between the plot's coordinates and the drawing's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTH = 520
_LEAST, _MOST = 240, 460  # height of the drawing
_MARGIN = np.array([54.0, 34.0])  # left and below: ticks and names
_EDGE = 16.0  # right and above
_ROOM = 1.12  # times the extent of what is shown
_FINEST = 1e-300  # extent: what is closer together is drawn at one place, or the factor would be infinite

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scale:
    """Converts positions of the plot to positions in the drawing, and back."""

    height: int
    low: Points  # (2,), of the area within the axes
    factor: Points  # (2,)

    @property
    def plot_area(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of the area within the axes."""
        left, bottom = float(_MARGIN[0]), float(_MARGIN[1])
        return left, _EDGE, WIDTH - left - _EDGE, self.height - bottom - _EDGE

    @property
    def high(self) -> Points:
        """The upper corner of the area within the axes, (2,)."""
        corner: Points = self.low + np.array(self.plot_area[2:]) / self.factor
        return corner

    def to_drawing(self, places: Points) -> Points:
        """Return places (s, 2) of the plot in the drawing, whose y grows downwards."""
        across = _MARGIN[0] + (places[:, 0] - self.low[0]) * self.factor[0]
        down = self.height - _MARGIN[1] - (places[:, 1] - self.low[1]) * self.factor[1]
        return np.column_stack([across, down])

    def to_plot(self, across: float, down: float) -> tuple[float, float]:
        """Return the position in the plot of a position in the drawing."""
        inside = np.array([across - _MARGIN[0], self.height - _MARGIN[1] - down])
        x, y = (self.low + inside / self.factor).tolist()
        return x, y

    def holds(self, low: Points, high: Points) -> bool:
        """Return whether the rectangle from low to high (2,) is within the axes."""
        return bool((low >= self.low).all() and (high <= self.high).all())

    def serves(self, low: Points, high: Points) -> bool:
        """Return whether the rectangle from low to high (2,) fits into the scale and fills at least half of it."""
        return self.holds(low, high) and bool((high - low >= 0.5 * (self.high - self.low)).all())


def scale_around(low: Points, high: Points, height: int | None = None) -> Scale:
    """Return the scale for everything between low and high (2,), with a margin.

    Parameters
    ----------
    low, high
        The least and the greatest of both coordinates.
    height
        Of the drawing. None: the one with which both axes have the same scale, unless it were very wide or high.
    """
    extent = high - low
    # Where all is on a line, or at one place, there is no extent of its own to fill the drawing with.
    extent = np.where(extent > 0, extent, max(float(extent.max()) / 4, float(np.abs(high).max()) * 1e-3) or 1.0)
    middle, extent = low / 2 + high / 2, np.maximum(extent, _FINEST) * _ROOM
    width = WIDTH - _MARGIN[0] - _EDGE
    if height is None:
        height = round(float(np.clip(width * extent[1] / extent[0] + _MARGIN[1] + _EDGE, _LEAST, _MOST)))
    inner = np.array([width, height - _MARGIN[1] - _EDGE])
    return Scale(height, middle - extent / 2, inner / extent)


def ticks(low: float, high: float) -> list[float]:
    """Return three to eight round numbers between low and high."""
    step = tick_step(low, high)
    return [index * step for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


def tick_step(low: float, high: float) -> float:
    """Return the distance between the round numbers from low to high."""
    third = (high - low) / 3
    power = 10.0 ** math.floor(math.log10(third))
    # Half of it where the logarithm has been rounded up to a whole one.
    return power * max(times for times in (0.5, 1, 2, 5, 10) if times * power <= third)
