"""Lists of sessions, page by page, on a server that has no others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from shoal.testing import LocalServer
from shoal.v1 import sessions_pb2
from tests.rpc.refusals import Refusal, refused_call
from tests.rpc.wire import Wire, config, tensor

NAMES = tuple(f"listed-{number}" for number in range(5))


@pytest.fixture
def wire(small_server: LocalServer) -> Iterator[Wire]:
    with Wire(small_server.target) as wire:
        for name in reversed(NAMES):
            wire.create(name, config())
        yield wire
        for session in listed(wire, 0, "").sessions:
            wire.delete(session.name)


def test_list_pages_follow_the_order_of_names_and_end(wire: Wire) -> None:
    pages: list[list[str]] = []
    token = ""
    while not pages or token:
        page = listed(wire, 2, token)
        pages.append([session.name for session in page.sessions])
        token = page.next_page_token

    assert pages == [["listed-0", "listed-1"], ["listed-2", "listed-3"], ["listed-4"]]


@pytest.mark.parametrize("size", [0, 5, 1000])
def test_the_page_with_the_last_session_has_no_next_page(wire: Wire, size: int) -> None:
    page = listed(wire, size, "")

    assert (len(page.sessions), page.next_page_token) == (5, "")


def test_a_list_continues_after_the_session_at_its_page_token_was_deleted(wire: Wire) -> None:
    token = listed(wire, 2, "").next_page_token
    wire.delete("listed-1")

    page = listed(wire, 2, token)

    assert [session.name for session in page.sessions] == ["listed-2", "listed-3"]


def test_a_listed_session_equals_its_description(wire: Wire) -> None:
    assert list(listed(wire, 0, "").sessions) == [wire.describe(name) for name in NAMES]


def test_a_list_leaves_out_given_centroids_which_would_not_fit_a_message(wire: Wire) -> None:
    wire.create("listed-given", config(init=np.ones((2, 3))))

    (session,) = listed(wire, 1, NAMES[-1]).sessions

    assert session.name == "listed-given"
    assert session.config.init.WhichOneof("source") is None
    assert wire.describe("listed-given").config.init.centroids == tensor(np.ones((2, 3)))


@pytest.mark.parametrize("size", [-1, 1001, 2**31 - 1])
def test_an_invalid_page_size_is_refused_with_the_valid_range(wire: Wire, size: int) -> None:
    status = refused_call(lambda: listed(wire, size, ""))

    Refusal("PAGE_SIZE_INVALID", (f"page_size is {size}", "use 1 to 1000, or 0"), "page_size").check(status)


def listed(wire: Wire, page_size: int, token: str) -> sessions_pb2.ListSessionsResponse:
    request = sessions_pb2.ListSessionsRequest(page_size=page_size, page_token=token)
    return wire.sessions.ListSessions(request)
