"""From the plot's coordinates to those of the drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.views import Plot

WIDTH = 520
_LEAST, _MOST = 240, 460  # height of the drawing
_MARGIN = np.array([54.0, 34.0])  # left and below: ticks and names
_EDGE = 16.0  # right and above


@dataclass(frozen=True, eq=False)
class Scale:
    """Where a place of the plot is in the drawing."""

    height: int
    low: NDArray[np.float64]  # (2,)
    factor: NDArray[np.float64]  # (2,)

    def place(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return places (s, 2) of the plot in the drawing, whose y grows downwards."""
        across = _MARGIN[0] + (places[:, 0] - self.low[0]) * self.factor[0]
        down = self.height - _MARGIN[1] - (places[:, 1] - self.low[1]) * self.factor[1]
        return np.column_stack([across, down])

    @property
    def frame(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of the area within the axes."""
        left, bottom = float(_MARGIN[0]), float(_MARGIN[1])
        return left, _EDGE, WIDTH - left - _EDGE, self.height - bottom - _EDGE


def scale_of(plot: Plot) -> Scale:
    """Return the scale for everything that a run shows: equal on both axes, unless it is very wide or high."""
    low, high = plot.bounds
    extent = high - low
    # Where all is on a line, or at one place, there is no extent of its own to fill the drawing with.
    extent = np.where(extent > 0, extent, max(float(extent.max()) / 4, float(np.abs(high).max()) * 1e-3) or 1.0)
    middle, extent = low / 2 + high / 2, extent * 1.12
    inner = WIDTH - _MARGIN[0] - _EDGE
    height = round(float(np.clip(inner * extent[1] / extent[0] + _MARGIN[1] + _EDGE, _LEAST, _MOST)))
    factor = np.array([inner, height - _MARGIN[1] - _EDGE]) / extent
    return Scale(height, middle - extent / 2, factor)


def ticks(low: float, high: float) -> list[float]:
    """Return three to seven round numbers between low and high."""
    step = 10.0 ** math.floor(math.log10((high - low) / 3))
    step *= max(times for times in (1, 2, 5, 10) if times * step <= (high - low) / 3)
    first = math.ceil(low / step)
    return [place * step for place in range(first, math.floor(high / step) + 1)]
