"""Messages quote only a small part of a request, and read no more of it."""

from __future__ import annotations

from typing import Any

import pytest

from shoal_server.errors import MAX_QUOTE_LENGTH, quoted


class Counted:
    shown = 0

    def __repr__(self) -> str:
        type(self).shown += 1
        return "1"


@pytest.mark.parametrize("said", ["x", "", "fish\n", [1, 2], None, 7, b"x"])
def test_short_values_are_quoted_whole(said: Any) -> None:
    assert quoted(said) == repr(said)


@pytest.mark.parametrize("said", ["x" * 10**6, b"\xff" * 10**6, [1] * 10**6, "\0" * MAX_QUOTE_LENGTH])
def test_long_values_are_cut_when_quoted(said: Any) -> None:
    text = quoted(said)

    assert len(text) <= MAX_QUOTE_LENGTH + 1
    assert text.endswith("…")


def test_quoting_a_list_reads_only_the_items_that_it_quotes() -> None:
    quoted([Counted()] * 10**5)

    assert Counted.shown <= MAX_QUOTE_LENGTH
