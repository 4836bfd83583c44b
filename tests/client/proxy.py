"""A TCP proxy that cuts connections: at once, or at a certain byte from the server."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Self

_RESET = struct.pack("ii", 1, 0)  # close sends RST, as a dead machine's successor would


class Proxy:
    def __init__(self, upstream: str, port: int = 0) -> None:
        host, _, upstream_port = upstream.rpartition(":")
        self._upstream = (host, int(upstream_port))
        self._listener = socket.create_server(("127.0.0.1", port))
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._cuts: list[int] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self._threads: list[threading.Thread] = []
        self.connections = 0
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Reset every connection and take no more."""
        _reset(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join()

    def stall(self) -> None:
        """Read nothing more, as a client that hangs; until the next cut."""
        self._flowing.clear()

    def cut(self) -> None:
        """Reset every connection there is."""
        self._flowing.set()
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _reset(end)

    def cut_after(self, *server_bytes: int) -> None:
        """Reset the next connection after so many bytes from the server, the one after it likewise, and so on."""
        self._cuts.extend(server_bytes)

    @property
    def cuts_left(self) -> int:
        return len(self._cuts)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._upstream)
            with self._lock:
                self._pairs.append((client, server))
                self.connections += 1
            self._start(self._pump, client, server, None)
            self._start(self._pump, server, client, self._cuts.pop(0) if self._cuts else None)

    def _pump(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        passed = 0
        try:
            while piece := source.recv(65536):
                self._flowing.wait()
                room = len(piece) if limit is None else max(0, limit - passed)
                sink.sendall(piece[:room])
                passed += len(piece)
                if limit is not None and passed >= limit:
                    break
        except OSError:
            pass
        _reset(source)
        _reset(sink)

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()


def _reset(end: socket.socket) -> None:
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    end.close()
