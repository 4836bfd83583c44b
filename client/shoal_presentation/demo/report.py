"""The report: one HTML file with its pictures inside, which opens without a network."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from PIL import Image

from shoal_presentation.demo.comparison import FitSummary, compare
from shoal_presentation.demo.findings import findings, headline
from shoal_presentation.demo.image import NAME
from shoal_presentation.demo.overview import save_overview
from shoal_presentation.demo.pictures import as_colours, palette, save_picture, save_quantised, spectrum
from shoal_presentation.demo.plots import save_quality_plot
from shoal_presentation.demo.results import OFFLINE, PARTIAL_FIT, SHOAL, DemoResults, Fit
from shoal_presentation.demo.style import DARK, FIT_COLOURS, LIGHT

_ORIGINAL = "original"
_FILES = {
    PARTIAL_FIT: "partial_fit",
    SHOAL: "shoal",
    OFFLINE: "offline",
}  # names of the pictures, without their endings
_PLOT = (
    "Inertia per pixel of all pixels seen so far, over the stream: lines for partial_fit and Shoal, diamonds for "
    "offline fits of the same pixels. "
)


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
    _save_pictures(results, folder)
    template = Template(files(__package__).joinpath("report.html").read_text("utf-8"))
    page = folder / "report.html"
    page.write_text(template.substitute(_parts(results, provenance, folder)), "utf-8")
    return page


def _parts(results: DemoResults, provenance: Mapping[str, str], folder: Path) -> dict[str, str]:
    summaries = compare(results)
    said = [f"<div><h3>{escape(title)}</h3><p>{escape(text)}</p></div>" for title, text in findings(results)]
    return {
        "light": LIGHT.css,
        "dark": DARK.css,
        "photograph": NAME,
        "pixels": f"{len(results.photograph.pixels):,}",
        "n_clusters": str(len(results.offline.centroids)),
        "batch_rows": f"{results.photograph.batch_rows:,}",
        "tiles": _tiles(results),
        "pictures": _pictures(results, summaries, folder),
        "headline": escape(headline(results)),
        "plot": _plot("quality", f"{_PLOT}{headline(results)}.", folder),
        "table": _table(summaries),
        "findings": "".join(said),
        "provenance": "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in provenance.items()),
    }


def _tiles(results: DemoResults) -> str:
    shoal, partial_fit, rows = results.shoal.fit, results.partial_fit.fit, len(results.photograph.pixels)
    tiles = [
        (f"{results.ratio(shoal):.3f} ×", "the inertia of an offline fit: Shoal, one pass"),
        (f"{results.ratio(partial_fit):.2f} ×", "the same for partial_fit, one pass"),
        (f"{rows / shoal.seconds:,.0f}", "rows per second into Shoal, one batch in flight"),
        (f"{results.shoal.refinements}", f"refinements after {results.photograph.n_batches} batches"),
        (f"{results.seconds:.0f} s", "from the server’s start to the last measurement"),
    ]
    return "".join(f'<div class="tile"><b>{value}</b><span>{escape(label)}</span></div>' for value, label in tiles)


def _pictures(results: DemoResults, summaries: list[FitSummary], folder: Path) -> str:
    colours = f"{results.photograph.n_colours:,} colours"
    original = _figure(_ORIGINAL, "The photograph", colours, folder)
    return original + "".join(_fit_figure(summary, folder) for summary in summaries)


def _fit_figure(summary: FitSummary, folder: Path) -> str:
    inertia = f"{summary.inertia_per_point:,.1f} inertia per point · {summary.ratio_to_offline:.3f} × offline"
    return _figure(_FILES[summary.fit], summary.fit, inertia, folder)


def _figure(name: str, title: str, caption: str, folder: Path) -> str:
    picture = _image(folder / f"{name}.png", f"{title}: the picture")
    strip = _image(folder / f"{name}-palette.png", f"{title}: the palette, from dark to light", "strip")
    words = f"<figcaption><span>{_dot(title)}<b>{escape(title)}</b></span><span>{escape(caption)}</span></figcaption>"
    return f'<figure class="card">{picture}{strip}{words}</figure>'


def _plot(name: str, alt: str, folder: Path) -> str:
    dark, light = (folder / f"{name}-{style.name}.png" for style in (DARK, LIGHT))
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{_data_uri(dark)}">'
    return f"<picture>{source}{_image(light, alt)}</picture>"


def _image(path: Path, alt: str, css_class: str = "") -> str:
    with Image.open(path) as image:
        width, height = image.size
    kind = f' class="{css_class}"' if css_class else ""
    return f'<img{kind} src="{_data_uri(path)}" width="{width}" height="{height}" alt="{escape(alt)}">'


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _table(summaries: list[FitSummary]) -> str:
    names = ("fit", "inertia", "inertia per point", "ratio to offline", "seconds", "rows/s")
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(_row(summary) for summary in summaries)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(summary: FitSummary) -> str:
    cells = (
        f"{_dot(summary.fit)}{escape(summary.fit)}",
        f"{summary.inertia:,.0f}",
        f"{summary.inertia_per_point:,.2f}",
        f"{summary.ratio_to_offline:.4f}",
        f"{summary.seconds:,.2f}",
        f"{summary.rows_per_second:,.0f}",
    )
    kind = ' class="offline"' if summary.fit == OFFLINE else ""
    return f"<tr{kind}>{_cells(cells)}</tr>"


def _cells(cells: Iterable[str]) -> str:
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _dot(name: str) -> str:
    return f'<i style="background: {FIT_COLOURS[name]}"></i>' if name in FIT_COLOURS else ""


def _save_pictures(results: DemoResults, folder: Path) -> None:
    """Write NAME.png and NAME-palette.png of the photograph and every fit, and the plots in light and in dark."""
    photograph = results.photograph
    height, width, _ = photograph.picture.shape
    save_picture(photograph.picture, folder / f"{_ORIGINAL}.png")
    save_picture(spectrum(photograph.pixels), folder / f"{_ORIGINAL}-palette.png")
    for fit in results.fits:
        _save_fit(fit, folder / _FILES[fit.name], (height, width))
    for style in (LIGHT, DARK):
        save_quality_plot(results, style, folder / f"quality-{style.name}.png")
        save_overview(results, style, folder / f"overview-{style.name}.png")


def _save_fit(fit: Fit, stem: Path, shape: tuple[int, int]) -> None:
    colours = as_colours(fit.centroids)
    save_quantised(fit.labels.reshape(shape), colours, stem.with_name(f"{stem.name}.png"))
    save_quantised(palette(fit.centroids, fit.labels), colours, stem.with_name(f"{stem.name}-palette.png"))
