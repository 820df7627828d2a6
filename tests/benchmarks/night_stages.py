"""The children of the benchmark `night`: `python -m tests.benchmarks.night_stages KIND …`.

`prepare` makes the market and compiles the kernels. `train` and `daily` run the flow of that name
without Prefect's engine (see `bare.py`) and print what each stage took.
"""

import argparse
import json
import os
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks.meter import Meter

# Plain functions that a flow calls besides its tasks, and the stage they count as.
_FUNCTIONS = {"plan_run": "plan", "champion": "plan", "ingest": "ingest"}


def main() -> None:
    """Runs one child and prints what it measured."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("kind", choices=("prepare", "train", "daily"))
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--root", type=Path)
    arguments.add_argument("--as-of", type=date.fromisoformat)
    arguments.add_argument("--symbols", type=int)
    arguments.add_argument("--sessions", type=date.fromisoformat, nargs=2)
    chosen = arguments.parse_args()
    if chosen.kind == "prepare":
        print(json.dumps(prepare(chosen.config, chosen.symbols, *chosen.sessions)))
    else:
        print(json.dumps(run_stages(chosen.kind, chosen.config, chosen.root, chosen.as_of)))


def prepare(config: Path, symbols: int, first: date, last: date) -> dict[str, Any]:
    """Writes the bars that the configuration names, and compiles the kernels."""
    from flows.config import load_config
    from tasks.features.frame import build
    from tasks.ingest.spec import FilesSpec
    from tasks.lake.calendar import sessions
    from tests.benchmarks.synthetic import INDEX, make_market

    meter, loaded = Meter(), load_config(config)
    assert isinstance(loaded.provider, FilesSpec)
    days = sessions(loaded.universe.exchange, first, last)
    with meter("market"):
        market = make_market(symbols, days)
        market.bars.write_parquet(loaded.provider.path)
    with meter("kernels"):
        build(market.bars.filter(symbol=INDEX).drop("split", "dividend"), loaded.features)
    dates = {"as_of_train": str(days[-2]), "as_of_daily": str(days[-1])}
    return {**meter.result(), "bars": market.bars.height, **dates}


def run_stages(kind: str, config: Path, root: Path, as_of: date) -> dict[str, Any]:
    """Runs the flow `kind` without Prefect's engine."""
    meter = Meter()
    os.environ["NIGHTCAST_ROOT"] = str(root)
    with meter("imports"):
        from prefect.logging import disable_run_logger

        from flows.config import load_config

        flow = import_module(f"flows.{kind}")
        flow_function = getattr(flow, kind).fn
        _strip(flow, meter)
    with disable_run_logger():
        state = flow_function(load_config(config), as_of)
    if not state.is_completed() or state.name == "Skipped":
        raise SystemExit(f"The flow {kind} ended as {state.name}: {state.message}")
    return {**meter.result(), "device": _device()}


def _strip(flow: Any, meter: Meter) -> None:
    from flows import prices
    from tasks.ingest import task as ingestion
    from tasks.publishing import task as publishing
    from tests.benchmarks.bare import measured, strip

    strip(flow, meter)
    strip(prices)
    for name, stage in _FUNCTIONS.items():
        if hasattr(flow, name):
            setattr(flow, name, measured(getattr(flow, name), meter, stage))
    # What is left for Prefect's UI to show needs a server.
    for module in (ingestion, publishing):
        for name in ("create_markdown_artifact", "create_table_artifact"):
            setattr(module, name, lambda *_, **__: None)


def _device() -> str:
    from models.device import fingerprint, resolve_device

    facts = fingerprint(resolve_device("auto"))
    return str(facts["gpu"] or facts["device"])


if __name__ == "__main__":
    main()
