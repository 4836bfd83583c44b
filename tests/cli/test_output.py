"""The text of values on standard output."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shoal.cli.output import as_json, as_text, show_record, show_records


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "True"),
        (1234567, "1,234,567"),
        (1234567.8, "1,234,568"),
        (0.000012345678, "1.23457e-05"),
        (float("nan"), "–"),
        ([[1.0, 2.0]], "an array of shape (1, 2)"),
        ("[bold]", "[bold]"),
    ],
)
def test_table_formats_values_for_people(value: Any, text: str) -> None:
    assert as_text(value) == text


def test_nan_and_infinity_become_null_in_json() -> None:
    document = {"a": float("nan"), "b": [1.5, float("inf")], "c": {"d": (-float("inf"),)}, "e": "é"}

    assert json.loads(as_json(document)) == {"a": None, "b": [1.5, None], "c": {"d": [None]}, "e": "é"}


def test_a_table_is_not_cut_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_records([{"name": "x" * 300, "[red]other": 1}], "table")

    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["name", "[red]other"]
    assert row.split() == ["x" * 300, "1"]


def test_empty_list_prints_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    show_records([], "table")

    assert capsys.readouterr().out == ""


def test_unknown_fields_are_left_out_of_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    show_record({"known": 1, "unknown": None, "inner": {"value": 2}}, "table")

    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["known", "1"], ["inner.value", "2"]]
