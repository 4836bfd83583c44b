"""Invalid configurations and names of sessions: no refusal leaves a session behind."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
import numpy as np
import pytest

from shoal.v1 import sessions_pb2, tensor_pb2
from tests.rpc.bad_points import CENTROIDS, INF, NAN
from tests.rpc.refusals import Refusal, no_session, refused_call
from tests.rpc.wire import Wire, batch, config, duration, tensor

COSINE = sessions_pb2.METRIC_COSINE
INCREMENTAL, REFINED = sessions_pb2.UPDATE_RULE_INCREMENTAL, sessions_pb2.UPDATE_RULE_REFINED
FISH = "\N{FISH}"


@dataclass(frozen=True)
class BadConfig:
    title: str
    config: sessions_pb2.SessionConfig
    refusal: Refusal

    def __str__(self) -> str:
        return self.title


def _unknown(field: str, number: int, *names: str, at: str = "") -> BadConfig:
    reason = f"{(at or field).upper().replace('.', '_')}_UNKNOWN"
    refusal = Refusal(reason, (f"{at or field} {number}", "use one of", *names), f"config.{at or field}")
    return BadConfig(f"{at or field} {number}", config(**{field: number}), refusal)


def _half_life(value: float) -> BadConfig:
    half_life = sessions_pb2.HalfLife(value=value)
    says = (f"half_life is {value} batches", "finite number above 0", "leave it out")
    refusal = Refusal("HALF_LIFE_INVALID", says, "config.half_life.value")
    return BadConfig(f"half_life {value}", config(half_life=half_life), refusal)


def _summary(title: str, made: sessions_pb2.SessionConfig, *says: str) -> BadConfig:
    return BadConfig(title, made, Refusal("SUMMARY_SIZE_INVALID", says, "config.summary_size"))


def _centroids(title: str, made: sessions_pb2.SessionConfig, *says: str) -> BadConfig:
    return BadConfig(title, made, Refusal("INIT_INVALID", says, "config.init.centroids"))


def _init_weights(title: str, weights: tensor_pb2.Tensor, reason: str, *says: str, at: str = "") -> BadConfig:
    init = sessions_pb2.Init(centroids=tensor(CENTROIDS), weights=weights)
    return BadConfig(title, config(len(CENTROIDS), init=init), Refusal(reason, says, f"config.init.weights{at}"))


def _too_many(title: str, made: sessions_pb2.SessionConfig, field: str, *says: str) -> BadConfig:
    return BadConfig(
        title, made, Refusal("TOO_MANY_VALUES", says, f"config.{field}", grpc.StatusCode.RESOURCE_EXHAUSTED)
    )


BAD_CONFIGS = [
    *(
        BadConfig(
            f"n_clusters {k}",
            config(k),
            Refusal("N_CLUSTERS_INVALID", (f"n_clusters is {k}", "from 1 up"), "config.n_clusters"),
        )
        for k in (0, -3)
    ),
    BadConfig(
        "n_features -1",
        config(n_features=-1),
        Refusal("N_FEATURES_INVALID", ("n_features is -1", "from 1 up, or 0"), "config.n_features"),
    ),
    *(
        BadConfig(
            f"init_size {size}",
            config(5, init_size=size),
            Refusal("INIT_SIZE_INVALID", (f"init_size is {size}", "use 5 or more, or 0"), "config.init_size"),
        )
        for size in (4, -1)
    ),
    _too_many(
        "k·d",
        config(2**13, n_features=2**12),
        "n_clusters",
        "n_clusters 8,192 times n_features 4,096",
        "allows 16,777,216",
        "n_clusters can be 4,096 at most",
    ),
    _too_many("k alone", config(2**25), "n_clusters", "n_clusters 33,554,432", "allows 16,777,216"),
    _too_many("init_size·d", config(2, n_features=64, init_size=2**21), "init_size", "init_size 2,097,152", "at most"),
    _too_many(
        "summary_size·d",
        config(2, n_features=64, summary_size=2**21),
        "summary_size",
        "summary_size 2,097,152 times n_features 64",
        "allows 67,108,864",
        "summary_size can be 1,048,576 at most",
    ),
    _too_many(
        "summary_size alone",
        config(summary_size=2**31 - 1, update_rule=REFINED),
        "summary_size",
        "summary_size 2,147,483,647",
    ),
    *(
        _summary(f"summary_size {size}", config(summary_size=size), f"summary_size is {size}", "from 0 up", "leave it")
        for size in (-1, -(2**31))
    ),
    _summary(
        "refined without a summary",
        config(update_rule=REFINED, summary_size=0),
        "summary_size is 0",
        "leave summary_size out",
        "or use update_rule 'incremental'",
    ),
    _summary(
        "refined with a summary of fewer points than clusters",
        config(50, update_rule=REFINED, summary_size=49),
        "summary_size is 49; with n_clusters 50 use 100 or more, best 1,000 or more",
    ),
    _summary(
        "a summary below the least, which is enough for a few clusters",
        config(4, summary_size=50),
        "summary_size is 50; with n_clusters 4 use 100 or more, or leave it out for the default",
    ),
    _unknown("update_rule", 99, "incremental, refined"),
    _unknown("update_rule", -1, "incremental, refined"),
    BadConfig(
        "init weights without centroids",
        config(init=sessions_pb2.Init(weights=tensor([1.0, 1.0]))),
        Refusal("INIT_WEIGHTS_INVALID", ("init is 'k-means++'", "give the centroids too"), "config.init.weights"),
    ),
    _init_weights("an init weight too few", tensor([1.0]), "INIT_WEIGHTS_INVALID", "shape [1]", "makes it [2]"),
    _init_weights("init weights in rows", tensor([[1.0, 1.0]]), "SHAPE_INVALID", "2 axes", "it must have one"),
    _init_weights("init weights of no type", tensor([1.0, 1.0], dtype=0), "DTYPE_UNKNOWN", "dtype 0", at=".dtype"),
    _init_weights("init weights in part", tensor([1.0], shape=[2]), "BYTES_MISMATCH", "4 bytes", "8", at=".data"),
    *(
        _init_weights(
            f"init weight {value}",
            tensor(np.array([1.0, value])),
            "INIT_WEIGHTS_INVALID",
            f"init_weights[1] is {value}",
            "a number from 0 to 1e+60",
        )
        for value in (-1.0, NAN, INF, 1e61)
    ),
    _unknown("engine", 99, "numba, sklearn, scipy"),
    _unknown("engine", -1, "numba, sklearn, scipy"),
    _unknown("metric", 99, "euclidean, cosine"),
    _unknown("on_invalid", 99, "reject, drop, impute"),
    _unknown("dtype", 99, "float32, float64"),
    _unknown("dtype", 4, "float32, float64"),  # int8 is a type of points, not of computing
    _unknown("durability", 99, "memory"),
    BadConfig(
        "durability durable",
        config(durability=sessions_pb2.DURABILITY_DURABLE),
        Refusal("DURABILITY_UNKNOWN", ("'durable' is not available yet; use 'memory'",), "config.durability"),
    ),
    _too_many("k first", config(10**9), "n_clusters", "n_clusters 1,000,000,000", "n_clusters can be 16,777,216"),
    _too_many("d with k", config(8, n_features=2**25), "n_clusters", "with n_clusters 8, n_features can be 2,097,152"),
    BadConfig(
        "init 99",
        config(init=sessions_pb2.Init(method=99)),  # type: ignore[arg-type]
        Refusal("INIT_UNKNOWN", ("init 99", "use one of k-means++, random"), "config.init"),
    ),
    BadConfig(
        "half_life.unit 99",
        config(half_life=sessions_pb2.HalfLife(value=1, unit=99)),  # type: ignore[arg-type]
        Refusal(
            "HALF_LIFE_UNIT_UNKNOWN",
            ("half_life.unit 99", "use one of batches, points, seconds"),
            "config.half_life.unit",
        ),
    ),
    _centroids(
        "init 1e20",
        config(2, init=np.array([[0, 0], [0, 1e20]])),
        "init[1, 1] is 1e+20",
        "overflow float32",
        "float64'",
    ),
    _centroids(
        "init 1e160",
        config(2, init=np.array([[1e160, 0], [0, 0]]), dtype=tensor_pb2.DTYPE_FLOAT64),
        "init[0, 0] is 1e+160; beyond 1e+100 squared distances overflow float64: scale points and init down",
    ),
    *(_half_life(value) for value in (0.0, -1.0, NAN, INF)),
    BadConfig(
        "idle_ttl 0",
        config(idle_ttl=duration(0)),
        Refusal("IDLE_TTL_ZERO", ("idle_ttl is 0 s", "leave it out"), "config.idle_ttl"),
    ),
    BadConfig(
        "idle_ttl -1.5",
        config(idle_ttl=duration(-1.5)),
        Refusal("DURATION_NEGATIVE", ("config.idle_ttl is -1.5 s", "below 0"), "config.idle_ttl"),
    ),
    _centroids("too many centroids", config(2, init=np.zeros((3, 2))), "init has shape [3, 2]", "make it [2, 2]"),
    _centroids(
        "centroids with a column too many",
        config(2, init=np.zeros((2, 3)), n_features=2),
        "init has shape [2, 3]",
        "make it [2, 2]",
    ),
    _centroids("a centroid that is NaN", config(init=[[1, 2], [NAN, 0]]), "init row 1 is [nan", "finite"),
    _centroids("an infinite centroid", config(init=[[INF, 2], [1, 0]]), "init row 0 is [inf", "finite"),
    _centroids(
        "a centroid of zeros under cosine",
        config(init=[[1, 2], [0, 0]], metric=COSINE),
        "init row 1",
        "not all of them",
    ),
    BadConfig(
        "centroids with one axis",
        config(1, init=[1, 2]),
        Refusal("SHAPE_INVALID", ("1 axes", "rows and columns"), "config.init.centroids"),
    ),
    BadConfig(
        "centroids without bytes",
        config(init=tensor(CENTROIDS, contents=b"")),
        Refusal("BYTES_MISMATCH", ("0 bytes", "takes 16"), "config.init.centroids.data"),
    ),
    BadConfig(
        "centroids of an unknown dtype",
        config(init=tensor(CENTROIDS, dtype=99)),
        Refusal("DTYPE_UNKNOWN", ("dtype 99", "float32"), "config.init.centroids.dtype"),
    ),
]


@pytest.mark.parametrize("case", BAD_CONFIGS, ids=str)
def test_an_invalid_configuration_is_refused_and_makes_no_session(wire: Wire, name: str, case: BadConfig) -> None:
    status = refused_call(lambda: wire.create(name, case.config))

    case.refusal.check(status)
    no_session(name).check(refused_call(lambda: wire.describe(name)))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (REFINED, 4000)),
        ({"update_rule": REFINED}, (REFINED, 4000)),
        ({"summary_size": 300}, (REFINED, 300)),
        ({"summary_size": 0}, (INCREMENTAL, 0)),
        ({"update_rule": INCREMENTAL}, (INCREMENTAL, 0)),
        ({"n_features": 2**17 + 1}, (INCREMENTAL, 0)),  # with 2 clusters too many values for a summary
    ],
    ids=str,
)
def test_a_session_is_described_with_its_update_rule_and_the_size_of_its_summary(
    wire: Wire, name: str, asked: dict[str, int], expected: tuple[int, int]
) -> None:
    described = wire.create(name, config(**asked)).config

    assert (described.update_rule, described.summary_size) == expected
    assert described.HasField("summary_size")


def test_a_session_that_names_no_rule_is_incremental_when_its_first_batch_has_too_many_columns(
    wire: Wire, name: str
) -> None:
    columns = 2**17 + 1
    before = wire.create(name, config(2, init_size=2, random_state=0)).config

    result = wire.push(name, batch(np.eye(2, columns, dtype=np.uint8)))

    after = wire.describe(name).config
    assert (before.update_rule, after.update_rule, after.summary_size) == (REFINED, INCREMENTAL, 0)
    assert (result.version, result.refined) == (1, False)


@pytest.mark.parametrize(
    "bad",
    ["", "a" * 129, "a/b", ".a", "-a", "_a", "a b", "a\n", "a\0", "ä", FISH, FISH * 50_000],
    ids=lambda bad: ascii(bad[:10]),
)
def test_an_invalid_session_name_is_refused_with_the_rule_for_names(wire: Wire, bad: str) -> None:
    status = refused_call(lambda: wire.create(bad, config()))

    says = ("1 to 128 characters, letters, digits, '.', '_' or '-'", "begins with a letter or digit")
    Refusal("NAME_INVALID", says, "name").check(status)
    no_session(bad).check(refused_call(lambda: wire.describe(bad)))


def test_a_request_id_that_is_too_long_is_refused(wire: Wire) -> None:
    status = refused_call(lambda: wire.create("identified", config(), request_id="x" * 129))

    Refusal("REQUEST_ID_INVALID", ("at most 128",), "request_id").check(status)
    no_session("identified").check(refused_call(lambda: wire.describe("identified")))


@pytest.mark.parametrize("good", ["a", "7", "A0._-", "a" * 128])
def test_a_valid_session_name_is_accepted(wire: Wire, good: str) -> None:
    assert wire.create(good, config()).name == good
    wire.delete(good)


@pytest.mark.parametrize("ids", [("", ""), ("first", "second"), ("first", "")], ids=str)
def test_a_second_session_of_a_name_is_refused(wire: Wire, name: str, ids: tuple[str, str]) -> None:
    first = wire.create(name, config(2), ids[0])

    status = refused_call(lambda: wire.create(name, config(3), ids[1]))

    says = (f"session '{name}' exists", "another name")
    Refusal("SESSION_EXISTS", says, code=grpc.StatusCode.ALREADY_EXISTS, session=name).check(status)
    assert wire.describe(name) == first


def test_a_repeated_create_request_returns_the_same_session(wire: Wire, name: str) -> None:
    first = wire.create(name, config(2), "once")

    again = wire.create(name, config(2), "once")

    assert again == first


def test_a_repeated_create_request_makes_a_new_session_when_the_first_was_deleted(wire: Wire, name: str) -> None:
    first = wire.create(name, config(2), "once")
    wire.delete(name)

    again = wire.create(name, config(2), "once")

    assert again.uid != first.uid
