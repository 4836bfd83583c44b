"""AssignStream without its I/O: one answer a request, in order, and any request may be sent again."""

from __future__ import annotations

from functools import partial
from typing import Any

from shoal import wire
from shoal._batches import decode_assignment
from shoal._pipeline import Delivery, Item, Pipeline, check_stream
from shoal._points import points_array
from shoal._retrying import StreamRetries
from shoal._statuses import error_of_status
from shoal._types import Assignment


def assign_pipeline(
    session: str, batches: object, *, return_distances: bool, max_in_flight: int, timeout: float
) -> Pipeline[Assignment]:
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

    def freeze(self, thing: Any) -> Item:
        """See Dialogue."""
        points = points_array(thing)
        request = wire.encode_assign_request(
            self.session, wire.tensor_of(points), return_distances=self._return_distances
        )
        return Item(request, points.nbytes)

    def request(self, items: list[Item]) -> bytes:
        """See Dialogue."""
        (item,) = items
        return item.request

    def deliveries(self, response: wire.AssignResponse) -> list[tuple[int | None, Delivery[Assignment]]]:
        """See Dialogue."""
        return [(None, partial(self._deliver, response))]

    def _deliver(self, response: wire.AssignResponse) -> Assignment:
        if response.message.HasField("error"):
            raise error_of_status(response.message.error, self.session)
        return decode_assignment(response)
