"""The commit log gets applied batches before they are published; batches that it can't keep aren't published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from shoal_server.sessions.deps import Commit, SessionDeps
from shoal_server.sessions.port import Position, Producer
from shoal_server.sessions.session import Session
from tests.sessions.clock import until_quiet
from tests.sessions.producer_builders import stamp
from tests.sessions.refusing import refusal_of
from tests.sessions.session_builders import push, started, submit

P = Producer("p")


class RecordingLog:
    """Keeps commits, while it may."""

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.is_full = False

    async def commit(self, commit: Commit) -> None:
        await self.may_go_on.wait()
        if self.is_full:
            raise OSError("no space left on device")
        self.commits.append(commit)


@pytest.fixture
def log() -> RecordingLog:
    return RecordingLog()


@pytest.fixture
async def logged(deps: SessionDeps, log: RecordingLog) -> AsyncIterator[Session]:
    async with started(replace(deps, commit_log=log)) as session:
        yield session


async def test_a_commit_has_the_model_and_the_positions_of_the_batches_that_were_applied(
    logged: Session, log: RecordingLog
) -> None:
    await push(logged, 1.0, stamp=stamp(1))
    await push(logged, 2.0)

    assert [commit.model.version for commit in log.commits] == [1, 2]
    assert [commit.positions for commit in log.commits] == [{P: Position(0, 1)}, {}]
    assert {commit.session_uid for commit in log.commits} == {logged.uid}


async def test_no_version_is_published_before_its_commit(logged: Session, log: RecordingLog) -> None:
    log.may_go_on.clear()
    receipt = await submit(logged, 1.0)
    await until_quiet()

    assert not receipt.completion.done()
    assert logged.version == 0

    log.may_go_on.set()
    assert (await receipt.result()).version == 1
    assert logged.version == 1


async def test_batches_that_can_not_be_committed_are_refused_and_change_nothing(
    logged: Session, log: RecordingLog
) -> None:
    log.is_full = True
    assert (await refusal_of(push(logged, 1.0))).reason == "INTERNAL"
    assert logged.version == 0

    log.is_full = False
    assert (await push(logged, 2.0)).version == 1
