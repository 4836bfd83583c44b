"""The client's answers as plain values that tables and JSON can hold."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from shoal import SessionDescription


def plain(value: Any) -> Any:
    """Return dataclasses as dicts, arrays and tuples as lists, times as ISO 8601, durations as seconds."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, datetime):
        return value.isoformat()
    return value.total_seconds() if isinstance(value, timedelta) else value


def session_row(session: SessionDescription) -> dict[str, Any]:
    """Return the fields of a session in a list."""
    return {
        "name": session.name,
        "state": session.state,
        "engine": session.config.engine,
        "clusters": session.config.n_clusters,
        "features": session.config.n_features,
        "version": session.version,
        "points": session.points_accepted,
        "watchers": session.watchers,
    }
