"""Who pushes, and how far they have come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Producer:
    """Who pushes; `epoch` 0 stands for the one in force. Under an ephemeral id nobody comes back after the call."""

    id: str
    epoch: int = 0
    ephemeral: bool = False


@dataclass(frozen=True)
class Position:
    """How far a producer has come."""

    epoch: int
    last_sequence: int
