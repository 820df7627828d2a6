"""Writes vectorbt.csv, the equity that vectorbt 1.2 finds for three portfolios on bars.csv.

Run it in an environment of its own: `pip install vectorbt==1.2.0`, then
`python tests/evaluation/golden/vectorbt_account.py`. Sizes are shares of the equity at the close
before (`val_price`), filled at the open (`price`).
"""

from pathlib import Path

import numpy as np
import pandas as pd
import vectorbt as vbt

HERE = Path(__file__).parent
RATE = 0.001


def main() -> None:
    """Writes the file."""
    bars = pd.read_csv(HERE / "bars.csv", parse_dates=["date"])
    opens, closes, signal = (
        bars.pivot(index="date", columns="symbol", values=v) for v in ("open", "close", "signal")
    )
    halted = opens.copy()
    halted.iloc[10:13, 0] = halted.iloc[20, 2] = np.nan
    rank = signal.rank(axis=1, ascending=False)
    top = (rank <= 2) * 0.4
    sides = (rank <= 2) * 0.25 - (rank >= 5) * 0.25
    third = sides.copy()
    third[np.arange(len(sides)) % 3 != 0] = np.nan
    found = {
        "long_only": account(top, opens, closes),
        "long_only_halted": account(0.5 * top, halted, closes),
        "long_short_every_third": account(third, opens, closes),
    }
    table = pd.DataFrame(found)
    table.to_csv(HERE / "vectorbt.csv", float_format="%.17g", lineterminator="\n")


def account(weights: pd.DataFrame, opens: pd.DataFrame, closes: pd.DataFrame) -> pd.Series:
    """Returns the equity of trading the weights of each close at the next open."""
    made = vbt.Portfolio.from_orders(
        closes,
        size=weights.shift(1),
        price=opens,
        val_price=closes.shift(1).fillna(opens),
        size_type="targetpercent",
        group_by=True,
        cash_sharing=True,
        call_seq="auto",
        fees=RATE,
        init_cash=1e6,
        freq="D",
    )
    return made.value()


if __name__ == "__main__":
    main()
