"""What the server hands to each session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from shoal_server.budget import MemoryBudget
from shoal_server.sessions.commit_log import CommitLog, NoCommitLog
from shoal_server.sessions.compute import ComputePool
from shoal_server.sessions.config import Limits
from shoal_server.sessions.jobs import Engines
from shoal_server.sessions.watch_queue import WatchScheduler
from shoal_server.shared_results import SharedResults


@dataclass(frozen=True)
class SessionDeps:
    """What the server hands to each session."""

    engines: Engines
    compute: ComputePool
    budget: MemoryBudget
    limits: Limits
    now: Callable[[], datetime]
    draw_random_state: Callable[[], int]
    shared: SharedResults
    commit_log: CommitLog = field(default_factory=NoCommitLog)
    watch_scheduler: WatchScheduler = field(default_factory=WatchScheduler)
