"""Seconds and peak memory of each stage of a training run and of the nightly run after it.

A synthetic market is trained on up to its last session but one; the nightly run then takes in
the last session and forecasts. There is one fold, to be multiplied by as many as one has. With
--flow the command `nightcast` runs once on the same bars, beside the stages without Prefect.
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from models.errors import RunError
from tests.benchmarks import frame
from tests.benchmarks.frame import Contender, Outcome
from tests.benchmarks.table import render

# Sessions of a past that is closed whenever this is run.
LAST = date(2025, 12, 31)
KINDS = ("train", "daily")
SIZES = {
    "symbols": (50, "symbols of the universe"),
    "years": (5, "years of bars, 3 or more"),
    "seeds": (1, "networks, one a seed"),
    "epochs": (2, "epochs of a fit"),
    "max-windows": (20_000, "windows of an epoch"),
}
_CONFIG = """\
name = "night"
[provider]
kind = "files"
path = "{bars}"
prices = "as_traded"
benchmark = "INDEX"
[splits]
folds = 1
fit = {fit}
stop = {stop}
calibrate = {stop}
test = {test}
[training]
epochs = {epochs}
patience = {epochs}
seeds = {seeds}
max_windows_per_epoch = {windows}
"""


def main(given: list[str] | None = None) -> None:
    """Runs the benchmark and prints its report."""
    arguments = frame.parser("night", __doc__ or "", SIZES)
    arguments.add_argument("--flow", action="store_true", help="also run nightcast itself, once")
    chosen = arguments.parse_args(given)
    if chosen.years < 3:
        arguments.error(f"--years {chosen.years} is too short for a fold; give 3 or more")
    with tempfile.TemporaryDirectory(prefix="night-") as folder:
        work = Path(folder)
        # Compiled once for all children, by `prepare`, as on a machine that is in use.
        os.environ["NUMBA_CACHE_DIR"] = str(work / "numba")
        os.environ.pop("PREFECT_API_URL", None)
        config = work / "config.toml"
        config.write_text(
            _CONFIG.format(
                bars=work / "bars.parquet",
                epochs=chosen.epochs,
                seeds=list(range(chosen.seeds)),
                windows=chosen.max_windows,
                **_spans(chosen.years),
            )
        )
        try:
            made = frame.run_rounds([_prepare(config, chosen.symbols, chosen.years)], 1)
            days = made["prepare"].facts
            stages = [_stages(config, kind, days[f"as_of_{kind}"]) for kind in KINDS]
            flows = [_flow(config, kind, days[f"as_of_{kind}"]) for kind in KINDS]
            outcomes = frame.run_rounds(stages + (flows if chosen.flow else []), chosen.repeats)
        except RunError as error:
            sys.exit(str(error))
    compared = [(f"nightcast {k}", k) for k in KINDS] if chosen.flow else []
    names = [name.replace("-", "_") for name in SIZES]
    sizes = {name: getattr(chosen, name) for name in names}
    report = frame.report("night", sizes, made | outcomes, compared)
    report["prefect_seconds"] = {ours: _excess(outcomes, flow, ours) for flow, ours in compared}
    print(json.dumps(report, indent=1) if chosen.json else render(report))


def _excess(outcomes: Mapping[str, Outcome], flow: str, bare: str) -> float | None:
    """Returns what the first round of a flow took beyond its stages; null where either is null."""
    longer, shorter = (outcomes[name].rounds[0]["wall_seconds"] for name in (flow, bare))
    return None if longer is None or shorter is None else round(longer - shorter, 3)


def _spans(years: int) -> dict[str, int]:
    """Returns the default spans of a fold, or shorter ones that leave most sessions to fit."""
    usable = years * 250 - 200
    stop, test = min(120, usable // 8), min(250, usable // 4)
    return {"stop": stop, "test": test, "fit": min(500, usable - 2 * stop - test)}


def _prepare(config: Path, symbols: int, years: int) -> Contender:
    first = LAST.replace(year=LAST.year - years)
    sizes = ("--symbols", str(symbols), "--sessions", str(first), str(LAST))
    return Contender("prepare", (*_child("prepare", config, config.parent), *sizes))


def _stages(config: Path, kind: str, day: str) -> Contender:
    root = config.parent / "stages-{round}"
    return Contender(kind, (*_child(kind, config, root), "--as-of", day))


def _flow(config: Path, kind: str, day: str) -> Contender:
    where = ("--root", str(config.parent / "flow"), "--as-of", day)
    command = (sys.executable, "-m", "flows.cli", kind, str(config), *where)
    return Contender(f"nightcast {kind}", command, once=True, silent=True)


def _child(kind: str, config: Path, root: Path) -> tuple[str, ...]:
    module = ("-m", "tests.benchmarks.night_stages", kind)
    return (sys.executable, *module, "--config", str(config), "--root", str(root))


if __name__ == "__main__":
    main()
