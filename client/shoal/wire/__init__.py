"""The messages that carry arrays, read and written without the copies that protobuf's classes make of the arrays.

A generated class copies an array when it parses a message, again when the array is read, and twice more when a message
is put together. Here the arrays are cut out of a message, as views of its bytes, and the generated class reads the
rest; the other way round its bytes are joined with the arrays. A message that isn't laid out as serializers do it is
parsed by the generated class as a whole, so that both always agree. What a request may have of batches, axes and fields
is counted before any of it is built. Client and server share this room, and nothing else knows how protobuf encodes.
"""

from __future__ import annotations

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
    "DTYPES",
    "MAX_AXES",
    "MAX_BATCHES",
    "NUMBERS",
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
    "encode_assign_request",
    "encode_assign_response",
    "encode_batch_result",
    "encode_ingest_request",
    "encode_ingest_response",
    "encode_push_request",
    "parser",
    "tensor_in",
    "tensor_message",
    "tensor_of",
]
