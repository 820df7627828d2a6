"""Writes bars.csv: 40 sessions of 6 random walks with a forecast at every close; needs numpy.

Prices have three decimals, as zipline keeps them. `python tests/evaluation/golden/bars.py`.
"""

import csv
from datetime import date, timedelta
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
# From Labor Day to Thanksgiving every weekday is a session in New York.
FIRST, SESSIONS = date(2015, 9, 8), 40
SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF")


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(20150908)
    shape = (SESSIONS, len(SYMBOLS))
    opens = np.round(50 * np.exp(np.cumsum(rng.normal(0, 0.03, shape), axis=0)), 3)
    closes = np.round(opens * np.exp(rng.normal(0, 0.02, shape)), 3)
    signal = np.round(rng.normal(size=shape), 6)
    days = [FIRST + timedelta(days=day) for day in range(2 * SESSIONS)]
    days = [day for day in days if day.weekday() < 5][:SESSIONS]
    with (HERE / "bars.csv").open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("date", "symbol", "open", "close", "signal"))
        for row, day in enumerate(days):
            for place, symbol in enumerate(SYMBOLS):
                cells = (opens[row, place], closes[row, place], signal[row, place])
                rows.writerow((day, symbol, *map(float, cells)))


if __name__ == "__main__":
    main()
