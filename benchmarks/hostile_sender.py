"""Sends the tests' hostile messages from its own process.

    python -m benchmarks.hostile_sender HOST:PORT table|heavy|fuzz COUNT

Prints a line when it begins, and how many messages it has sent when it ends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice

from tests.rpc.hostile import CODES, METHODS, Hostile, fuzz, heavy, table
from tests.rpc.hostile_client import HostileClient

_SESSION = "aimed-at"
_SEED = 1


def messages(what: str, count: int) -> Iterator[Hostile]:
    """Yield the messages of a kind; for those changed at random, `count` of them."""
    if what == "table":
        yield from table(_SESSION)
    elif what == "heavy":
        for method in METHODS:
            for name, contents in heavy(method).items():
                yield Hostile(method, name, contents(), compressed=True)
    else:
        yield from islice(fuzz(_SEED, _SESSION), count)


def main(target: str, what: str, count: int) -> None:
    """Send all messages, one after the other."""
    print("at work", flush=True)
    sent = 0
    with HostileClient(target, _SESSION) as client:
        for message in messages(what, count):
            if (code := client.send(message)) not in CODES:
                raise RuntimeError(f"{code} for {message.method}: {message.what}")
            sent += 1
        for name in client.sessions():
            if name.startswith(_SESSION):
                client.delete(name)
    print(sent, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
