"""Colours that the colour-blind tell apart, and which always stand beside a number or a shape."""

from __future__ import annotations

# Okabe and Ito, "Color universal design" (2008), without black, which is the page's own.
CLUSTERS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
UNASSIGNED = "#8a97a3"


def cluster_colour(cluster: int) -> str:
    """Return the colour of a cluster; below 0: of a point that has none."""
    return CLUSTERS[cluster % len(CLUSTERS)] if cluster >= 0 else UNASSIGNED
