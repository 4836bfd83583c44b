"""The quality suite on tiny streams: inertia, offline fits, contestants, rows and the plot."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import shoal
from benchmarks import quality
from benchmarks.one_pass import costs, drift, peers, plot, rare, river_models, sessions, streams, tables, waits, written
from benchmarks.one_pass.cases import Case, all_cases
from benchmarks.one_pass.figures import against_offline, against_peer, worst_against_offline
from benchmarks.one_pass.offline import inertia, offline_fit
from benchmarks.pairing import Plan
from benchmarks.results import Limit, Suite, Target
from shoal.testing import LocalServer
from tests.clustering.summary_builders import blobs as summary_blobs
from tests.clustering.summary_builders import summarised

PLAN = Plan(quick=True, rounds=2, console=Console(file=io.StringIO()))


def tiny_blobs(seed: int) -> np.ndarray:
    return streams.blobs(seed, 4, 3, 400, 20.0)


CASE = Case("tiny blobs", tiny_blobs, 4, 40, median=1.5, worst=2.0, drawn=True)


@pytest.fixture
def client(server: LocalServer) -> Iterator[shoal.Client]:
    with shoal.connect(server.target) as connected:
        yield connected


def test_stops_are_ends_of_batches_and_leave_the_beginning_out() -> None:
    assert CASE.stops(400) == [40, 80, 200, 400]
    assert replace(CASE, batch_rows=65_536).stops(400) == [400]
    assert replace(CASE, n_clusters=15).stops(400) == [200, 400]
    assert replace(CASE, batch_rows=7).stops(403) == [42, 98, 203, 403]
    assert replace(CASE, batch_rows=70).stops(800) == [140, 210, 420, 800]  # the first: after a tenth


def test_a_session_is_read_at_its_stops(client: shoal.Client) -> None:
    points = tiny_blobs(0)

    found = sessions.ingested(client, CASE, points, [80, 400], seed=5)

    with sessions.new_session(client, 4, sessions.session_options(5)) as session:
        for batch in sessions.cut(points[:80], 40):
            session.push(batch)
        np.testing.assert_array_equal(found[0], session.centroids().centroids)
        for batch in sessions.cut(points[80:], 40):
            session.push(batch)
        np.testing.assert_array_equal(found[1], session.centroids().centroids)


def test_a_measured_session_is_deleted(client: shoal.Client) -> None:
    with sessions.new_session(client, 2, sessions.session_options(0)) as session:
        pass

    with pytest.raises(shoal.SessionNotFoundError):
        session.describe()


def test_measured_sessions_are_refined_unless_said_otherwise() -> None:
    incremental = sessions.session_options(3, half_life=2.5, update_rule="incremental")

    assert sessions.session_options(3)["update_rule"] == "refined"
    assert incremental == {
        "random_state": 3,
        "metric": "euclidean",
        "half_life": shoal.HalfLife(2.5),
        "update_rule": "incremental",
        "on_drift": "report",
    }


@pytest.mark.parametrize("batch_rows", [1, 3, 40, 1000])
def test_partial_fit_gets_batches_of_any_size(batch_rows: int) -> None:
    points = tiny_blobs(0)[:200]

    found = peers.partial_fit(replace(CASE, batch_rows=batch_rows), points, [120, 200], seed=0)

    assert [centroids.shape for centroids in found] == [(4, 3), (4, 3)]
    assert np.array_equal(found[0], found[1]) == (batch_rows == 1000)


def test_a_window_knows_only_its_last_rows() -> None:
    points = tiny_blobs(0)
    other = np.concatenate([points[:300] + 5, points[300:]])

    ours, theirs = (peers.refitted_window(CASE, rows, [400], 0, rows=100)[0] for rows in (points, other))

    np.testing.assert_array_equal(ours, theirs)


def test_river_gets_rows_in_order_and_no_more_than_it_may() -> None:
    points = tiny_blobs(0)

    few = river_models.thinned(points, 4, 150)

    np.testing.assert_array_equal(few, points[::3])
    contestants = river_models.river_contestants(400)
    found = {name: contestant(CASE, points, [400], 0)[0] for name, contestant in contestants.items()}
    assert {name: centroids.shape for name, centroids in found.items()} == dict.fromkeys(contestants, (4, 3))


def test_a_case_has_a_row_for_each_contestant_stop_and_target(
    client: shoal.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "offline_fit", lambda *args, **names: offline_fit(*args, folder=tmp_path, **names))
    contestants = {
        quality.SHOAL: lambda *args: sessions.ingested(client, *args),
        peers.PARTIAL_FIT: peers.partial_fit,
        peers.WINDOW: peers.refitted_window,
    }

    rows = list(quality.case_rows(CASE, contestants, 2, PLAN))

    assert [(row.case, row.peer) for row in rows] == [
        ("tiny blobs, k=4", "offline fit"),
        ("tiny blobs, k=4", "offline fit, worst seed"),
        ("tiny blobs, k=4, stopped at 10%", "offline fit"),
        ("tiny blobs, k=4, stopped at 20%", "offline fit"),
        ("tiny blobs, k=4, stopped at 50%", "offline fit"),
        ("tiny blobs, k=4", peers.PARTIAL_FIT),
        ("tiny blobs, k=4", peers.WINDOW),
        ("tiny blobs, k=4, stopped early", peers.PARTIAL_FIT),
    ]
    assert [row.target for row in rows[:3]] == [Target(most, "at most") for most in (1.5, 2.0, 1.05)]
    assert [row.ratio.count for row in rows] == [2, 1, 2, 2, 2, 2, 2, 6]
    assert all(row.ratio.median > 0.99 for row in rows if row.peer == "offline fit")  # no better than the offline fit


def test_the_worst_seed_is_the_one_with_the_highest_ratio() -> None:
    row = worst_against_offline("case", [1.0, 1.2, 1.1], most=1.15)

    assert (row.ratio.median, row.facts["seed"]) == (1.2, 1)
    assert row.target
    assert not row.target.met(row.ratio)


def test_a_peer_with_fewer_seeds_is_compared_with_those() -> None:
    row = against_peer("case", "peer", [1.0, 2.0, 9.0], [2.0, 4.0])

    assert (row.ratio.median, row.ratio.count) == (0.5, 2)


def test_row_by_row_other_libraries_get_fewer_seeds() -> None:
    seen: list[tuple[str, int]] = []

    def contestant(name: str) -> peers.Contestant:
        def run(_: Case, points: np.ndarray, stops: list[int], seed: int) -> list[np.ndarray]:
            seen.append((name, seed))
            return [points[:4].astype(np.float64) for _ in stops]

        return run

    few = replace(CASE, batch_rows=1, draw=lambda _: np.tile(tiny_blobs(0), (60, 1)), with_all_peers=False)
    names = (quality.SHOAL, peers.PARTIAL_FIT, peers.WINDOW)
    measured = quality.measure(few, {name: contestant(name) for name in names}, seeds=3, slow_seeds=1)

    assert seen == [(quality.SHOAL, 0), (peers.PARTIAL_FIT, 0), (quality.SHOAL, 1), (quality.SHOAL, 2)]
    assert len(measured.early(quality.SHOAL)) == 9


def test_weights_halve_every_half_life() -> None:
    np.testing.assert_allclose(drift.decayed_weights(7, 2, 1.0), [0.125, 0.125, 0.25, 0.25, 0.5, 0.5, 1.0])


def test_drift_is_compared_at_every_moment(
    client: shoal.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "offline_fit", lambda *args, **names: offline_fit(*args, folder=tmp_path, **names))
    moments = (drift.Moment(5, "in the middle", 1.1), drift.Moment(10, "at the end", 1.03, 1.03))
    tiny = drift.Drift(CASE, 2.0, moments, recent=1.03, jump=3)

    rows = list(drift.drift_rows(client, tiny, 2))

    middle, end = (f"tiny blobs, half-life 2 batches, {moment.case}" for moment in moments)
    others = [drift.ADAPTING, peers.PARTIAL_FIT, drift.WINDOW]
    assert [row.peer for row in rows if row.case == middle] == ["offline fit", *others]
    assert [row.peer for row in rows if row.case == end] == ["offline fit", "offline fit, worst seed", *others]
    assert [row.peer for row in rows if row.case == f"{end}, rows since then"] == ["offline fit", *others]
    assert [row.case for row in rows][-1].endswith("the last 10,000 rows")
    assert all(row.ratio.median > 0.99 for row in rows if row.peer == "offline fit")


def test_moving_blobs_end_elsewhere() -> None:
    points = streams.moving_blobs(0, 4000)

    at_the_beginning, at_the_end = (points[part].astype(np.float64) for part in (slice(500), slice(-500, None)))

    assert inertia(points[:500], at_the_end) > 3 * inertia(points[:500], at_the_beginning[::2])


def test_a_rare_cluster_has_a_row_in_a_thousand() -> None:
    points, centre = streams.rare_blobs(0, 100_000)

    near = np.linalg.norm(points - centre, axis=1) < 5

    assert 70 <= near.sum() <= 130
    assert rare.is_within(np.array([centre + 1, centre + 30]), centre)
    assert not rare.is_within(np.array([centre + 2, centre + 30]), centre)


def test_a_rare_cluster_is_looked_for_in_every_version(client: shoal.Client) -> None:
    assert 0 <= rare.share_of_versions(client, 0, 12, None) <= 1


def test_a_rare_cluster_is_kept_if_every_version_of_every_seed_has_it() -> None:
    kept, lost = rare.found_row(None, [1.0, 1.0]), rare.found_row(10.0, [1.0, 0.99])

    assert [row.target and row.target.met(row.ratio) for row in (kept, lost)] == [True, False]


def test_fewer_points_are_written_with_fewer_commits() -> None:
    stream = written.Stream("blobs", lambda seed: streams.blobs(seed, 4, 3, 8_192, 20.0), 4, 12_288, written._SHORT, [])

    often, seldom = (written.written_a_row(stream, 0, rows) for rows in (1_024, 8_192))

    # All of the first 4,000 rows are kept: those of a block, and then its bucket.
    assert 4_000 / 12_288 < seldom < often < 20_000 / 12_288


def test_what_has_been_written_is_not_counted_again() -> None:
    points, centroids = summary_blobs(np.random.default_rng(0), 5_000, 3, 4)
    summary, counted = summarised(points, centroids, size=1000), written.Written()

    counts = []
    for _ in range(2):
        counted.commit(summary)
        counts.append(counted.points)

    assert summary.block is not None
    assert counts == [sum(len(each.weights) for each in summary.buckets) + summary.block.kept] * 2


def test_costs_are_those_of_both_rules(client: shoal.Client) -> None:
    shape = costs.Shape(2, 3, 8_192, 5.0)
    clock = iter(float(number) for number in range(100))

    one = costs.cost(client, lambda: next(clock), shape, "refined")
    rows = list(costs.cost_rows(shape, [one, one], [one, one]))

    assert (one.beginning.rows, one.after.rows, len(one.pushes)) == (74 * 4096, 8_192, 100)
    assert [row.ratio.median for row in rows[:3]] == [1.0, 1.0, 0.0]


def test_a_push_is_compared_with_that_of_the_same_rows() -> None:
    slow_start, refined, stalled = [0.2, 0.001, 0.001], [0.2, 0.001, 0.031], [0.2, 0.301, 0.036]

    row = waits.wait_row(waits.SHAPES[0], [refined, stalled, slow_start], [slow_start] * 3)

    assert row.shoal.median == pytest.approx(30.0)
    assert row.ratio.median == pytest.approx(1.5)


def test_a_push_that_takes_long_in_any_case_is_not_compared() -> None:
    row = waits.wait_row(waits.SHAPES[0], [[1.7, 0.001, 0.011]], [[1.4, 0.001, 0.001]])

    assert row.shoal.median == pytest.approx(10.0)


def test_cases_have_titles_of_their_own_and_five_are_public_tables() -> None:
    cases = all_cases()

    assert len({case.title for case in cases}) == len(cases) == 26
    assert [case.name for case in cases[-5:]] == [
        "weather in New York",
        "space shuttle",
        "image segments",
        "yeast genes",
        "breast cancer",
    ]


@pytest.mark.parametrize("name", ["flights", "weather", "shuttle", "segments", "yeast", "tumours"])
def test_tables_are_scaled_and_complete(name: str) -> None:
    shapes = {
        "flights": (327_346, 5),
        "weather": (23_383, 7),
        "shuttle": (49_097, 9),
        "segments": (2_310, 18),
        "yeast": (2_417, 103),
        "tumours": (569, 30),
    }

    points = getattr(tables, name)()

    assert points.shape == shapes[name]
    assert points.dtype == np.float32
    np.testing.assert_allclose(points.mean(axis=0, dtype=np.float64), 0, atol=1e-3)
    np.testing.assert_allclose(points.std(axis=0, dtype=np.float64), 1, atol=1e-3)


def test_a_table_is_read_without_the_rows_that_miss_a_value(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,name,b\n1,x,2\n,y,3\n4,z,NA\n5,w,6.5\n")

    np.testing.assert_array_equal(tables.read_table(path, ("b", "a")), [[2, 1], [6.5, 5]])


def test_patches_overlap_and_pixels_are_in_scan_order() -> None:
    assert streams.overlapping_patches().shape == (33_390, 192)
    assert streams.pixels("china").shape == (427 * 640, 3)


def test_sorted_blobs_are_sorted_and_directions_have_length_one() -> None:
    assert np.all(np.diff(streams.sorted_blobs(0)[:, 0]) >= 0)
    np.testing.assert_allclose(np.linalg.norm(streams.directions(0), axis=1), 1, rtol=1e-6)


def test_the_picture_has_every_case_and_contestant(tmp_path: Path) -> None:
    rows = [
        against_offline("blobs, k=4", [1.1, 1.2], headline=True),
        worst_against_offline("blobs, k=4", [1.1, 1.2]),
        against_offline("blobs, k=4, stopped at 10%", [1.3, 1.4]),
        against_peer("blobs, k=4", "somebody else", [1.1, 1.2], [2.0, 3.0]),
        against_peer("blobs, k=4, stopped early", "somebody else", [1.1, 1.2], [2.0, 3.0]),
        rare.found_row(None, [1.0]),
        Limit("20 ms", 20.0, "ms").row("costs", [10.0]),
    ]

    drawn = plot.draw(Suite("quality", rows, 1.0, quick=False), tmp_path)

    assert [path.name for path in drawn] == ["quality.svg", "quality-more.svg"]
    assert all(text in drawn[0].read_text() for text in ("blobs, k=4", "somebody else", "Shoal"))
    assert plot.medians(rows[:2]) == {"Shoal": {"blobs, k=4": pytest.approx(1.15)}}


def test_only_the_asked_for_cases_are_chosen() -> None:
    chosen = quality.chosen_cases(replace(PLAN, only="china|yeast"))

    assert [case.name for case in chosen] == ["china.jpg in scan order", "yeast genes"]
    assert all(case.quick for case in quality.chosen_cases(PLAN))
    assert len(quality.chosen_cases(replace(PLAN, quick=False))) == 26


def test_a_pattern_that_no_case_matches_leaves_the_results_as_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    main = import_module("benchmarks.__main__")
    (tmp_path / "starvation.json").write_text("the results of before")
    monkeypatch.setattr(main, "SUITES", ())  # there is nothing to draw of all

    main.run_suites(["starvation"], replace(PLAN, only="no such case"), tmp_path)

    assert (tmp_path / "starvation.json").read_text() == "the results of before"


@pytest.mark.parametrize("suites", [[], ["kernel"], ["quality", "kernel"]])
def test_a_pattern_needs_suites_that_have_cases(
    suites: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", *suites, "--only", "china"])

    with pytest.raises(SystemExit):
        import_module("benchmarks.__main__").main()

    assert "--only is for quality and starvation: name one of them" in capsys.readouterr().err


def test_a_run_of_all_suites_has_the_quick_form_of_the_long_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[tuple[str, ...], bool, str]] = []
    main = import_module("benchmarks.__main__")

    def note(names: list[str], plan: Plan, folder: Path, *, keep: bool = False) -> None:
        assert not keep
        asked.append((tuple(names), plan.quick, folder.name))

    monkeypatch.setattr(main, "run_suites", note)
    for arguments in ([], ["--quick"], ["quality"]):
        monkeypatch.setattr("sys.argv", ["benchmarks", "--into", str(tmp_path / "results"), *arguments])
        main.main()

    everything, short = tuple(main.SUITES), tuple(name for name in main.SUITES if name != "quality")
    assert asked == [
        (short, False, "results"),
        (("quality",), True, "quick"),
        (everything, True, "results"),
        (("quality",), False, "results"),
    ]
