"""The colours of the demo's plots and of its page, in light and in dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shoal_presentation.demo.results import PARTIAL_FIT, SHOAL


@dataclass(frozen=True)
class Style:
    """A colour scheme."""

    name: str
    page: str
    surface: str
    text: str
    muted: str
    grid: str
    band: str

    @property
    def rc(self) -> Any:
        """As settings of matplotlib, whose stubs want each name as a literal."""
        return {
            "font.family": "DejaVu Sans",
            "font.size": 10,
            "figure.facecolor": self.surface,
            "savefig.facecolor": self.surface,
            "axes.facecolor": self.surface,
            "axes.edgecolor": self.grid,
            "axes.labelcolor": self.muted,
            "axes.titlecolor": self.text,
            "axes.titlesize": 11,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": self.grid,
            "grid.linewidth": 0.7,
            "text.color": self.text,
            "xtick.color": self.muted,
            "ytick.color": self.muted,
            "legend.frameon": False,
        }

    @property
    def css(self) -> str:
        """As variables of a stylesheet."""
        names = ("page", "surface", "text", "muted", "grid", "band")
        colours = {name: getattr(self, name) for name in names} | {"accent": SHOAL_COLOUR}
        return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


LIGHT = Style("light", "#f6f8fa", "#ffffff", "#17212b", "#5b6b7a", "#e3e8ed", "#f3f6f9")
DARK = Style("dark", "#0e141a", "#151c24", "#e8eef4", "#93a3b3", "#2b3642", "#1b242e")

# Far apart for the colour-blind too, and at least 3 : 1 on both surfaces; lines are also named where they end.
SHOAL_COLOUR, PARTIAL_FIT_COLOUR = "#0d9488", "#e0640b"
FIT_COLOURS = {SHOAL: SHOAL_COLOUR, PARTIAL_FIT: PARTIAL_FIT_COLOUR}
