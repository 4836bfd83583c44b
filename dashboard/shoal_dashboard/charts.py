"""Small charts as SVG: a line over time, and bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from shoal_presentation.drawing import COLOURS
from shoal_presentation.views.numbers import number_text

_WIDTH, _HEIGHT = 300.0, 84.0
_MAX_BARS = 64


def line_chart(title: str, values: Sequence[float], as_text: Callable[[float], str] = number_text) -> str:
    """Return values over time as a line, with the newest and the largest as text."""
    newest = as_text(values[-1]) if values else "–"
    top = max(values, default=0.0) or 1.0
    step = _WIDTH / max(len(values) - 1, 1)
    path = " ".join(
        f"{place * step:.1f},{_HEIGHT - value / top * (_HEIGHT - 6):.1f}" for place, value in enumerate(values)
    )
    label = escape(f"{title}: now {newest}, at most {as_text(max(values, default=0.0))}")
    return (
        f'<figure class="chart"><figcaption>{escape(title)} <b>{newest}</b></figcaption>'
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{label}" preserveAspectRatio="none">'
        f'<polyline points="{path}"/></svg></figure>'
    )


def bar_chart(title: str, values: Sequence[float]) -> str:
    """Return a numbered bar for each cluster; of very many clusters, for the first ones."""
    if len(values) > _MAX_BARS:
        title, values = f"{title} of the first {_MAX_BARS} of {len(values):,}", values[:_MAX_BARS]
    top = max(values, default=0.0) or 1.0
    bars = "".join(
        f'<li><span class="name">{cluster}</span><span class="bar" style="width: {value / top * 70:.1f}%; '
        f'background: {COLOURS[cluster % len(COLOURS)]}"></span><span class="value">{number_text(value)}</span></li>'
        for cluster, value in enumerate(values)
    )
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption><ol class="bars" start="0">{bars}</ol></figure>'
    )


def palette(colours: Sequence[Sequence[float]]) -> str:
    """Return colours (k, 3), 0 to 255, as swatches with their values."""
    swatches = []
    for cluster, colour in enumerate(colours):
        red, green, blue = (max(0, min(255, round(value))) for value in colour)
        text = f"#{red:02x}{green:02x}{blue:02x}"
        swatches.append(f'<li><span class="swatch" style="background: {text}"></span>{cluster} {text}</li>')
    return (
        f'<figure class="chart"><figcaption>Palette</figcaption><ol class="palette">{"".join(swatches)}</ol></figure>'
    )
