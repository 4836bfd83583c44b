"""The panels, one for each engine, with its last step; the player redraws them for other steps."""

from __future__ import annotations

from html import escape

import numpy as np

from shoal import CompareEngine
from shoal_presentation.drawing import Scale, draw, mark_name, panel_scene
from shoal_presentation.views import PanelState, Plot, Run, engine_text
from shoal_presentation.views.numbers import count_text

_MAX_TOLD = 20  # clusters of a drawing in words


def panels(run: Run, plot: Plot, scale: Scale) -> str:
    """Return the panels in the order of the engines."""
    return "".join(_panel(run, engine, plot, scale) for engine in run.engines)


def _panel(run: Run, engine: CompareEngine, plot: Plot, scale: Scale) -> str:
    state = plot.states[run.steps_of(engine)[-1].number]
    axes = (plot.axes[0].title, plot.axes[1].title)
    return (
        f'<figure class="card panel" data-engine="{escape(engine)}">'
        f'<figcaption><b>{escape(engine_text(engine).library)}</b><span class="state">as it ended</span></figcaption>'
        f"{draw(panel_scene(plot, state), scale, _alternative(run, engine, state), axes)}</figure>"
    )


def _alternative(run: Run, engine: CompareEngine, state: PanelState) -> str:
    """Return a description of the drawing for people who can't see it."""
    (result,) = (result for result in run.result.engines if result.engine == engine)
    counts = np.bincount(result.labels, minlength=len(result.centroids)).tolist()
    clusters = [
        f"cluster {colour}, {mark_name(colour)}: {count_text(count, 'point')}"
        for colour, count in zip(state.colours.tolist(), counts, strict=True)
    ]
    more = f"; and {len(clusters) - _MAX_TOLD:,} more" if len(clusters) > _MAX_TOLD else ""
    return f"{engine_text(engine).library}, as it ended: {'; '.join(clusters[:_MAX_TOLD])}{more}."
