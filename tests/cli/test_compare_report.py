"""`shoal compare --report`: one page with every view, for everyone."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.cli_runner import InProcess
from tests.cli.html_page import page

HEADINGS = [
    "How k-means works",
    "The run",
    "Steps",
    "Variables",
    "Results",
    "The same run as a program",
    "Key moments",
    "Quiz",
    "Key facts",
    "Transcript",
    "Notes",
]


@pytest.fixture
def given(tmp_path: Path) -> Path:
    path = tmp_path / "given.csv"
    path.write_text("5.5,3\n1,2\n")
    return path


@pytest.fixture
def report(command: InProcess, tmp_path: Path, given: Path) -> Path:
    """The report of the six points."""
    path = tmp_path / "six.html"
    outcome = command("compare", "--init", given, "--report", path)
    assert outcome.exit_code == 0, outcome.stderr
    return path


@pytest.fixture
def six(report: Path) -> str:
    return report.read_text("utf-8")


class _Tags(HTMLParser):
    """The tags of a page in order, and whether they are closed as they were opened."""

    _VOID = ("meta", "use", "path", "rect", "polyline", "polygon", "line", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _steps(text: str) -> Any:
    found = re.search(r'<div class="steps" hidden>(.*?)</div>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_compare_prints_the_path_of_the_report_beside_its_usual_output(
    command: InProcess, tmp_path: Path, given: Path
) -> None:
    plain = command("compare", "--init", given).stdout

    outcome = command("compare", "--init", given, "--report", tmp_path / "out.html")

    path = tmp_path / "out.html"
    assert outcome.stderr == f"the report: {path}\nopen it in a browser: {path.as_uri()}\n"
    assert _without_times(outcome.stdout) == _without_times(plain)


def _without_times(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if "vq and kmeans" not in line and "KMeans.fit" not in line]


def test_compare_prints_the_same_json_with_a_report(command: InProcess, tmp_path: Path) -> None:
    outcome = command("compare", "--random-state", 0, "--output", "json", "--report", tmp_path / "out.html")

    first, *_, last = (json.loads(line) for line in outcome.stdout.splitlines())
    assert (list(first), list(last)) == (["start"], ["result"])
    assert (tmp_path / "out.html").exists()


def test_every_view_of_the_report_has_its_heading_in_order(six: str) -> None:
    levels = [int(level) for level in re.findall(r"<h([1-6])", six)]

    assert re.findall(r"<h2>(.*?)</h2>", six) == HEADINGS
    assert levels.count(1) == 1
    assert all(deeper <= level + 1 for level, deeper in zip(levels, levels[1:], strict=False))  # noqa: RUF007


def test_the_table_of_the_report_has_the_exact_figures_of_the_run(report: Path) -> None:
    rows = page(report).rows

    assert rows[0][:4] == ["step", "action", "SciPy centroids", "SciPy labels"]
    assert rows[3] == ["3", "update to the mean of the assigned points", "[[10 2] [1 2]]", "–", "–", "–"]
    assert rows[6] == ["6", "the scikit-learn fit completes", "–", "–", "[[10 2] [1 2]]", "[1 1 1 0 0 0]"]
    assert rows[7] == ["7", "output", "final centroids", "[1 1 1 0 0 0]", "final centroids", "[1 1 1 0 0 0]"]


def test_every_view_of_the_report_shows_the_run(six: str) -> None:
    text = unescape(re.sub(r"<[^>]+>", "", six))

    assert "Converged?" in text
    assert 'centroids, _ = kmeans2(X, before, iter=1, minit="matrix")' in text
    assert "Why does SciPy take two functions" in text
    assert re.search(r"[A-D]: step 3\.", text)
    assert "SciPy made 2 iterations; after step 3 its centroids no longer changed." in text
    assert "Step 3. SciPy moves each centroid to the mean of its points: [[10 2] [1 2]]." in text
    assert "The same for all: 6 points, 2 initial centroids" in text


def test_the_compare_report_fetches_nothing(six: str, report: Path) -> None:
    assert all(address.startswith("#s") for address in page(report).addresses)
    assert not any(word in six for word in ("http:", "https:", "url(", "@import", " src="))
    assert "default-src 'none'" in six


def test_the_report_is_well_formed_and_its_tables_and_drawings_have_labels(six: str) -> None:
    tags = _Tags(six)

    assert tags.open == []
    names = [tag for tag, _ in tags.seen]
    assert names.count("table") == names.count("caption") == 4
    assert all("scope" in attributes for tag, attributes in tags.seen if tag == "th")
    assert ("html", {"lang": "en"}) in tags.seen
    drawings = [attributes for tag, attributes in tags.seen if tag == "svg" and attributes.get("role") == "img"]
    assert len(drawings) == 2
    assert all(attributes["aria-label"] for attributes in drawings)
    assert "SciPy, as it ended: cluster 0, blue circle: 3 points; cluster 1, orange square: 3 points." in six


def test_ids_in_the_report_are_unique(six: str) -> None:
    ids = [attributes["id"] for _, attributes in _Tags(six).seen if "id" in attributes]

    assert len(ids) == len(set(ids))


def test_the_panels_show_the_last_step_of_each_engine_without_javascript(six: str) -> None:
    panels = re.findall(
        r'<g class="regions">(.*?)</g><g class="points">(.*?)</g>.*?<g class="trails">(.*?)</g>'
        r'<g class="centroids">(.*?)</g>',
        six,
    )

    assert len(panels) == 2
    for regions, points, trails, centroids in panels:
        assert regions.count("<polygon") == 2
        assert (
            re.findall(r'class="(c\d)" data-c="(\d)" href="(#s\d)"', points)
            == [("c1", "1", "#s1")] * 3 + [("c0", "0", "#s0")] * 3
        )
        assert trails.count("<polyline") == 1  # one of both has not moved
        assert re.findall(r"<text[^>]*>(\d)</text>", centroids) == ["0", "1"]
    assert 'class="controls" role="group" aria-label="Play the steps" hidden' in six


def test_player_has_every_row_and_its_highlights(six: str) -> None:
    steps = _steps(six)

    assert [step["number"] for step in steps] == [1, 2, 3, 4, 5, 6, 7]
    assert steps[0]["labels"] is None
    assert steps[1]["labels"] == [1, 1, 1, 0, 0, 0]
    assert [step["lit"] for step in steps[:3]] == [["start"], ["assign"], ["update"]]
    assert [step["column"] for step in steps] == [1, 1, 2, 2, 3, 3, 4]
    assert all(step["lines"] for step in steps)
    assert [len(trail) for trail in steps[5]["trails"]] == [2, 1]
    assert [len(step["regions"]) for step in steps[:6]] == [2] * 6


def test_names_are_escaped_in_the_report(command: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "<b>$title&.csv"
    path.write_text("1,2\n3,4\n9,9\n")

    outcome = command("compare", path, "--report", tmp_path / "out.html")

    text = (tmp_path / "out.html").read_text("utf-8")
    assert outcome.exit_code == 0
    assert "&lt;b&gt;$title&amp;.csv" in text
    assert "<b>$title" not in text


@pytest.mark.parametrize("engines", ["scipy", "numba,scipy-kmeans2,sklearn-minibatch,sklearn,scipy"])
@pytest.mark.parametrize(("n", "d", "k"), [(1, 1, 1), (5, 1, 2), (90, 7, 12), (2500, 2, 3)])
def test_every_comparison_has_a_report(
    command: InProcess, tmp_path: Path, engines: str, n: int, d: int, k: int
) -> None:
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(n, d)))

    outcome = command(
        "compare", tmp_path / "points.npy", "-k", k, "--random-state", 0, "--max-iter", 5, "--engines", engines,
        "--report", tmp_path / "out.html",
    )  # fmt: skip

    assert outcome.exit_code == 0, outcome.stderr
    text = (tmp_path / "out.html").read_text("utf-8")
    assert _Tags(text).open == []
    assert text.count('<figure class="card panel"') == len(engines.split(","))
    assert not re.search(r"\b(nan|inf)\b", re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))
    assert ("2,000 of 2,500 points are drawn" in text) == (n == 2500)
    assert ("Of 7 columns the two principal components" in text) == (d == 7)


def test_report_replaces_an_earlier_report(command: InProcess, report: Path) -> None:
    outcome = command("compare", "--example", "blobs", "-k", 4, "--report", report)

    assert outcome.exit_code == 0
    assert "300 points of the example blobs, 4 clusters" in report.read_text("utf-8")


def test_report_does_not_replace_another_file(command: InProcess, given: Path) -> None:
    outcome = command("compare", "--report", given)

    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert "this file is not a report of shoal compare; choose another path" in outcome.stderr
    assert given.read_text() == "5.5,3\n1,2\n"


def test_report_in_a_missing_folder_is_refused(command: InProcess, tmp_path: Path) -> None:
    outcome = command("compare", "--report", tmp_path / "nowhere" / "out.html")

    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert f"there is no folder {tmp_path / 'nowhere'} to write the report into" in outcome.stderr


def test_report_path_that_is_a_folder_is_refused(command: InProcess, tmp_path: Path) -> None:
    outcome = command("compare", "--report", tmp_path)

    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert f"it is a folder; name a file in it, such as {tmp_path / 'report.html'}" in outcome.stderr


def test_full_disk_is_reported(command: InProcess, tmp_path: Path) -> None:
    (tmp_path / "full.html").symlink_to("/dev/full")

    outcome = command("compare", "--report", tmp_path / "full.html")

    assert outcome.exit_code == 1
    assert f"{tmp_path / 'full.html'}: the report can't be written: No space left on device" in outcome.stderr
