"""The demo's report: its contents, and that its sentences follow the figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shoal_presentation.demo.findings import findings, headline
from shoal_presentation.demo.pictures import PALETTE_SHAPE
from shoal_presentation.demo.report import write_report
from shoal_presentation.demo.results import OFFLINE, PARTIAL_FIT, SHOAL, DemoResults, Moment
from tests.cli.demo_builders import centroids, demo_results
from tests.cli.html_page import Page, page, size

FITS = (PARTIAL_FIT, SHOAL, OFFLINE)
SIZE = (80, 54)  # china.jpg, every eighth pixel


@pytest.fixture(scope="module")
def results() -> DemoResults:
    return demo_results(partial_fit=centroids()[::-1] / 2, shoal=centroids())


@pytest.fixture(scope="module")
def folder(results: DemoResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("report")
    write_report(results, {"On": "<a machine> & more"}, where)
    return where


@pytest.fixture(scope="module")
def report(folder: Path) -> Page:
    return page(folder / "report.html")


def test_the_photograph_and_every_fit_are_embedded_in_full_size(report: Page) -> None:
    for title in ("The photograph", *FITS):
        assert size(report.pictures[f"{title}: the picture"]) == SIZE
        assert size(report.pictures[f"{title}: the palette, from dark to light"]) == PALETTE_SHAPE[::-1]


def test_the_plot_is_embedded_in_light_and_in_dark(report: Page) -> None:
    plots = [address for address in report.addresses if size(address)[0] > 1000]

    assert len(plots) == 2
    assert len(set(plots)) == 2


def test_the_demo_report_fetches_nothing(folder: Path, report: Page) -> None:
    text = (folder / "report.html").read_text("utf-8")

    assert all(address.startswith("data:image/png;base64,") for address in report.addresses)
    assert not any(word in text for word in ("http:", "https:", "url(", "@import", "<script"))


def test_the_table_compares_each_pass_with_the_offline_fit(report: Page, results: DemoResults) -> None:
    heading, *rows = report.rows

    assert heading[1:4] == ["inertia", "inertia per point", "ratio to offline"]
    assert [row[0] for row in rows] == list(FITS)
    assert rows[1][3] == f"{results.shoal.fit.inertia / results.offline.inertia:.4f}"
    assert rows[-1][3] == "1.0000"


def test_the_plot_says_its_finding_in_words(report: Page, results: DemoResults) -> None:
    ratios = [fit.inertia / results.offline.inertia for fit in (results.shoal.fit, results.partial_fit.fit)]

    said = f"Shoal has {ratios[0]:.2f} times the inertia of an offline fit, partial_fit {ratios[1]:.2f} times"
    assert headline(results) == f"After one pass {said}"
    assert any(said in words for words in report.words)
    assert [alt for alt in report.pictures if said in alt]


def test_provenance_is_escaped(folder: Path, report: Page) -> None:
    assert "<a machine> & more" in "".join(report.words)
    assert "<a machine>" not in (folder / "report.html").read_text("utf-8")


def test_the_report_follows_the_preferred_colour_scheme(folder: Path) -> None:
    text = (folder / "report.html").read_text("utf-8")

    assert "@media (prefers-color-scheme: dark)" in text
    assert '<source media="(prefers-color-scheme: dark)"' in text


def test_the_pictures_are_also_files_beside_the_report(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}

    fits = {
        f"{name}{kind}.png" for name in ("original", "offline", "partial_fit", "shoal") for kind in ("", "-palette")
    }
    plots = {f"{name}-{style}.png" for name in ("quality", "overview") for style in ("light", "dark")}
    assert names == {"report.html", *fits, *plots}


def test_a_quantised_picture_has_the_colour_of_its_centroid_in_every_pixel(folder: Path, results: DemoResults) -> None:
    with Image.open(folder / "shoal.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)

    fit = results.shoal.fit
    assert np.array_equal(pixels, np.round(fit.centroids)[fit.labels])


def test_colours_of_a_palette_are_as_wide_as_they_are_frequent(folder: Path, results: DemoResults) -> None:
    with Image.open(folder / "shoal-palette.png") as image:
        row = np.asarray(image.convert("RGB"))[0]

    fit = results.shoal.fit
    shares = np.bincount(fit.labels) / len(fit.labels)
    widths = [np.all(row == colour, axis=1).mean() for colour in np.round(fit.centroids)]
    assert np.allclose(widths, shares, atol=1 / PALETTE_SHAPE[1])


def test_findings_say_how_far_each_pass_is_from_the_offline_fit(results: DemoResults) -> None:
    text = dict(findings(results))["Is one pass enough?"]

    shoal, partial_fit = (one.fit.inertia / results.offline.inertia for one in (results.shoal, results.partial_fit))
    assert f"{shoal - 1:.1%} above the inertia of an offline fit" in text
    assert f"{partial_fit:.2f} times the offline fit’s inertia" in text
    assert "local optimum" not in text


def test_findings_explain_a_pass_better_than_the_offline_fit(results: DemoResults) -> None:
    worse = replace(results.offline, inertia=results.shoal.fit.inertia / 0.98)

    text = dict(findings(replace(results, offline=worse)))["Is one pass enough?"]

    assert "2.0% below the inertia of an offline fit" in text
    assert "local optimum" in text


def test_findings_say_how_good_the_centroids_were_at_every_offline_fit(results: DemoResults) -> None:
    curves = {
        OFFLINE: (Moment(10, 2.0), Moment(20, 4.0), Moment(30, 8.0)),
        PARTIAL_FIT: (Moment(10, 20.0), Moment(20, 12.0), Moment(30, 32.0)),
        SHOAL: (Moment(15, 100.0), Moment(20, 9.0), Moment(20, 5.0, refined=True), Moment(30, 8.08)),
    }

    text = dict(findings(replace(results, curves=curves)))["And before the end?"]

    assert "Shoal had 1.01 to 1.25 times" in text  # at the newest version of that moment, where the watcher got one
    assert "partial_fit 3.00 to 10.00 times" in text


def test_findings_count_the_colours_of_the_sky(results: DemoResults) -> None:
    labels = results.shoal.fit.labels.copy()
    labels[:] = 3
    labels[:100], labels[100:200] = 0, 1
    fit = replace(results.shoal.fit, labels=labels)

    text = dict(findings(replace(results, shoal=replace(results.shoal, fit=fit))))["What does partial_fit do?"]

    assert "; 2 of Shoal’s" in text


def test_findings_count_refinements_and_the_versions_that_the_watcher_got(results: DemoResults) -> None:
    missed = demo_results(partial_fit=centroids(), shoal=centroids(), missed=4)

    all_seen, some_missed = (dict(findings(each))["What does Shoal do instead?"] for each in (results, missed))

    assert "after 11 of 23 batches" in all_seen
    assert all_seen.endswith("The watcher was sent 23 of 23 versions.")
    assert "The watcher was sent 19 of 23 versions; those that are published together" in some_missed
