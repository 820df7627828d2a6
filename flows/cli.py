"""The command `nightcast`.

Nothing heavy is imported at the top: `--help` brings neither Prefect nor torch.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console

if TYPE_CHECKING:
    from flows.config import RunConfig
    from flows.environment import Place
    from flows.session import Kind

app = typer.Typer(
    name="nightcast",
    help="Nightly stock forecasts that prove their own honesty.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_out = Console()
_err = Console(stderr=True, soft_wrap=True)

Root = Annotated[
    Path | None,
    typer.Option(
        "--root",
        help="Data root; $NIGHTCAST_ROOT or ./nightcast-data by default.",
        show_default=False,
    ),
]
Config = Annotated[
    Path | None,
    typer.Argument(help="A TOML file such as deploy/sample.toml; the sample by default."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Overrides one value; may be repeated."),
]
AsOf = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=["%Y-%m-%d"], help="A session; the newest by default."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


@app.command()
def demo(root: Root = None) -> None:
    """Runs everything on the embedded sample: train, forecast, report. No network, no server."""
    place = _place(root)
    config = _config(None, None)
    _check(config, "train", None, place)
    _say(place, private=True)
    _run("train", config, None, place)
    night = _run("daily", config, None, place)
    if night:
        _print_night(place, night)


@app.command()
def train(
    config: Config = None, root: Root = None, overrides: Overrides = None, as_of: AsOf = None
) -> None:
    """Trains and evaluates a model, and asks the gate whether it becomes champion."""
    place, loaded = _place(root), _config(config, overrides)
    _check(loaded, "train", _day(as_of), place)
    _say(place)
    outcome = _run("train", loaded, _day(as_of), place)
    if outcome:
        _print_verdict(place, outcome["model"])
        _out.print(f"Report: {outcome['report']}", soft_wrap=True)


@app.command()
def daily(
    config: Config = None, root: Root = None, overrides: Overrides = None, as_of: AsOf = None
) -> None:
    """Makes and publishes tonight's forecasts, or those of a past night."""
    place, loaded = _place(root), _config(config, overrides)
    _check(loaded, "daily", _day(as_of), place)
    _say(place)
    outcome = _run("daily", loaded, _day(as_of), place)
    if outcome:
        _print_night(place, outcome)


@app.command()
def tune(
    config: Config = None, root: Root = None, overrides: Overrides = None, as_of: AsOf = None
) -> None:
    """Tries the values of [tuning.space] and writes the best as a configuration to train with."""
    from flows.inner import inner_splits

    place, loaded = _place(root), _config(config, overrides)
    inner_splits(loaded)
    _check(loaded, "train", _day(as_of), place)
    _say(place)
    outcome = _run("tune", loaded, _day(as_of), place)
    if outcome:
        _print_study(outcome)


@app.command()
def forecasts(
    root: Root = None,
    as_of: AsOf = None,
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    as_json: Json = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="Also the clock that the night's data was read by.")
    ] = False,
) -> None:
    """Shows the forecasts of the newest night, or of the night asked for."""
    from flows import show

    rows = show.forecasts(_existing(root), _day(as_of), symbol, audit)
    _emit(rows, as_json, lambda: show.forecast_table(rows))


@app.command()
def features(
    kind: Annotated[
        str | None, typer.Option(help="Only this kind, such as trend or volume.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Shows what `features.features` may name: indicators, and transforms behind a bar."""
    from flows import show

    rows = show.features(kind)
    _emit(rows, as_json, lambda: show.feature_table(rows))


@app.command()
def models(root: Root = None, as_json: Json = False) -> None:
    """Shows the registry, newest first: what the gate or a person decided, and why."""
    from flows import show

    rows = show.models(_existing(root))
    _emit(rows, as_json, lambda: show.model_table(rows))


@app.command()
def promote(
    model: Annotated[str, typer.Argument(help="A model that `nightcast models` shows.")],
    reason: Annotated[str, typer.Option(help="Why; kept for auditors.")] = "",
    root: Root = None,
) -> None:
    """Makes a model champion by hand, whatever the gate has said; its certificate must be clean."""
    from getpass import getuser

    from flows import show
    from flows.environment import one_run

    place = _existing(root)
    with one_run(place, f"Another run works below {place.root}; waiting for it to end."):
        done = show.promote(place, model, reason, getuser())
    _out.print(_plain(done), soft_wrap=True)


@app.command()
def quarantine(
    root: Root = None,
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    as_json: Json = False,
    release: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Release --symbol's row of this date."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why the row may pass; kept for auditors.")] = "",
) -> None:
    """Shows the refused and held bars, each with its rule and the value met; releases one."""
    from flows import show

    place = _existing(root)
    if release is not None:
        rows = _released(place, symbol, release.date(), reason)
        _emit(rows, as_json, lambda: show.quarantine_table("Released", rows))
        return
    rows = show.quarantine(place, symbol)
    _emit(rows, as_json, lambda: show.quarantine_table("Quarantine", rows))


@app.command()
def report(
    root: Root = None,
    as_of: AsOf = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Prints where the newest report lies."""
    from flows import show

    path = show.newest_report(_existing(root), _day(as_of))
    _out.print(str(path), soft_wrap=True)
    if open_it:
        typer.launch(str(path))


@app.command()
def serve(
    config: Config = None,
    root: Root = None,
    overrides: Overrides = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free port.")] = 4200,
) -> None:
    """Serves the Prefect UI and the schedules on this machine, until interrupted."""
    from flows.serving import serve_here

    place = _place(root)
    loaded = _config(config, overrides) if config or overrides else None
    serve_here(place, loaded, port, lambda line: _err.print(line))


@app.command()
def doctor(root: Root = None, as_json: Json = False) -> None:
    """Checks versions, GPU, calendar, data root and server; says how to mend what is wrong."""
    from flows import show
    from flows.doctor import examine

    checks = examine(_place(root))
    rows = [vars(c) for c in checks]
    _emit(rows, as_json, lambda: show.plain_table("Doctor", rows))
    if any(c.state == "wrong" for c in checks):
        raise typer.Exit(1)


def main() -> None:
    """Runs the command; our own errors become one message and their exit code."""
    from models.errors import NightcastError

    # Read when torch is loaded. By default idle threads spin, which starves a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        app()
    except NightcastError as error:
        _fail(error, error.exit_code)


def _fail(error: BaseException, code: int) -> NoReturn:
    _err.print(f"[bold red]Error:[/] {_plain(str(error))}")
    sys.exit(code)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _place(root: Path | None) -> Place:
    from flows.environment import data_root

    return data_root(root)


def _existing(root: Path | None) -> Place:
    from models.errors import UsageError

    place = _place(root)
    if not (place.root / "lake").is_dir():
        raise UsageError(
            f"There is no lake below {str(place.root)!r} yet; run `nightcast demo` or "
            "`nightcast train`, or name another --root."
        )
    return place


def _config(path: Path | None, overrides: list[str] | None) -> RunConfig:
    from flows.config import load_config

    return load_config(path, overrides or [])


def _day(as_of: datetime | None) -> date | None:
    return None if as_of is None else as_of.date()


def _check(config: RunConfig, kind: Kind, as_of: date | None, place: Place) -> None:
    """Meets bad input before the seconds that Prefect takes to start, and before any write."""
    from datetime import UTC

    from flows.session import plan_run
    from tasks.lake.store import Lake
    from tasks.publishing.registry import champion

    now = datetime.now(UTC)
    plan = plan_run(config, kind, as_of, now, place.lake)
    if kind == "daily" and plan.session is not None:
        champion(Lake(place.lake), config.name, plan.session, now, config.universe.exchange)


def _say(place: Place, private: bool = False) -> None:
    from flows.environment import prepare

    server = prepare(place, private)
    _err.print(f"[dim]data root {_plain(str(place.root))} · {_plain(server)}[/]")


def _run(
    flow: Literal["train", "daily", "tune"], config: RunConfig, as_of: date | None, place: Place
) -> dict[str, Any] | None:
    """Runs a flow to its end and returns its outcome, or None where it was skipped."""
    from flows.environment import one_run, start_server_in_process

    with one_run(place, f"Another run works below {place.root}; waiting for it to end."):
        start_server_in_process()
        if flow == "train":
            from flows.train import train as chosen
        elif flow == "tune":
            from flows.tune import tune as chosen
        else:
            from flows.daily import daily as chosen
        state = chosen(config, as_of, return_state=True)
    if state.name == "Skipped":
        _out.print(f"Skipped: {state.message}")
        return None
    result = state.result(raise_on_failure=True)
    return dict(result)


def _print_night(place: Place, outcome: dict[str, Any]) -> None:
    from flows import show

    _print_verdict(place, outcome["model"])
    cutoff = date.fromisoformat(outcome["cutoff"])
    _out.print(show.forecast_table(show.forecasts(place, cutoff, None, False, outcome["model"])))
    if outcome.get("published") == 0:
        _out.print("This night was published before; nothing was added.")
    _out.print(f"Report: {outcome['report']}", soft_wrap=True)


def _print_study(outcome: dict[str, Any]) -> None:
    from flows import show

    best, metric, repeats = outcome["best"], outcome["metric"], outcome["repeats"]
    rows = [
        {
            "trial": f"{row['number'] + 1}{' best' if row['number'] == best else ''}",
            "values": "\n".join(f"{key}={_short(value)}" for key, value in row["values"].items()),
            "state": row["state"],
            **{m: _short(row[m]) for m in ("ic", "rank_ic", "mse")},
        }
        for row in outcome["trials"]
    ]
    _out.print(show.plain_table(f"Trials, scored by {metric} up to {outcome['end']}", rows))
    for row in outcome["trials"]:
        if row["reason"]:
            _out.print(f"Trial {row['number'] + 1} failed: {_plain(row['reason'])}", soft_wrap=True)
    if repeats:
        _out.print(f"{repeats} more came back to values that had been tried.")
    values = outcome["values"].items()
    # A table such as losses has no form of one line that JSON and TOML share.
    if not any(isinstance(value, dict) for _, value in values):
        flags = " ".join(f"--set {shlex.quote(f'{k}={json.dumps(v)}')}" for k, v in values)
        _out.print(f"Best: {_plain(flags)}", soft_wrap=True)
    train = f"nightcast train {shlex.quote(outcome['file'])}"
    _out.print(f"Train with it: {_plain(train)}", soft_wrap=True)


def _short(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value


def _print_verdict(place: Place, model: str) -> None:
    from flows import show

    _out.print(show.verdict_panel(place, model))


def _released(place: Place, symbol: str | None, day: date, reason: str) -> list[dict[str, Any]]:
    from getpass import getuser

    from flows import show
    from flows.environment import one_run
    from models.errors import UsageError

    if symbol is None:
        raise UsageError(f"--release {day} names no symbol; add --symbol.")
    with one_run(place, f"Another run works below {place.root}; waiting for it to end."):
        return show.release(place, symbol, day, reason, getuser())


def _emit(rows: list[dict[str, Any]], as_json: bool, table: Callable[[], object]) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=1, default=str, allow_nan=False))
    else:
        _out.print(table())


if __name__ == "__main__":
    main()
