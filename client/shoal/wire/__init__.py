"""The messages that carry arrays, read and written without the copies that protobuf's classes make of the arrays.

A generated class copies an array when it parses a message, again when the array is read, and twice more when a message
is put together. Here the arrays are cut out of a message, as views of its bytes, and the generated class reads the
rest; the other way round its bytes are joined with the arrays. A message that isn't laid out as serializers do it is
parsed by the generated class as a whole, so that both always agree. What a request may have of batches, axes and fields
is counted before any of it is built. Client and server share this room, and nothing else knows how protobuf encodes.

So that neither writes it again, the room also has the names of the enums' numbers, durations as seconds, and, in
`comparison`, what a comparison says.
"""

from __future__ import annotations

from shoal.wire.durations import MAX_DURATION_SECONDS, duration_of, seconds_of
from shoal.wire.enums import (
    COMPARE_ACTIONS,
    COMPARE_ENGINES,
    DURABILITIES,
    ENGINES,
    EVENT_KINDS,
    HALF_LIFE_UNITS,
    INIT_METHODS,
    METRICS,
    ON_DRIFT,
    ON_INVALID,
    PRECISIONS,
    UPDATE_RULES,
    name_of,
)
from shoal.wire.parsing import MAX_AXES, MessageTooLargeError, Parsed, parser
from shoal.wire.requests import (
    MAX_BATCHES,
    AssignRequest,
    Batch,
    IngestRequest,
    PushRequest,
    decode_assign_request,
    decode_ingest_request,
    decode_push_request,
    encode_assign_request,
    encode_ingest_request,
    encode_push_request,
)
from shoal.wire.responses import (
    AssignResponse,
    BatchResult,
    IngestResponse,
    decode_assign_response,
    decode_batch_result,
    decode_ingest_response,
    encode_assign_response,
    encode_batch_result,
    encode_ingest_response,
)
from shoal.wire.tensors import DTYPES, NUMBERS, Tensor, array_of, tensor_in, tensor_message, tensor_of

__all__ = [
    "COMPARE_ACTIONS",
    "COMPARE_ENGINES",
    "DTYPES",
    "DURABILITIES",
    "ENGINES",
    "EVENT_KINDS",
    "HALF_LIFE_UNITS",
    "INIT_METHODS",
    "MAX_AXES",
    "MAX_BATCHES",
    "MAX_DURATION_SECONDS",
    "METRICS",
    "NUMBERS",
    "ON_DRIFT",
    "ON_INVALID",
    "PRECISIONS",
    "UPDATE_RULES",
    "AssignRequest",
    "AssignResponse",
    "Batch",
    "BatchResult",
    "IngestRequest",
    "IngestResponse",
    "MessageTooLargeError",
    "Parsed",
    "PushRequest",
    "Tensor",
    "array_of",
    "decode_assign_request",
    "decode_assign_response",
    "decode_batch_result",
    "decode_ingest_request",
    "decode_ingest_response",
    "decode_push_request",
    "duration_of",
    "encode_assign_request",
    "encode_assign_response",
    "encode_batch_result",
    "encode_ingest_request",
    "encode_ingest_response",
    "encode_push_request",
    "name_of",
    "parser",
    "seconds_of",
    "tensor_in",
    "tensor_message",
    "tensor_of",
]
