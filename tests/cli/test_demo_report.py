"""The demo's report: its contents, and that its sentences follow the figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shoal_presentation.demo.comparison import compare, few_digits
from shoal_presentation.demo.findings import findings
from shoal_presentation.demo.pictures import PALETTE_SHAPE
from shoal_presentation.demo.report import write_report
from shoal_presentation.demo.results import DemoResults, differing_labels, disagreement, distance_travelled
from tests.cli.demo_builders import centroids, demo_results
from tests.cli.html_page import Page, page, size

ENGINES = ("numba", "sklearn", "scipy")
SIZE = (80, 54)  # china.jpg, every eighth pixel


@pytest.fixture(scope="module")
def results() -> DemoResults:
    return demo_results({"numba": centroids(), "sklearn": centroids() + 1e-5, "scipy": centroids() - 1e-5})


@pytest.fixture(scope="module")
def folder(results: DemoResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("report")
    write_report(results, {"On": "<a machine> & more"}, where)
    return where


@pytest.fixture(scope="module")
def report(folder: Path) -> Page:
    return page(folder / "report.html")


def test_the_photograph_and_every_fit_are_embedded_in_full_size(report: Page) -> None:
    for title in ("The photograph", *ENGINES, "offline KMeans"):
        assert size(report.pictures[f"{title}: the picture"]) == SIZE
        assert size(report.pictures[f"{title}: the palette, from dark to light"]) == PALETTE_SHAPE[::-1]


def test_the_plots_are_embedded_in_light_and_in_dark(report: Page) -> None:
    plots = [address for address in report.addresses if size(address)[0] > 1000]

    assert len(plots) == 4
    assert len(set(plots)) == 4


def test_the_demo_report_fetches_nothing(folder: Path, report: Page) -> None:
    text = (folder / "report.html").read_text("utf-8")

    assert all(address.startswith("data:image/png;base64,") for address in report.addresses)
    assert not any(word in text for word in ("http:", "https:", "url(", "@import", "<script"))


def test_the_table_compares_each_engine_with_the_offline_fit(report: Page, results: DemoResults) -> None:
    heading, *rows = report.rows

    assert heading[1:4] == ["inertia", "inertia per point", "ratio to offline"]
    assert [row[0] for row in rows] == [*ENGINES, "offline KMeans"]
    assert rows[0][3] == f"{results.runs[0].inertia / results.offline.inertia:.4f}"
    assert rows[-1][3] == "1.0000"
    assert [row[-1] for row in rows] == ["0.00001 levels", "0.00002 levels", "0.00002 levels", "–"]


def test_provenance_is_escaped(folder: Path, report: Page) -> None:
    assert "<a machine> & more" in "".join(report.words)
    assert "<a machine>" not in (folder / "report.html").read_text("utf-8")


def test_the_report_follows_the_preferred_colour_scheme(folder: Path) -> None:
    text = (folder / "report.html").read_text("utf-8")

    assert "@media (prefers-color-scheme: dark)" in text
    assert '<source media="(prefers-color-scheme: dark)"' in text


def test_the_pictures_are_also_files_beside_the_report(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}

    fits = {f"{name}{kind}.png" for name in ("original", "offline", *ENGINES) for kind in ("", "-palette")}
    plots = {f"{name}-{style}.png" for name in ("inertia", "distance", "overview") for style in ("light", "dark")}
    assert names == {"report.html", *fits, *plots}


def test_a_quantised_picture_has_the_colour_of_its_centroid_in_every_pixel(folder: Path, results: DemoResults) -> None:
    with Image.open(folder / "numba.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)

    run = results.runs[0]
    assert np.array_equal(pixels, np.round(run.centroids)[run.labels])


def test_colours_of_a_palette_are_as_wide_as_they_are_frequent(folder: Path, results: DemoResults) -> None:
    with Image.open(folder / "numba-palette.png") as image:
        row = np.asarray(image.convert("RGB"))[0]

    shares = np.bincount(results.runs[0].labels) / len(results.runs[0].labels)
    widths = [np.all(row == colour, axis=1).mean() for colour in np.round(results.runs[0].centroids)]
    assert np.allclose(widths, shares, atol=1 / PALETTE_SHAPE[1])


def test_the_disagreement_is_the_largest_between_any_two_engines(results: DemoResults) -> None:
    assert disagreement(results.runs) == pytest.approx(2e-5)
    assert [row.largest_disagreement for row in compare(results)[:3]] == pytest.approx([1e-5, 2e-5, 2e-5])


def test_distance_travelled_is_the_sum_of_movements_between_versions(results: DemoResults) -> None:
    versions, distances = distance_travelled(results.runs[0].watched)

    assert versions == [1, 2, 3, 4, 5, 6]
    assert distances[0] == 0
    assert distances[-1] == pytest.approx((9 - 9 / 6) * np.sqrt(3))


def test_findings_say_that_engines_agree(results: DemoResults) -> None:
    same = demo_results({"numba": centroids(), "scipy": centroids()})

    assert "0.00002 of the 255 levels" in dict(findings(results))["Do the engines agree?"]
    assert "That is rounding" in dict(findings(results))["Do the engines agree?"]
    assert "0 of 4,320 pixels" in dict(findings(same))["Do the engines agree?"]
    assert "the pictures are the same" in dict(findings(same))["Do the engines agree?"]


def test_findings_call_a_difference_between_engines_a_bug() -> None:
    results = demo_results({"numba": centroids(), "scipy": centroids()[::-1]})

    assert differing_labels(results.runs) > 0
    assert "a bug worth reporting" in dict(findings(results))["Do the engines agree?"]


def test_findings_say_by_how_much_a_fit_is_worse_than_offline(results: DemoResults) -> None:
    text = dict(findings(results))["Is it as good as the offline fit?"]

    ratio = max(run.inertia for run in results.runs) / results.offline.inertia
    assert f"{ratio - 1:.1%} above the offline fit’s inertia" in text
    assert "All 4 colours are in use" in text


def test_findings_call_a_fit_better_than_offline_luck(results: DemoResults) -> None:
    one_run = demo_results({"numba": centroids()})
    worse = replace(results.offline, inertia=one_run.runs[0].inertia / 0.98)
    lucky = replace(one_run, offline=worse)

    assert (
        "2.0% below the offline fit’s inertia, which is luck"
        in dict(findings(lucky))["Is it as good as the offline fit?"]
    )


def test_findings_count_colours_that_no_pixel_has() -> None:
    results = demo_results({"numba": np.vstack([centroids()[:3], [[-900, -900, -900]]])})

    assert "3 of 4 colours are in use" in dict(findings(results))["Is it as good as the offline fit?"]


def test_findings_count_versions_that_a_watcher_missed() -> None:
    results = demo_results({"numba": centroids()}, watched=4)

    assert "numba 4 of 6. " in dict(findings(results))["What did the watchers see?"]
    assert "no more than the true ones" in dict(findings(results))["What did the watchers see?"]


def test_findings_call_distances_exact_when_watchers_missed_nothing(results: DemoResults) -> None:
    assert "the distances above are exact" in dict(findings(results))["What did the watchers see?"]


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (0.00021, "0.0002"), (12.0, "10"), (4.6e-14, "5e-14")])
def test_a_small_number_has_one_digit_and_no_row_of_zeros(value: float, text: str) -> None:
    assert few_digits(value) == text
