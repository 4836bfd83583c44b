"""The batches of files on their way to the server, with their rows, so that errors can name the rows."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

import shoal
from shoal.cli.failures import CommandError
from shoal.cli.files import PointFile

_ROW = re.compile(r"\b(?:points|sample_weight)\[(\d+)")
_TOO_LARGE = {"BATCH_TOO_LARGE", "RESOURCE_EXHAUSTED"}  # Shoal's word, and gRPC's for a whole message


@dataclass(frozen=True)
class FileRows:
    """The position of a batch in its file."""

    file: PointFile
    start: int  # rows of the file before it
    n_rows: int

    def explain(self, error: shoal.ShoalError) -> str:
        """Return an error message with the rows of the file, and the option that helps."""
        return f"{self._rows(str(error))} (counted from {self.file.first_row}): {error}{self._advice(error)}"

    def _rows(self, message: str) -> str:
        first = self.start + self.file.first_row
        within = _ROW.search(message)
        if within:
            return f"{self.file.name} row {first + int(within[1])}"
        return f"{self.file.name} rows {first} to {first + self.n_rows - 1}"

    def _advice(self, error: shoal.ShoalError) -> str:
        if error.reason == "DTYPE_MISMATCH" and not self.file.typed:
            return "; the numbers of a csv have no type of their own: --dtype float32 reads them as float32"
        return advice(error)


def advice(error: shoal.ShoalError) -> str:
    """Return advice to add to the message of an error that an option can prevent."""
    return "; fewer --batch-rows make smaller batches" if error.reason in _TOO_LARGE else ""


class BatchSource:
    """The batches of all files in order. The client takes them on its own thread, ahead of the answers."""

    def __init__(self, files: Sequence[PointFile]) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._stopped = False
        self._unanswered: deque[FileRows] = deque()

    @property
    def rows(self) -> int | None:
        """The total number of rows, or None if a file doesn't say."""
        rows = [file.rows for file in self._files if file.rows is not None]
        return sum(rows) if len(rows) == len(self._files) else None

    @property
    def unanswered(self) -> int:
        """The number of batches taken that have no answer yet."""
        return len(self._unanswered)

    def batches(self) -> Iterator[shoal.Batch]:
        """Yield the batches until there are no more, or `stop` is called."""
        for file in self._files:
            start = 0
            for batch in file.batches:
                rows = FileRows(file, start, len(np.asarray(batch.points)))
                if not self._hand_out(rows):
                    return
                yield batch
                start += rows.n_rows

    def stop(self) -> None:
        """Yield no more batches; from now on `unanswered` only falls."""
        with self._lock:
            self._stopped = True

    def answered(self) -> FileRows:
        """Return the position of the batch that is answered next."""
        return self._unanswered.popleft()

    def explain(self, error: shoal.ShoalError) -> CommandError | shoal.ShoalError:
        """Return the error of a stream that ended; it names the rows if the batch that is answered next is wrong."""
        if isinstance(error, shoal.InvalidArgumentError) and self._unanswered:
            return CommandError(self._unanswered[0].explain(error))
        return CommandError(f"{error}{advice(error)}") if advice(error) else error

    def _hand_out(self, rows: FileRows) -> bool:
        with self._lock:
            if not self._stopped:
                self._unanswered.append(rows)
            return not self._stopped
