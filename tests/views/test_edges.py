"""As few points as there can be, equal ones, tiny and huge ones: every view is there, and nothing warns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shoal_presentation.report.player import player_parts
from shoal_presentation.views import (
    active_stages,
    code_of,
    flow_of,
    key_facts_of,
    key_moments,
    notes_of,
    plot_of,
    quiz_of,
    rows_of,
    track,
    transcript_of,
)
from shoal_server.engines.contract import max_value
from tests.views.builders import Compare

MOST = max_value(np.dtype(np.float64), 3)


@pytest.mark.parametrize(
    ("points", "k"),
    [
        pytest.param([[7.0]], 1, id="one point"),
        pytest.param([[7.0, -1.0, 2.0]], 1, id="one wide point"),
        pytest.param([[0.0, 0.0, 0.0]] * 4, 3, id="nothing but zeros"),
        pytest.param([[1.0, 2.0]] * 5, 3, id="equal points"),
        pytest.param([[1e-300], [3e-300]], 2, id="tiny"),
        pytest.param([[0.0, 0.0], [1e-320, 3e-320]], 2, id="denormal"),
        pytest.param([[MOST, 0.0, MOST], [-MOST, MOST, 0.0], [MOST / 10, 0.0, 0.0]], 2, id="huge"),
        pytest.param([[0.1 * i, 1e9] for i in range(12)], 12, id="k is n, far away"),
        pytest.param(np.random.default_rng(0).normal(size=(4, 3000)), 2, id="far more columns than points"),
    ],
)
def test_every_view_works_for_any_run(compare: Compare, points: Any, k: int) -> None:
    run = compare(points, k, init="k-means++")

    assert len(quiz_of(run)) == 3
    assert 5 <= len(key_facts_of(run)) <= 8
    assert len(transcript_of(run)) > len(run.steps)
    assert len(rows_of(run)) == len(run.steps) + 1
    assert flow_of(run).stages
    assert all(active_stages(step) for step in run.steps)
    assert track(run).variables
    assert code_of(run).source
    texts = [moment.explanation for moment in key_moments(run)] + list(notes_of(run))
    assert not any("nan" in text.split() or "inf" in text.split() for text in texts)
    plot = plot_of(run)
    assert all(np.isfinite(state.centroids).all() for state in plot.states.values())
    assert np.isfinite(np.stack(plot.bounds)).all()
    assert player_parts(run).steps
