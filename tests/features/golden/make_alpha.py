"""Write bars.csv, alpha158.csv and alpha360.csv: generated bars and pyqlib's own features of them.

Run by a person, in an environment that need not have nightcast:

    pip install pyqlib==0.9.7 pandas==3.1.1 numpy==2.4.6
    python make_alpha.py [FOLDER]

FOLDER is where the three files go, this script's own folder by default. qlib's binary store is
built in a temporary folder and removed.

- bars.csv: three symbols on the same 130 weekdays, no bar missing. The draws are integers, prices
  are whole numbers of a binary tick and volumes fit 24 bits, so every value is a float32 exactly
  and the decimal text reads back exactly. vwap is not written: it is (high + low + close) / 3 in
  float64, which qlib then stores as float32.
- alpha158.csv, alpha360.csv: Alpha158DL's and Alpha360DL's columns under qlib's names and in its
  order, float32 with 9 significant digits, empty where qlib gives NaN; chosen rows only.

The symbols differ in what they try:

- PLAIN: a fine tick, about 100 a share, few equal prices.
- TIES: a coarse tick, so that closes, highs and lows repeat within a lookback; 14 equal closes, of
  which the first six bars are flat and without volume; single bars without volume; equal volumes.
- PENNY: about 0.005 a share, volumes beyond 2**24, and a quiet stretch where the price moves while
  its standard deviation stays under 2e-5, which qlib's Corr and Rsquare take for constant.
"""

import logging
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

SEED = 158
SESSIONS = 130
FIRST = "2024-01-02"
PRICES = ("open", "high", "low", "close")
# Rows are counted from 0; from row 60 on, every column has all the bars it looks back to.
ROWS_158 = (0, 1, 2, 4, 5, 9, 10, 19, 20, 29, 30, 58, 59, *range(60, SESSIONS))
ROWS_360 = (0, 1, 30, 58, 59, 60, 83, 91, 101, 129)


def ticks(draw: np.random.Generator, start: int, steps: np.ndarray, gap: int, reach: int) -> dict:
    """Coherent open, high, low and close in ticks; whole numbers only, the same everywhere."""
    close = start + np.cumsum(steps)
    open_ = np.r_[start, close[:-1]] + draw.integers(-gap, gap + 1, SESSIONS)
    return {
        "open": open_,
        "high": np.maximum(open_, close) + draw.integers(0, reach + 1, SESSIONS),
        "low": np.minimum(open_, close) - draw.integers(0, reach + 1, SESSIONS),
        "close": close,
    }


def plain() -> dict:
    """A price of about 100 in steps of up to 2 %."""
    draw = np.random.default_rng([SEED, 1])
    tick = 2.0**-10
    bars = ticks(draw, 102_400, draw.integers(-2_000, 2_011, SESSIONS), 600, 900)
    volume = draw.integers(200_000, 3_000_000, SESSIONS)
    return {name: bars[name] * tick for name in PRICES} | {"volume": volume}


def ties() -> dict:
    """A price of about 40 in ticks of a quarter, with constant and untraded stretches."""
    draw = np.random.default_rng([SEED, 2])
    steps = draw.integers(-2, 3, SESSIONS)
    steps[70:73] = 0
    steps[79:92] = 0  # with row 78: 14 equal closes
    bars = ticks(draw, 160, steps, 1, 2)
    volume = draw.integers(1, 40, SESSIONS) * 25_000
    for name in PRICES:
        bars[name][80:86] = bars["close"][80:86]
    volume[80:86] = 0
    volume[[7, 66, 100, 101]] = 0
    volume[108:115] = 500_000
    return {name: bars[name] * 0.25 for name in PRICES} | {"volume": volume}


def penny() -> dict:
    """A price of about 0.005 in steps of up to 1.5 %, of 0.05 % from row 85 to row 105."""
    draw = np.random.default_rng([SEED, 3])
    steps = draw.integers(-1_250, 1_251, SESSIONS)
    quiet = slice(85, 106)
    steps[quiet] = draw.integers(-40, 41, 21)
    bars = ticks(draw, 84_000, steps, 30, 300)
    volume = draw.integers(100_000, 5_000_000, SESSIONS) * 1_024
    return {name: bars[name] * 2.0**-24 for name in PRICES} | {"volume": volume}


def make_bars() -> pd.DataFrame:
    """The long frame of the three symbols."""
    days = pd.bdate_range(FIRST, periods=SESSIONS)
    frame = pd.concat(
        pd.DataFrame({"symbol": symbol, "date": days, **bars})
        for symbol, bars in (("PENNY", penny()), ("PLAIN", plain()), ("TIES", ties()))
    )
    values = frame[[*PRICES, "volume"]].to_numpy(float)
    assert (values.astype(np.float32) == values).all()
    assert (frame["high"] >= frame[list(PRICES)].max(axis=1)).all()
    assert (frame["low"] <= frame[list(PRICES)].min(axis=1)).all()
    assert (frame["low"] > 0).all()
    return frame.reset_index(drop=True)


def write_store(bars: pd.DataFrame, folder: Path) -> None:
    """qlib's layout: one calendar, one list of instruments, a float32 file a symbol and field."""
    days = sorted(bars["date"].dt.strftime("%Y-%m-%d").unique())
    for name in ("calendars", "instruments"):
        (folder / name).mkdir()
    (folder / "calendars" / "day.txt").write_text("\n".join(days) + "\n")
    lines = (f"{symbol}\t{days[0]}\t{days[-1]}\n" for symbol in bars["symbol"].unique())
    (folder / "instruments" / "all.txt").write_text("".join(lines))
    for symbol, own in bars.groupby("symbol"):
        place = folder / "features" / symbol.lower()
        place.mkdir(parents=True)
        fields = {name: own[name].to_numpy(float) for name in (*PRICES, "volume")}
        fields["vwap"] = (fields["high"] + fields["low"] + fields["close"]) / 3
        for name, values in fields.items():
            # The leading number is the calendar row of the first value.
            np.r_[0.0, values].astype("<f4").tofile(place / f"{name}.day.bin")


def qlib_features(config: tuple[list[str], list[str]], days: pd.Series) -> pd.DataFrame:
    """qlib's columns for every row, indexed by symbol and date."""
    from qlib.data.dataset.loader import QlibDataLoader

    frame = QlibDataLoader(config={"feature": config}).load("all", days.min(), days.max())
    assert (frame.dtypes == np.float32).all()
    return frame["feature"].swaplevel().rename_axis(["symbol", "date"]).sort_index()


def write_rows(features: pd.DataFrame, rows: tuple[int, ...], path: Path) -> None:
    """These rows of every symbol; 9 digits give a float32 back exactly."""
    assert not np.isinf(features.to_numpy()).any()
    days = features.index.get_level_values("date").unique()[list(rows)]
    chosen = features[features.index.get_level_values("date").isin(days)]
    chosen.to_csv(path, float_format="%.9g", date_format="%Y-%m-%d", lineterminator="\n")


def main() -> None:
    """Make the bars, build the store, let qlib compute, write."""
    import qlib
    from qlib.contrib.data.loader import Alpha158DL, Alpha360DL

    assert qlib.__version__ == "0.9.7", qlib.__version__
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    bars = make_bars()
    bars.to_csv(target / "bars.csv", index=False, date_format="%Y-%m-%d", lineterminator="\n")
    with tempfile.TemporaryDirectory() as folder:
        write_store(bars, Path(folder))
        qlib.init(provider_uri=folder, region="us", logging_level=logging.ERROR, kernels=1)
        for name, loader, rows in (
            ("alpha158.csv", Alpha158DL, ROWS_158),
            ("alpha360.csv", Alpha360DL, ROWS_360),
        ):
            features = qlib_features(loader.get_feature_config(), bars["date"])
            write_rows(features, rows, target / name)


if __name__ == "__main__":
    main()
