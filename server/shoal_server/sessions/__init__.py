"""The life of a session: the order of updates, snapshots, watchers, limits. asyncio here, and no numerics."""
