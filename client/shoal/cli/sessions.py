"""`shoal sessions`: create, merge, list, show, update and delete."""

from __future__ import annotations

import math
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import numpy as np
import typer

import shoal
from shoal import Engine, InitMethod, Metric, OnDrift, OnInvalid, Precision, UpdateRule
from shoal._validation import INT32, UINT32
from shoal.cli.documents import plain, session_row
from shoal.cli.failures import CommandError, tell, usage_error
from shoal.cli.files.point_file import Array
from shoal.cli.invocation import Invocation, invocation
from shoal.cli.output import as_text, show_record, show_records
from shoal.wire import MAX_DURATION_SECONDS

app = typer.Typer(help="Create, merge, list, show, update and delete sessions.", no_args_is_help=True)


class Resettable(StrEnum):
    """The fields that can be reset to a default; typer takes lists of enumerations, not of literals."""

    ENGINE = "engine"
    HALF_LIFE = "half-life"
    ON_INVALID = "on-invalid"
    IDLE_TTL = "idle-ttl"
    OUTLIER_THRESHOLD = "outlier-threshold"
    ON_DRIFT = "on-drift"


Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the session.")]
_HALF_LIFE_TEXT = "Earlier points count half after this much: 20, 20batches, 1e6points, 3600seconds."
_IDLE_TTL = "Delete the session after this many seconds without use."
_RANDOM_STATE = "Seed that makes the session repeatable."
HalfLifeText = Annotated[str | None, typer.Option("--half-life", metavar="VALUE[UNIT]", help=_HALF_LIFE_TEXT)]
IdleTtl = Annotated[float | None, typer.Option(min=0, max=MAX_DURATION_SECONDS, help=_IDLE_TTL)]


def _threshold(value: float | None) -> float | None:
    """Return the threshold if it can be one."""
    if value is not None and not 0 < value <= _MAX_OUTLIER_THRESHOLD:
        raise typer.BadParameter(
            f"{value:g} is no threshold; use a number above 0, up to {_MAX_OUTLIER_THRESHOLD}, such as 0.001. For no "
            f"scores leave the option out, or use: shoal sessions update NAME --reset outlier-threshold"
        )
    return value


_MAX_OUTLIER_THRESHOLD = 0.5
_OUTLIERS = (
    "Keep points out of the centroids that are as unusual as this share of the points, such as 0.001; all points get "
    "scores."
)
OutlierThreshold = Annotated[
    float | None,
    typer.Option(callback=_threshold, help=f"{_OUTLIERS} By default there are no scores and no outliers."),
]
_UPDATE_RULE = "What moves the centroids: incremental: the batches; refined: also refinements between them."
_SUMMARY_SIZE = "Maximum number of points of the session's summary; 0: none, and incremental."
_ON_INVALID = "How to treat NaN and infinity."
_OF_THE_FIRST = "By default that of the first session."
_ON_DRIFT = (
    "What to do when the points suddenly lie farther from the centroids: report it, or also forget what came before."
)

_HALF_LIFE = re.compile(
    r"(?P<value>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?) *(?P<unit>batches|points|seconds)?", re.IGNORECASE
)


@app.command()
def create(
    ctx: typer.Context,
    name: Name,
    clusters: Annotated[
        int, typer.Option("--clusters", "--n-clusters", "-k", min=1, max=INT32[1], help="Number of centroids.")
    ],
    features: Annotated[
        int | None,
        typer.Option(
            "--features",
            "--n-features",
            "-d",
            min=1,
            max=INT32[1],
            help="Number of columns. By default as many as the first batch has.",
        ),
    ] = None,
    engine: Annotated[Engine, typer.Option(help="The library that computes.")] = "numba",
    metric: Annotated[Metric, typer.Option(help="The distance between points and centroids.")] = "euclidean",
    on_invalid: Annotated[OnInvalid, typer.Option(help=_ON_INVALID)] = "reject",
    init: Annotated[
        str, typer.Option(metavar="METHOD|FILE", help="k-means++, random, or an npy file of centroids (k, d).")
    ] = "k-means++",
    init_weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An npy file of weights (k,): how many points each of --init's stands for."),
    ] = None,
    init_size: Annotated[
        int | None,
        typer.Option(min=1, max=INT32[1], help="Number of points for the initial centroids. By default three times k."),
    ] = None,
    random_state: Annotated[int | None, typer.Option(min=0, max=UINT32[1], help=_RANDOM_STATE)] = None,
    dtype: Annotated[
        Precision | None, typer.Option(help="Precision of the computation. By default the precision of the points.")
    ] = None,
    half_life: HalfLifeText = None,
    idle_ttl: IdleTtl = None,
    update_rule: Annotated[
        UpdateRule | None,
        typer.Option(help=f"{_UPDATE_RULE} By default refined, if the session isn't too large for a summary."),
    ] = None,
    summary_size: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=INT32[1],
            help=f"{_SUMMARY_SIZE} By default as the server says.",
        ),
    ] = None,
    outlier_threshold: OutlierThreshold = None,
    on_drift: Annotated[OnDrift, typer.Option(help=_ON_DRIFT)] = "report",
    exist_ok: Annotated[bool, typer.Option("--exist-ok", help="Succeed if the session exists already.")] = False,
) -> None:
    """Create a session."""
    if init_weights is not None and init in get_args(InitMethod):
        raise usage_error("--init-weights needs --init with an npy file: the centroids (k, d) that the weights are of")
    asked: dict[str, Any] = {
        "n_clusters": clusters,
        "n_features": features,
        "engine": engine,
        "metric": metric,
        "on_invalid": on_invalid,
        "init": _init(init),
        "init_weights": None if init_weights is None else _npy("--init-weights", str(init_weights), "weights (k,)"),
        "init_size": init_size,
        "random_state": random_state,
        "dtype": dtype,
        "half_life": _half_life(half_life),
        "idle_ttl": idle_ttl,
        "update_rule": update_rule,
        "summary_size": summary_size,
        "outlier_threshold": outlier_threshold,
        "on_drift": on_drift,
    }
    with invocation(ctx).connect() as client:
        session = client.create_session(name, **asked, exist_ok=exist_ok).describe()
    if exist_ok:
        _tell_differences(session, asked)
    _show(session, invocation(ctx))


@app.command()
def merge(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="The sessions to merge; they stay.")],
    into: Annotated[str, typer.Option(metavar="NAME", help="The name of the new session.")],
    clusters: Annotated[
        int | None,
        typer.Option(
            "--clusters", "--n-clusters", "-k", min=1, max=INT32[1], help=f"Number of centroids. {_OF_THE_FIRST}"
        ),
    ] = None,
    engine: Annotated[Engine | None, typer.Option(help=f"The library that computes. {_OF_THE_FIRST}")] = None,
    on_invalid: Annotated[OnInvalid | None, typer.Option(help=f"{_ON_INVALID} {_OF_THE_FIRST}")] = None,
    random_state: Annotated[
        int | None, typer.Option(min=0, max=UINT32[1], help=f"{_RANDOM_STATE} {_OF_THE_FIRST}")
    ] = None,
    half_life: Annotated[
        str | None, typer.Option("--half-life", metavar="VALUE[UNIT]", help=f"{_HALF_LIFE_TEXT} {_OF_THE_FIRST}")
    ] = None,
    idle_ttl: Annotated[
        float | None, typer.Option(min=0, max=MAX_DURATION_SECONDS, help=f"{_IDLE_TTL} {_OF_THE_FIRST}")
    ] = None,
    update_rule: Annotated[UpdateRule | None, typer.Option(help=f"{_UPDATE_RULE} {_OF_THE_FIRST}")] = None,
    summary_size: Annotated[
        int | None, typer.Option(min=0, max=INT32[1], help=f"{_SUMMARY_SIZE} {_OF_THE_FIRST}")
    ] = None,
    outlier_threshold: Annotated[
        float | None, typer.Option(callback=_threshold, help=f"{_OUTLIERS} {_OF_THE_FIRST}")
    ] = None,
    on_drift: Annotated[OnDrift | None, typer.Option(help=f"{_ON_DRIFT} {_OF_THE_FIRST}")] = None,
    exist_ok: Annotated[bool, typer.Option("--exist-ok", help="Succeed if the session exists already.")] = False,
) -> None:
    """Make a session of what others have seen.

    Its configuration is that of the first session, except for what is given here.
    """
    asked: dict[str, Any] = {
        "n_clusters": clusters,
        "engine": engine,
        "on_invalid": on_invalid,
        "random_state": random_state,
        "half_life": _half_life(half_life),
        "idle_ttl": idle_ttl,
        "update_rule": update_rule,
        "summary_size": summary_size,
        "outlier_threshold": outlier_threshold,
        "on_drift": on_drift,
    }
    with invocation(ctx).connect() as client:
        _show(client.merge_sessions(names, into, **asked, exist_ok=exist_ok).describe(), invocation(ctx))


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List the sessions."""
    with invocation(ctx).connect() as client:
        sessions = list(client.list_sessions())
    if invocation(ctx).output == "json":
        show_records([plain(session) for session in sessions], "json")
    elif sessions:
        show_records([session_row(session) for session in sessions], "table")
    else:
        tell(f"{invocation(ctx).target} has no sessions; make one with: shoal sessions create NAME -k 8")


@app.command()
def show(ctx: typer.Context, name: Name) -> None:
    """Show everything about a session except its centroids."""
    with invocation(ctx).connect() as client:
        _show(client.session(name).describe(), invocation(ctx))


@app.command()
def update(
    ctx: typer.Context,
    name: Name,
    clusters: Annotated[
        int | None,
        typer.Option(
            "--clusters",
            "--n-clusters",
            "-k",
            min=1,
            max=INT32[1],
            help="The number of clusters: some split or merge, the others stay.",
        ),
    ] = None,
    engine: Annotated[Engine | None, typer.Option(help="The library that computes from the next batch on.")] = None,
    half_life: HalfLifeText = None,
    on_invalid: Annotated[OnInvalid | None, typer.Option(help=_ON_INVALID)] = None,
    idle_ttl: IdleTtl = None,
    outlier_threshold: OutlierThreshold = None,
    on_drift: Annotated[OnDrift | None, typer.Option(help=_ON_DRIFT)] = None,
    reset: Annotated[
        list[Resettable] | None, typer.Option(help="Reset this field to its default. Can be repeated.")
    ] = None,
    etag: Annotated[str | None, typer.Option(help="Fail unless the session still has this etag.")] = None,
) -> None:
    """Change a session, from the next batch on."""
    wanted = {
        "n_clusters": clusters,
        "engine": engine,
        "half_life": _half_life(half_life),
        "on_invalid": on_invalid,
        "idle_ttl": idle_ttl,
        "outlier_threshold": outlier_threshold,
        "on_drift": on_drift,
    }
    changes: dict[str, Any] = {field: value for field, value in wanted.items() if value is not None}
    resets = {field.replace("-", "_") for field in reset or ()}
    if both := sorted(resets & set(changes)):
        raise usage_error(f"{both[0]} can't be given and reset at once")
    changes.update(dict.fromkeys(resets, None))
    if not changes:
        options = ", ".join(f"--{each}" for each in ("clusters", *Resettable))
        raise usage_error(f"nothing to change; give one of {options} and --reset")
    with invocation(ctx).connect() as client:
        _show(client.session(name).update(**changes, etag=etag), invocation(ctx))


@app.command()
def delete(
    ctx: typer.Context,
    name: Name,
    etag: Annotated[str | None, typer.Option(help="Fail unless the session still has this etag.")] = None,
) -> None:
    """Delete a session and end its watches."""
    with invocation(ctx).connect() as client:
        client.session(name).delete(etag=etag)
    tell(f"session {name!r} is deleted")


def _show(session: shoal.SessionDescription, shared: Invocation) -> None:
    document = plain(session)
    if shared.output == "table" and session.inertia_per_point is None:
        document["inertia_per_point"] = as_text(None)  # it isn't there yet, which isn't the same as 0
    show_record(document, shared.output)


def _tell_differences(session: shoal.SessionDescription, asked: dict[str, Any]) -> None:
    """Report how an existing session differs from the options; options left to the server can't differ."""
    there = {field: getattr(session.config, field) for field in asked}
    differences = [
        f"{field} is {_brief(there[field])}, not {_brief(wanted)}"
        for field, wanted in asked.items()
        if not np.array_equal(there[field], wanted) and (wanted is not None or field == "half_life")
    ]
    if differences:
        tell(f"session {session.name!r} was there already and stays as it is: {'; '.join(differences)}")


def _brief(value: Any) -> str:
    if isinstance(value, shoal.HalfLife):
        return f"{value.value:g} {value.unit}"
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else str(value)


def _init(text: str) -> InitMethod | Array:
    if text in get_args(InitMethod):
        return cast("InitMethod", text)
    if not Path(text).is_file():
        raise usage_error(f"--init {text}: neither k-means++ nor random nor an npy file of centroids (k, d)")
    return _npy("--init", text, "centroids (k, d)")


def _npy(option: str, path: str, what: str) -> Array:
    if not Path(path).is_file():
        raise usage_error(f"{option} {path}: not an npy file of {what}")
    try:
        array: Array = np.lib.format.open_memmap(path, mode="r")
    except ValueError as error:
        raise CommandError(f"{path}: not an npy file of {what}: {error}") from error
    return array


def _half_life(text: str | None) -> shoal.HalfLife | None:
    if text is None:
        return None
    match = _HALF_LIFE.fullmatch(text.strip())
    if match is None or not 0 < float(match["value"]) < math.inf:
        raise usage_error(
            f"--half-life {text}: give a number above 0 and a unit, such as 20batches, 1e6points or 3600seconds"
        )
    unit: Any = (match["unit"] or "batches").lower()
    return shoal.HalfLife(float(match["value"]), unit)
