"""Colours and shapes of clusters. Either one distinguishes the first eight clusters; more need both."""

from __future__ import annotations

from math import cos, pi, sin

# Okabe and Ito, "Color universal design" (2008): told apart by the colour-blind. Grey in place of their black.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c8c8c", "#f0e442")
UNASSIGNED = -1  # in place of a cluster

_NAMES = ("blue", "orange", "green", "pink", "red", "light blue", "grey", "yellow")


def mark_of(cluster: int) -> tuple[int, int]:
    """Return the colour and the shape of a cluster, both from 0."""
    return cluster % len(COLOURS), (cluster + cluster // len(COLOURS)) % len(_SHAPES)


def mark_name(cluster: int) -> str:
    """Return a description of a cluster's mark."""
    colour, shape = mark_of(cluster)
    return f"{_NAMES[colour]} {list(_SHAPES)[shape]}"


def counts() -> dict[str, int]:
    """Return the numbers of colours and shapes, from which a script computes the mark of a cluster."""
    return {"colours": len(COLOURS), "shapes": len(_SHAPES)}


def use(cluster: int, x: float, y: float, size: float = 1.0) -> str:
    """Return a mark as SVG; a cluster below 0 is a point without a cluster."""
    colour, shape = mark_of(cluster) if cluster >= 0 else (0, 0)
    kind = f'class="c{colour}" data-c="{cluster}"' if cluster >= 0 else 'class="unassigned"'
    scale = "" if size == 1 else f" scale({size:g})"
    return f'<use {kind} href="#s{shape}" transform="translate({x:g} {y:g}){scale}"/>'


def stylesheet() -> str:
    """Return the colours as classes."""
    return " ".join(f".c{index} {{ fill: {colour}; stroke: {colour}; }}" for index, colour in enumerate(COLOURS))


def definitions() -> str:
    """Return the shapes for `use`, about 8 wide."""
    return "".join(f'<path id="s{index}" d="{path}"/>' for index, path in enumerate(_SHAPES.values()))


def _polygon(corners: int, radius: float, turned: float, inner: float | None = None) -> str:
    """Return a polygon; with an inner radius a star."""
    radii = (radius,) if inner is None else (radius, inner)
    n = corners * len(radii)
    angles = [turned + 2 * pi * index / n for index in range(n)]
    places = [(r * cos(a), r * sin(a)) for a, r in zip(angles, radii * corners, strict=True)]
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in places) + "Z"


def _cross(turned: float) -> str:
    outline = [
        (1, 4),
        (1, 1),
        (4, 1),
        (4, -1),
        (1, -1),
        (1, -4),
        (-1, -4),
        (-1, -1),
        (-4, -1),
        (-4, 1),
        (-1, 1),
        (-1, 4),
    ]
    places = [(x * cos(turned) - y * sin(turned), x * sin(turned) + y * cos(turned)) for x, y in outline]
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in places) + "Z"


_SHAPES = {
    "circle": "M-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0 -7.2 0Z",
    "square": _polygon(4, 4.5, pi / 4),
    "triangle": _polygon(3, 4.8, -pi / 2),
    "diamond": _polygon(4, 4.8, 0),
    "plus": _cross(0),
    "triangle on its tip": _polygon(3, 4.8, pi / 2),
    "star": _polygon(5, 5.2, -pi / 2, 2.2),
    "cross": _cross(pi / 4),
}
