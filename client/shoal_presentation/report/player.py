"""The parts that the player keeps at the same step: flow, controls, panels, table, tracker and code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from shoal_presentation import drawing
from shoal_presentation.report.panels import panels
from shoal_presentation.report.player_steps import player_steps
from shoal_presentation.report.tables import execution, tracker
from shoal_presentation.report.text_views import code, flow
from shoal_presentation.views import Plot, Run, plot_of

_UNPLAYED = " The steps are too many to be played here: the drawings show how each engine ended."
_SPEEDS = {"slow": 2.0, "normal": 1.0, "fast": 0.35}  # seconds a step


@dataclass(frozen=True)
class PlayerParts:
    """The parts, each as HTML; the player finds them anywhere within one element."""

    flow: str
    controls: str  # hidden until the player is there
    panels: str
    axes: str  # what the panels show, in a sentence or two
    table: str
    tracker: str
    code: str
    steps: str  # what the player knows; nothing of it is seen
    scale: drawing.Scale  # of the panels


def player_parts(run: Run, scale: drawing.Scale | None = None) -> PlayerParts:
    """Return the parts for a run.

    Parameters
    ----------
    run, scale
        The run, and the scale to draw it by, if that holds everything.
    """
    plot = plot_of(run)
    if scale is None or not scale.holds(*plot.bounds):
        scale = drawing.scale_around(*plot.bounds)
    steps = player_steps(run, plot, scale)
    return PlayerParts(
        flow=f'<ol class="flow" aria-label="The flow of k-means">{flow(run)}</ol>',
        controls=_controls(len(steps)),
        panels=f'<div class="panels">{panels(run, plot, scale)}</div>',
        axes=escape(_axes(run, plot) + ("" if steps else _UNPLAYED)),
        table=execution(run),
        tracker=tracker(run),
        code=f'<pre class="scroll" role="region" aria-label="The program" tabindex="0"><code>{code(run)}</code></pre>',
        steps=_json(steps),
        scale=scale,
    )


def stylesheet() -> str:
    """Return the styles of the parts.

    The page gives the variables --surface, --text, --muted, --grid, --band, --accent, --lit and --lit-text.
    """
    return drawing.stylesheet() + files(__package__).joinpath("player.css").read_text("utf-8")


def script() -> str:
    """Return the script that plays the parts: ``shoalPlay(element)``."""
    return drawing.script() + files(__package__).joinpath("player.js").read_text("utf-8")


def _controls(count: int) -> str:
    buttons = "".join(
        f'<button type="button" data-go="{name}" aria-label="{label}" title="{label}{key}">{_icon(name)}</button>'
        for name, label, key in _BUTTONS
    )
    speeds = "".join(
        f'<option value="{seconds:g}"{" selected" if name == "normal" else ""}>{name}</option>'
        for name, seconds in _SPEEDS.items()
    )
    return (
        f'<div class="controls" role="group" aria-label="Play the steps" hidden>{buttons}'
        f'<input type="range" min="1" max="{count}" step="1" value="1" aria-label="Step">'
        f'<label>speed <select>{speeds}</select></label><output aria-live="polite"></output></div>'
    )


# The name that the player knows, the one that is read out, and the key that does the same.
_BUTTONS = (
    ("first", "First step", " (Home)"),
    ("back", "Step back", " (←)"),
    ("play", "Play", " (space)"),
    ("forward", "Step forward", " (→)"),
    ("last", "Last step", " (End)"),
)
_PATHS = {
    "first": ("M6 5h3v14H6zM20 5v14L10 12z",),
    "back": ("M17 5v14L7 12z",),
    "play": ("M7 5v14l12-7z", "M6 5h4v14H6zM14 5h4v14h-4z"),
    "forward": ("M7 5v14l10-7z",),
    "last": ("M15 5h3v14h-3zM4 5v14l10-7z",),
}


def _icon(name: str) -> str:
    paths = "".join(f'<path d="{path}"/>' for path in _PATHS[name])
    return f'<svg viewBox="0 0 24 24" aria-hidden="true">{paths}</svg>'


def _axes(run: Run, plot: Plot) -> str:
    points, (total, columns) = len(plot.rows), run.start.points.shape
    some = "" if points == total else f" {points:,} of {total:,} points are drawn, evenly spaced rows."
    if columns > 2:  # noqa: PLR2004  (a plane)
        return f"Of {columns:,} columns the two principal components are drawn.{some}"
    return f"The same axes in every panel.{some}"


def _json(steps: object) -> str:
    # In an element of text, not of a script: some pages take none from elsewhere. Neither `<` nor `&` is left in it.
    text = json.dumps(steps, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")
    return f'<div class="steps" hidden>{text}</div>'
