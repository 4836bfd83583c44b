"""Numbers and arrays as short texts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NONE = "–"

_DIGITS = 6
_MAX_DIGITS = 15  # beyond them there is rounding
_PLAIN = 1e15  # from here on numbers have an exponent
_PART = 1e-4  # of the extent of a column
_SHOWN = 12  # values of an array, before only the first and the last ones are


def centroids_text(centroids: NDArray[np.float64] | None, steps: NDArray[np.float64]) -> str:
    """Return centroids as ``[[5.5 3] [1 2]]``; with many of them the first and the last ones.

    Parameters
    ----------
    centroids, steps
        Shape (k, d), and (d,): what of each column can be told apart, as `steps_of` says.
    """
    if centroids is None:
        return NONE
    rows = [_row_text(row, steps) for row in (centroids if centroids.size <= _SHOWN else _ends(centroids))]
    if centroids.size > _SHOWN:
        rows.insert(1, "…")
    return f"[{' '.join(rows)}]"


def steps_of(points: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the smallest difference to show in each column of points (n, d), as (d,): a small part of its extent."""
    extent: NDArray[np.float64] = points.max(axis=0).astype(np.float64) - points.min(axis=0).astype(np.float64)
    return extent * _PART


def labels_text(labels: NDArray[np.int32] | None) -> str:
    """Return labels (n,) as ``[1 1 1 0 0 0]``; of many the first and the last ones."""
    if labels is None:
        return NONE
    if len(labels) <= 2 * _SHOWN:
        return f"[{' '.join(map(str, labels.tolist()))}]"
    first, last = labels[: _SHOWN // 2].tolist(), labels[-_SHOWN // 2 :].tolist()
    return f"[{' '.join(map(str, first))} … {' '.join(map(str, last))}]"


def number_text(value: float, step: float = 0.0) -> str:
    """Return a number with all digits before the point, and with 6 digits where they are significant.

    Parameters
    ----------
    value, step
        The number, and the least difference that is to be seen in it; 0: there is none in particular.
    """
    text = f"{value:.{_digits(value, step)}g}"
    if "e+" in text and abs(value) < _PLAIN:
        text = f"{value:.0f}"
    return "0" if text == "-0" else text


def count_text(number: int, thing: str) -> str:
    """Return how many there are: ``1 point``, ``2,000 points``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them: ``a``, ``a and b``, ``a, b and c``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _digits(value: float, step: float) -> int:
    if not value or not step:
        return _DIGITS
    needed = math.floor(math.log10(abs(value))) - math.floor(math.log10(step)) + 1
    return min(max(_DIGITS, needed), _MAX_DIGITS)


def _row_text(row: NDArray[np.float64], steps: NDArray[np.float64]) -> str:
    shown = [number_text(value, step) for value, step in zip(row.tolist(), steps.tolist(), strict=True)]
    if len(shown) > _SHOWN // 2:
        shown = [*shown[:2], "…", shown[-1]]
    return f"[{' '.join(shown)}]"


def _ends(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows[[0, -1]] if len(rows) > 1 else rows
