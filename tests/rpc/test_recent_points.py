"""The sample of recent points, over gRPC."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.v1 import sessions_pb2, tensor_pb2
from tests.rpc.bad_points import GOOD
from tests.rpc.refusals import Refusal, refused_call
from tests.rpc.wire import Wire, array, batch, config


@pytest.mark.parametrize("dtype", tensor_pb2.Dtype.keys()[1:])
def test_recent_points_have_the_type_in_which_they_were_pushed(wire: Wire, name: str, dtype: str) -> None:
    wire.create(name, config(init=GOOD, dtype=tensor_pb2.DTYPE_FLOAT64))
    pushed = np.array([[1, 2], [3, 4], [5, 6]], dtype.removeprefix("DTYPE_").lower())
    wire.push(name, batch(pushed))

    recent = wire.recent_points(name)

    assert (tensor_pb2.Dtype.Name(recent.points.dtype), recent.version) == (dtype, 1)
    np.testing.assert_array_equal(array(recent.points), pushed)


@pytest.mark.parametrize("max_points", [-1, -(2**31)])
def test_a_negative_max_points_is_refused(wire: Wire, name: str, max_points: int) -> None:
    wire.create(name, config(init=GOOD))

    status = refused_call(lambda: wire.recent_points(name, max_points))

    Refusal("MAX_POINTS_NEGATIVE", (f"max_points is {max_points}", "1 up", "or 0"), "max_points").check(status)


def test_a_new_session_has_no_recent_points(wire: Wire, name: str) -> None:
    wire.create(name, config(n_features=3))

    recent = wire.recent_points(name)

    assert (array(recent.points).shape, recent.version) == ((0, 3), 0)


def test_a_refused_batch_leaves_no_recent_points(wire: Wire, name: str) -> None:
    wire.create(name, config(init=GOOD))
    wire.push(name, batch(GOOD))

    refused_call(lambda: wire.push(name, batch([[7, np.nan], [8, 8]])))

    assert array(wire.recent_points(name).points).tolist() == GOOD


@pytest.mark.parametrize("on_invalid", [sessions_pb2.ON_INVALID_DROP, sessions_pb2.ON_INVALID_IMPUTE])
def test_invalid_rows_are_left_out_of_recent_points(
    wire: Wire, name: str, on_invalid: sessions_pb2.OnInvalid.ValueType
) -> None:
    wire.create(name, config(init=GOOD, on_invalid=on_invalid))

    wire.push(name, batch([[1, 1], [7, np.nan], [2, 2], [np.inf, 0], [3e38, 1], [3, 3]]))

    assert array(wire.recent_points(name).points).tolist() == [[1, 1], [2, 2], [3, 3]]
