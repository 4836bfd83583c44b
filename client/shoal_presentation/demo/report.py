"""The report: one HTML file with its pictures inside, which opens without a network."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from PIL import Image

from shoal_presentation.demo.comparison import Standing, compare, few_digits
from shoal_presentation.demo.findings import findings
from shoal_presentation.demo.gallery import OFFLINE, ORIGINAL, save_pictures
from shoal_presentation.demo.looks import DARK, ENGINE_COLOURS, LIGHT
from shoal_presentation.demo.photograph import NAME
from shoal_presentation.demo.results import DemoResults, disagreement

_BESIDE_THE_PICTURE = 2  # findings that stand beside the offline fit's picture


def write_report(results: DemoResults, provenance: Mapping[str, str], folder: Path) -> Path:
    """Write the report and its pictures into a folder.

    Parameters
    ----------
    results
        What the demo measured.
    provenance
        What is said at the foot of the page: names and plain texts.
    folder
        An existing one; files of an earlier report are replaced.

    Returns
    -------
    Path
        The HTML file.
    """
    save_pictures(results, folder)
    template = Template(files(__package__).joinpath("report.html").read_text("utf-8"))
    page = folder / "report.html"
    page.write_text(template.substitute(_parts(results, provenance, folder)), "utf-8")
    return page


def _parts(results: DemoResults, provenance: Mapping[str, str], folder: Path) -> dict[str, str]:
    standings = compare(results)
    said = [f"<div><h3>{escape(title)}</h3><p>{escape(text)}</p></div>" for title, text in findings(results)]
    return {
        "light": LIGHT.css,
        "dark": DARK.css,
        "photograph": NAME,
        "pixels": f"{len(results.photograph.pixels):,}",
        "n_clusters": str(len(results.offline.centroids)),
        "batch_rows": f"{results.photograph.batch_rows:,}",
        "tiles": _tiles(results, standings),
        "pictures": _pictures(results, standings, folder),
        "inertia_plot": _plot("inertia", "Inertia per point by version, one curve an engine.", folder),
        "distance_plot": _plot("distance", "Distance travelled by version, one curve an engine.", folder),
        "table": _table(standings),
        "offline_picture": _fit_figure(standings[-1], OFFLINE, folder),
        "findings_beside": "".join(said[:_BESIDE_THE_PICTURE]),
        "findings": "".join(said[_BESIDE_THE_PICTURE:]),
        "provenance": "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in provenance.items()),
    }


def _tiles(results: DemoResults, standings: list[Standing]) -> str:
    *engines, _ = standings
    fastest = max(engines, key=lambda standing: standing.rows_per_second)
    worst = max(standing.ratio_to_offline for standing in engines)
    tiles = [
        (f"{sum(run.rows for run in results.runs):,}", "pixels pushed, all sessions together"),
        (f"{fastest.rows_per_second:,.0f}", f"rows per second, {fastest.fit}, beside the two others"),
        (f"{worst:.3f} ×", "the inertia of an offline fit"),
        (few_digits(disagreement(results.runs)), "of 255 levels: the most that engines differ in a centroid"),
        (f"{results.seconds:.0f} s", "from the server’s start to the last fit"),
    ]
    return "".join(f'<div class="tile"><b>{value}</b><span>{escape(label)}</span></div>' for value, label in tiles)


def _pictures(results: DemoResults, standings: list[Standing], folder: Path) -> str:
    colours = f"{results.photograph.n_colours:,} colours"
    original = _figure(ORIGINAL, "The photograph", colours, folder)
    return original + "".join(_fit_figure(standing, standing.fit, folder) for standing in standings[:-1])


def _fit_figure(standing: Standing, name: str, folder: Path) -> str:
    inertia = f"{standing.inertia_per_point:,.1f} inertia per point · {standing.ratio_to_offline:.3f} × offline"
    return _figure(name, standing.fit, inertia, folder)


def _figure(name: str, title: str, caption: str, folder: Path) -> str:
    picture = _image(folder / f"{name}.png", f"{title}: the picture")
    strip = _image(folder / f"{name}-palette.png", f"{title}: the palette, from dark to light", "strip")
    words = f"<figcaption><span>{_dot(name)}<b>{escape(title)}</b></span><span>{escape(caption)}</span></figcaption>"
    return f'<figure class="card">{picture}{strip}{words}</figure>'


def _plot(name: str, alt: str, folder: Path) -> str:
    dark, light = (folder / f"{name}-{look.name}.png" for look in (DARK, LIGHT))
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{_data_uri(dark)}">'
    return f"<picture>{source}{_image(light, alt)}</picture>"


def _image(path: Path, alt: str, css_class: str = "") -> str:
    with Image.open(path) as image:
        width, height = image.size
    kind = f' class="{css_class}"' if css_class else ""
    return f'<img{kind} src="{_data_uri(path)}" width="{width}" height="{height}" alt="{escape(alt)}">'


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _table(standings: list[Standing]) -> str:
    names = ("fit", "inertia", "inertia per point", "ratio to offline", "seconds", "rows/s", "largest disagreement")
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(_row(standing) for standing in standings)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(standing: Standing) -> str:
    differs = standing.largest_disagreement
    cells = (
        f"{_dot(standing.fit)}{escape(standing.fit)}",
        f"{standing.inertia:,.0f}",
        f"{standing.inertia_per_point:,.2f}",
        f"{standing.ratio_to_offline:.4f}",
        f"{standing.seconds:,.2f}",
        f"{standing.rows_per_second:,.0f}",
        "–" if differs is None else f"{few_digits(differs)} levels",
    )
    kind = ' class="offline"' if differs is None else ""
    return f"<tr{kind}>{_cells(cells)}</tr>"


def _cells(cells: Iterable[str]) -> str:
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _dot(name: str) -> str:
    return f'<i style="background: {ENGINE_COLOURS[name]}"></i>' if name in ENGINE_COLOURS else ""
