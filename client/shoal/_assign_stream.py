"""AssignStream without its I/O: one answer for each request, in order; any request may be sent again."""

from __future__ import annotations

from functools import partial
from typing import Any

from shoal import wire
from shoal._batch_codec import decode_assignment
from shoal._errors import ShoalError
from shoal._pipeline import Delivery, Item, Pipeline, check_stream
from shoal._retries import StreamRetries
from shoal._statuses import error_of_status
from shoal._types import Assignment
from shoal._validation import flag, points_array


def assign_pipeline(
    session: str,
    batches: object,
    *,
    return_distances: bool,
    return_scores: bool = False,
    max_in_flight: int,
    timeout: float,
) -> Pipeline[Assignment]:
    """Return the state of a new AssignStream call; see shoal.Session.assign_stream.

    Raises
    ------
    InvalidArgumentError
        If an argument is invalid.
    """
    window = check_stream(batches, max_in_flight)
    codec = AssignCodec(
        session,
        return_distances=flag("return_distances", return_distances),
        return_scores=flag("return_scores", return_scores),
    )
    return Pipeline(codec, window, StreamRetries(timeout))


class AssignCodec:
    """The AssignStream method; see StreamCodec."""

    method = "AssignStream"
    max_items_per_message = 1
    ready = True

    def __init__(self, session: str, *, return_distances: bool, return_scores: bool) -> None:
        self.session = session
        self._return_distances = return_distances
        self._return_scores = return_scores

    def opening(self) -> None:
        """See StreamCodec: this method has no opening message."""

    def encode_item(self, thing: Any) -> Item:
        """See StreamCodec."""
        points = points_array(thing)
        request = wire.encode_assign_request(
            self.session,
            wire.tensor_of(points),
            return_distances=self._return_distances,
            return_scores=self._return_scores,
        )
        return Item(request, points.nbytes)

    def request(self, items: list[Item]) -> bytes:
        """See StreamCodec."""
        (item,) = items
        return item.request

    def deliveries(self, response: wire.AssignResponse) -> list[tuple[int | None, Delivery[Assignment]]]:
        """See StreamCodec."""
        return [(None, partial(self._deliver, response))]

    def explained(self, failure: ShoalError) -> ShoalError:
        """See StreamCodec."""
        return failure

    def finish(self) -> None:
        """See StreamCodec: there is nothing more to say."""

    def _deliver(self, response: wire.AssignResponse) -> Assignment:
        if response.message.HasField("error"):
            raise error_of_status(response.message.error, self.session)
        return decode_assignment(response)
