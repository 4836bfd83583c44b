"""AssignStream without its I/O: one answer a request, in order, and any request may be sent again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from shoal._batches import decode_assignment
from shoal._pipeline import Delivery, Pipeline, check_stream
from shoal._points import points_array
from shoal._retrying import StreamRetries
from shoal._statuses import error_of_status
from shoal._tensors import Frozen, freeze
from shoal._types import Assignment
from shoal.v1 import clustering_pb2


@dataclass(frozen=True, eq=False)
class FrozenPoints:
    """Points as they were when they were given."""

    points: Frozen

    @property
    def size(self) -> int:
        """How many bytes they have."""
        return len(self.points.contents)


def assign_pipeline(
    session: str, batches: object, *, return_distances: bool, max_in_flight: int, timeout: float
) -> Pipeline[FrozenPoints, Assignment]:
    """Return the state of a new AssignStream call; see shoal.Session.assign_stream.

    Raises
    ------
    InvalidArgumentError
        For arguments that can't be right.
    """
    check_stream(batches, max_in_flight)
    dialogue = AssignDialogue(session, return_distances=return_distances)
    return Pipeline(dialogue, max_in_flight, StreamRetries(timeout))


class AssignDialogue:
    """The AssignStream method; see Dialogue."""

    method = "AssignStream"
    most_in_message = 1
    ready = True

    def __init__(self, session: str, *, return_distances: bool) -> None:
        self.session = session
        self._return_distances = return_distances

    def opening(self) -> None:
        """See Dialogue: each request says all there is to say."""

    def freeze(self, thing: Any) -> FrozenPoints:
        """See Dialogue."""
        return FrozenPoints(freeze(points_array(thing)))

    def request(self, items: list[tuple[int, FrozenPoints]]) -> clustering_pb2.AssignRequest:
        """See Dialogue."""
        ((_, item),) = items
        request = clustering_pb2.AssignRequest(session=self.session, return_distances=self._return_distances)
        item.points.write(request.points)
        return request

    def deliveries(self, response: clustering_pb2.AssignResponse) -> list[tuple[int | None, Delivery[Assignment]]]:
        """See Dialogue."""
        return [(None, partial(self._deliver, response))]

    def _deliver(self, response: clustering_pb2.AssignResponse) -> Assignment:
        if response.HasField("error"):
            raise error_of_status(response.error, self.session)
        return decode_assignment(response)
