"""Seconds of a long-only portfolio of the best names, rebalanced every session, beside peers.

`ours` simulates the portfolio from forecasts to the account of every day, at commission and spread;
`ours_slippage` adds slippage by volume, a limit on it and a drop limit. `vectorbt` and `bt` are
given the same forecasts and prices, choose the names themselves and pay the same rate; so does
`vectorbt_weights`, which finds its weights made beforehand. The first call is counted apart: it
holds what is compiled, or loaded from disk where it was compiled before; `ours_cold` compiles
into an empty folder. bt takes the first `--bt-days` sessions only, and its seconds a session are
multiplied.

Peers fill at the prices that stand beside the weights, so they get the weights of the session
before and the opens. vectorbt takes, as we do, the equity and prices of the close before for the
sizes; where the cash runs short it fills one order after the other and we cut all alike, and
`vectorbt_gap` is what that makes of the last equity. With cash enough the account is the same to
1e-9 (`tests/evaluation/test_portfolio_peers.py`).
"""

import json
import sys
from typing import Any

from models.errors import RunError
from tests.benchmarks import frame
from tests.benchmarks.frame import Contender, find_peer
from tests.benchmarks.table import render

SIZES = {
    "symbols": (500, "symbols of the market"),
    "days": (2520, "sessions"),
    "names": (50, "names held"),
    "calls": (5, "calls after the first"),
    "bt-days": (60, "sessions that bt gets"),
}
# The peer's name, and the module that its Python must have.
PEERS = {"vectorbt": "vectorbt", "vectorbt_weights": "vectorbt", "bt": "bt"}
_STAGES = "tests.benchmarks.portfolio_stages"
_PEERS = "tests/benchmarks/portfolio_peers.py"


def main(given: list[str] | None = None) -> None:
    """Runs the benchmark and prints its report."""
    chosen = frame.parser("portfolio", __doc__ or "", SIZES).parse_args(given)
    sizes = {name: getattr(chosen, name.replace("-", "_")) for name in SIZES}
    told = [f"--{name}={size}" for name, size in sizes.items()]

    def ours(name: str, once: bool = False) -> Contender:
        return Contender(name, (sys.executable, "-m", _STAGES, name, *told), once=once)

    peers = [
        find_peer(name, module, (_PEERS, name, *told), chosen.peer_python)
        for name, module in PEERS.items()
    ]
    # The cold one comes first, so that loading is not mistaken for compiling.
    contenders = [ours("ours_cold", once=True), ours("ours"), ours("ours_slippage"), *peers]
    try:
        outcomes = frame.run_rounds(contenders, chosen.repeats)
    except RunError as error:
        sys.exit(str(error))
    compared = [(name, "ours") for name in PEERS]
    report = frame.report("portfolio", sizes, outcomes, compared)
    report |= conclude(report)
    if chosen.json:
        print(json.dumps(report, indent=1))
        return
    print(render(report))
    for key, value in conclude(report).items():
        print(f"{key}: {value}")


def conclude(report: dict[str, Any]) -> dict[str, Any]:
    """Returns the figures that the goals are about, from what `frame.report` returned.

    A ratio is the peer's seconds over ours; `vectorbt_gap` is how far vectorbt's last equity lies
    from ours, as a share.
    """

    def ratio(name: str) -> Any:
        return (report["ratios"][f"{name} / ours"] or {}).get("seconds")

    medians = {name: result["medians"] for name, result in report["results"].items()}
    ours, theirs = medians["ours"], medians["vectorbt"]
    return {
        "seconds": ours["seconds"],
        "first_call_seconds": ours["first_seconds"],
        "compile_seconds": medians["ours_cold"]["first_seconds"],
        "vectorbt_ratio": ratio("vectorbt"),
        "vectorbt_weights_ratio": ratio("vectorbt_weights"),
        "bt_ratio": ratio("bt"),
        "vectorbt_gap": None if theirs is None else abs(theirs["final"] / ours["final"] - 1.0),
    }


if __name__ == "__main__":
    main()
