"""The batches of files on their way to the server: which rows each has, so that its answer can be told by them."""

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
    """Where a batch stands in its file."""

    file: PointFile
    start: int  # rows of the file before it
    n_rows: int

    def explain(self, error: shoal.ShoalError) -> str:
        """Return what was wrong with the batch by the rows of the file, and the option that helps."""
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
    """Return what to add to the message of an error that an option can help against, wherever it came from."""
    return "; fewer --batch-rows make smaller batches" if error.reason in _TOO_LARGE else ""


class BatchSource:
    """The batches of one file after the other. The client takes them on a thread of its own, ahead of the answers."""

    def __init__(self, files: Sequence[PointFile]) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._stopped = False
        self._unanswered: deque[FileRows] = deque()

    @property
    def rows(self) -> int | None:
        """How many rows the files have together, None where one of them doesn't say."""
        rows = [file.rows for file in self._files if file.rows is not None]
        return sum(rows) if len(rows) == len(self._files) else None

    @property
    def unanswered(self) -> int:
        """How many batches have been given out and have no answer."""
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
        """Stop handing out batches; from here on `unanswered` only falls."""
        with self._lock:
            self._stopped = True

    def answered(self) -> FileRows:
        """Return where the batch stands that the next answer is of."""
        return self._unanswered.popleft()

    def explain(self, error: shoal.ShoalError) -> CommandError | shoal.ShoalError:
        """Return the error of a stream that ended: told by rows where the batch that is next for an answer is wrong."""
        if isinstance(error, shoal.InvalidArgumentError) and self._unanswered:
            return CommandError(self._unanswered[0].explain(error))
        return CommandError(f"{error}{advice(error)}") if advice(error) else error

    def _hand_out(self, rows: FileRows) -> bool:
        with self._lock:
            if not self._stopped:
                self._unanswered.append(rows)
            return not self._stopped
