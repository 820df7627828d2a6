"""Writes zipline.csv, the equity that zipline-reloaded 3.2 finds on the closes of bars.csv.

Run it in an environment of its own: `pip install zipline-reloaded==3.2.1`, then
`ZIPLINE_ROOT=$(mktemp -d) python tests/evaluation/golden/zipline_account.py`. zipline decides on
the bar of a session and fills at the close of the next one, in whole shares, so the portfolio is
large.
"""

import tempfile
from pathlib import Path

import pandas as pd
from zipline import run_algorithm
from zipline.api import order_target_percent, set_commission, set_slippage, symbol
from zipline.data.bundles import ingest, register
from zipline.data.bundles.csvdir import csvdir_equities
from zipline.finance.commission import PerDollar
from zipline.finance.slippage import NoSlippage

HERE = Path(__file__).parent
RATE, CAPITAL = 0.001, 1e10


def main() -> None:
    """Writes the file."""
    bars = pd.read_csv(HERE / "bars.csv", parse_dates=["date"])
    rank = bars.pivot(index="date", columns="symbol", values="signal").rank(axis=1, ascending=False)
    with tempfile.TemporaryDirectory() as folder:
        daily = Path(folder, "daily")
        daily.mkdir()
        for name, own in bars.groupby("symbol"):
            frame = pd.DataFrame(
                {"date": own["date"], "volume": 10**9, "dividend": 0.0, "split": 1.0}
            )
            for price in ("open", "high", "low", "close"):
                frame[price] = own["close"]
            columns = ["date", "open", "high", "low", "close", "volume", "dividend", "split"]
            frame[columns].to_csv(daily / f"{name}.csv", index=False)
        days = rank.index
        register("golden", csvdir_equities(["daily"], folder), calendar_name="XNYS",
                 start_session=days[0], end_session=days[-1])  # fmt: skip
        ingest("golden", show_progress=False)

    def initialize(context):
        set_commission(PerDollar(cost=RATE))
        set_slippage(NoSlippage())

    def handle_data(context, data):
        today = rank.loc[data.current_session]
        # Names to sell come first, as zipline fills in the order of the orders.
        for name in today.sort_values(ascending=False).index:
            order_target_percent(symbol(name), 0.4 if today[name] <= 2 else 0.0)

    told = run_algorithm(
        start=days[0], end=days[-1], initialize=initialize, handle_data=handle_data,
        capital_base=CAPITAL, bundle="golden", benchmark_returns=pd.Series(0.0, index=days),
    )  # fmt: skip
    equity = told["portfolio_value"]
    equity.index = days
    table = pd.DataFrame({"long_only": equity})
    table.to_csv(HERE / "zipline.csv", float_format="%.17g", lineterminator="\n")


if __name__ == "__main__":
    main()
