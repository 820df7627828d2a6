"""Alpha158 and Alpha360 against pyqlib's own values and plain loops, and where they differ."""

import math
import statistics
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.features.engine import compute, fill
from tasks.features.indicators.alpha import ALPHA
from tasks.features.indicators.alpha.names import ALPHA158, ALPHA360, QLIB_COLUMNS
from tasks.features.indicators.entry import Feature
from tasks.features.kernels.ordered import rolling_quantiles, rolling_rank
from tests.features.panels import BAR, flat_bars, generated_bars, panel_of

GOLDEN = Path(__file__).parent / "golden"
SETS = {"alpha158.csv": ALPHA158, "alpha360.csv": ALPHA360}


def split(name: str) -> tuple[str, int]:
    """Returns the registry's name and the period, 0 without one."""
    stem, _, period = name.rstrip(")").partition("(")
    return stem, int(period or 0)


def feature_of(name: str) -> Feature:
    stem, period = split(name)
    return Feature(name, ALPHA[stem], (period,) if "(" in name else ())


@cache
def golden_bars() -> pl.DataFrame:
    bars = pl.read_csv(GOLDEN / "bars.csv", try_parse_dates=True)
    return bars.with_columns(pl.col("volume").cast(pl.Float64))


def tolerance(stem: str, symbol: str, rows: np.ndarray) -> tuple[float, np.ndarray]:
    """Returns relative and absolute: float32 at the end, or a window of float32 values."""
    relative, absolute = {
        "alpha_corr": (0.0, 5e-6),
        "alpha_cord": (0.0, 2e-5),
        "alpha_wvma": (2.5e-4, 0.0),
        "alpha_sump": (2e-7, 3e-7),
        "alpha_sumn": (2e-7, 3e-7),
        "alpha_sumd": (2e-7, 3e-7),
    }.get(stem, (2e-7, 1e-7))
    if stem == "alpha_cord" and symbol == "PENNY":
        # Ratios of a close that hardly moves: little is left of them but float32's rounding.
        return relative, np.where(rows >= 86, 2e-4, absolute)
    return relative, np.full(rows.size, absolute)


def windows(values: np.ndarray, length: int) -> np.ndarray:
    """Returns [rows, length], the first of which are NaN."""
    padded = np.concatenate([np.full(length - 1, np.nan), values])
    return np.lib.stride_tricks.sliding_window_view(padded, length)


def quiet(bars: pl.DataFrame, stem: str, period: int) -> np.ndarray:
    """qlib masks closes whose sd is at most 2e-5 of money; here they are as good as others."""
    if stem not in ("alpha_rsqr", "alpha_corr"):
        return np.zeros(bars.height, dtype=bool)
    spread = windows(bars["close"].to_numpy(), period).std(axis=1, ddof=1)
    return (spread > 0.0) & (spread <= 2e-5)


def no_volume(bars: pl.DataFrame, stem: str, period: int) -> np.ndarray:
    """What is divided by a volume of 0 is masked here; qlib divides by 1e-12."""
    if stem not in ("alpha_vma", "alpha_vstd", "alpha_lag_volume"):
        return np.zeros(bars.height, dtype=bool)
    return bars["volume"].to_numpy() == 0.0


def logarithm_of_no_volume(bars: pl.DataFrame, stem: str, period: int) -> np.ndarray:
    """A volume of 0 masks CORR, for which qlib takes 0; the bar after it masks CORD."""
    volume = bars["volume"].to_numpy()
    if stem == "alpha_corr":
        return (windows(volume, period) == 0.0).any(axis=1)
    if stem == "alpha_cord":
        return (windows(np.append(np.nan, volume[:-1]), period) == 0.0).any(axis=1)
    return np.zeros(bars.height, dtype=bool)


def residue(bars: pl.DataFrame, stem: str, period: int) -> np.ndarray:
    """Where ten values are 0, pandas leaves 7e-5 of earlier ones; see golden/README.md."""
    days = ("2024-05-03", "2024-05-06", "2024-05-07", "2024-05-08")
    here = (bars["symbol"] == "TIES") & bars["date"].cast(pl.String).is_in(days)
    return here.to_numpy() & (stem == "alpha_wvma") & (period == 10)


# Each rule, and what then stands here and there.
RULES = {
    quiet: lambda ours, theirs: np.isfinite(ours) & np.isnan(theirs),
    no_volume: lambda ours, theirs: np.isnan(ours) & ((theirs > 1e15) | (theirs == 0.0)),
    logarithm_of_no_volume: lambda ours, _: np.isnan(ours),
    residue: lambda ours, theirs: (ours == 0.0) & (theirs > 7e7),
}
# How many cells are compared, and how many each rule exempts.
EXPECTED = {
    "alpha158.csv": (
        32505,
        {"quiet": 90, "no_volume": 90, "logarithm_of_no_volume": 491, "residue": 4},
    ),
    "alpha360.csv": (
        5280,
        {"quiet": 0, "no_volume": 120, "logarithm_of_no_volume": 0, "residue": 0},
    ),
}


@cache
def compared(file: str) -> tuple[list[tuple], tuple[int, dict[str, int]]]:
    """Returns the cells that are not as they should be; how many were compared, and how many not.

    Rows before 60 are left out: there qlib makes do with shorter windows.
    """
    golden = pl.read_csv(GOLDEN / file, try_parse_dates=True, infer_schema_length=None)
    made = compute(golden_bars(), [feature_of(name) for name in SETS[file]])
    wrong, count, exempt = [], 0, {rule.__name__: 0 for rule in RULES}
    for (symbol,), bars in golden_bars().group_by("symbol", maintain_order=True):
        own = bars.select("symbol", "date", row=pl.int_range(pl.len())).filter(pl.col("row") >= 60)
        theirs = golden.join(own, on=["symbol", "date"], maintain_order="left")
        rows = theirs["row"].to_numpy()
        ours = theirs.select("symbol", "date").join(made, on=["symbol", "date"], how="left")
        for name in SETS[file]:
            stem, period = split(name)
            value = ours[name].cast(pl.Float64).to_numpy()
            golden_value = theirs[QLIB_COLUMNS[name]].cast(pl.Float64).fill_null(np.nan).to_numpy()
            relative, absolute = tolerance(stem, symbol, rows)
            right = np.isclose(value, golden_value, relative, absolute, equal_nan=True)
            free = np.zeros(rows.size, dtype=bool)
            for rule, stands in RULES.items():
                covered = rule(bars, stem, period)[rows]
                exempt[rule.__name__] += int(covered.sum())
                right = np.where(covered, stands(value, golden_value), right)
                free |= covered
            count += int((~free).sum())
            wrong += [
                (symbol, int(rows[at]), name, value[at], golden_value[at])
                for at in np.flatnonzero(~right)
            ]
    return wrong, (count, exempt)


@pytest.mark.parametrize("file", SETS)
def test_the_names_are_qlibs_columns_in_its_order(file):
    header = (GOLDEN / file).read_text().partition("\n")[0].split(",")
    assert [QLIB_COLUMNS[name] for name in SETS[file]] == header[2:]
    assert {split(name)[0] for name in SETS[file]} <= set(ALPHA)


@pytest.mark.parametrize("file", SETS)
def test_every_column_has_pyqlibs_values(file):
    wrong, _ = compared(file)
    assert not wrong


@pytest.mark.parametrize("file", SETS)
def test_no_rule_exempts_more_than_it_should(file):
    assert compared(file)[1] == EXPECTED[file]


def tied_bars(count: int, seed: int) -> dict[str, np.ndarray]:
    """Bars in ticks of a quarter, so that many are equal, in lots of 500."""
    bars = generated_bars(count, seed)
    made = {name: np.round(bars[name] / 20.0 * 4.0) / 4.0 for name in BAR[:4]}
    return made | {"volume": 500.0 * np.ceil(bars["volume"] / 2e6)}


def fitted(values: list[float]) -> tuple[float, float, float]:
    """Returns a line's value at the end, its slope and R squared, by the normal equations."""
    n = len(values)
    sum_k, sum_y = sum(range(1, n + 1)), sum(values)
    sum_kk = sum(k * k for k in range(1, n + 1))
    sum_ky = sum(k * y for k, y in enumerate(values, 1))
    slope = (n * sum_ky - sum_k * sum_y) / (n * sum_kk - sum_k**2)
    level = (sum_y - slope * sum_k) / n
    left = sum((y - level - slope * k) ** 2 for k, y in enumerate(values, 1))
    whole = sum((y - sum_y / n) ** 2 for y in values)
    return level + slope * n, slope, 1.0 - left / whole if whole else math.nan


def quantile(values: list[float], level: float) -> float:
    place = level * (len(values) - 1)
    low = sorted(values)[int(place)]
    high = sorted(values)[min(int(place) + 1, len(values) - 1)]
    return low + (place - int(place)) * (high - low)


def pearson(left: list[float], right: list[float]) -> float:
    if len(set(left)) == 1 or len(set(right)) == 1:
        return math.nan
    return statistics.correlation(left, right)


def gains(values: list[float]) -> tuple[float, float]:
    up = sum(max(new - old, 0.0) for old, new in pairwise(values))
    down = sum(max(old - new, 0.0) for old, new in pairwise(values))
    return up, down


def loop_cord(bars, t, n):
    rows = range(t - n + 1, t + 1)
    close, volume = bars["close"], bars["volume"]
    return pearson(
        [close[s] / close[s - 1] for s in rows],
        [math.log(volume[s] / volume[s - 1] + 1.0) for s in rows],
    )


def loop_wvma(bars, t, n):
    close, volume = bars["close"], bars["volume"]
    moved = [abs(close[s] / close[s - 1] - 1.0) * volume[s] for s in range(t - n + 1, t + 1)]
    return statistics.stdev(moved) / statistics.mean(moved) if any(moved) else 0.0


def loop_sumd(column):
    def value(bars, t, n):
        up, down = gains(list(bars[column][t - n : t + 1]))
        return (up - down) / (up + down) if up + down else 0.0

    return value


def loop_rank(bars, t, n):
    close = list(bars["close"][t - n + 1 : t + 1])
    places = [place for place, value in enumerate(sorted(close), 1) if value == close[-1]]
    return sum(places) / len(places) / n


def window_of(bars, column, t, n):
    return list(bars[column][t - n + 1 : t + 1])


LOOPS = {
    "alpha_std": lambda b, t, n: statistics.stdev(window_of(b, "close", t, n)) / b["close"][t],
    "alpha_beta": lambda b, t, n: fitted(window_of(b, "close", t, n))[1] / b["close"][t],
    "alpha_rsqr": lambda b, t, n: fitted(window_of(b, "close", t, n))[2],
    "alpha_resi": lambda b, t, n: 1.0 - fitted(window_of(b, "close", t, n))[0] / b["close"][t],
    "alpha_qtlu": lambda b, t, n: quantile(window_of(b, "close", t, n), 0.8) / b["close"][t],
    "alpha_qtld": lambda b, t, n: quantile(window_of(b, "close", t, n), 0.2) / b["close"][t],
    "alpha_rank": loop_rank,
    # index() finds the first of equals.
    "alpha_imax": lambda b, t, n: (1 + (high := window_of(b, "high", t, n)).index(max(high))) / n,
    "alpha_imin": lambda b, t, n: (1 + (low := window_of(b, "low", t, n)).index(min(low))) / n,
    "alpha_corr": lambda b, t, n: pearson(
        window_of(b, "close", t, n), [math.log(v + 1.0) for v in window_of(b, "volume", t, n)]
    ),
    "alpha_cord": loop_cord,
    "alpha_wvma": loop_wvma,
    "alpha_sumd": loop_sumd("close"),
    "alpha_vsumd": loop_sumd("volume"),
    "alpha_cntd": lambda b, t, n: (
        sum(np.sign(b["close"][s] - b["close"][s - 1]) for s in range(t - n + 1, t + 1)) / n
    ),
    "alpha_vstd": lambda b, t, n: statistics.stdev(window_of(b, "volume", t, n)) / b["volume"][t],
}


def wide(panel: pl.DataFrame, features: list[Feature]) -> np.ndarray:
    out = np.empty((len(features), panel.height))
    fill(panel, features, out)
    return out


@pytest.mark.parametrize("make", [generated_bars, tied_bars])
def test_the_trickiest_agree_with_plain_loops(make):
    bars = make(400, 31)
    names = [f"{stem}({n})" for stem in LOOPS for n in (5, 13, 60)]
    found = wide(panel_of(AAA=bars), [feature_of(name) for name in names])
    for name, values in zip(names, found, strict=True):
        stem, period = split(name)
        for t in range(period, 400, 7):
            expected = LOOPS[stem](bars, t, period)
            assert values[t] == pytest.approx(expected, rel=1e-9, abs=1e-10, nan_ok=True), (name, t)


def test_tied_bars_have_windows_of_equal_closes_and_equal_lows():
    bars = tied_bars(400, 31)
    assert any(len(set(window_of(bars, "close", t, 5))) == 1 for t in range(60, 400))
    lows = [window_of(bars, "low", t, 13) for t in range(60, 400)]
    assert sum(low.count(min(low)) > 1 for low in lows) > 100


@pytest.mark.parametrize("period", [*range(1, 14), 16, 17, 60])
def test_quantiles_and_ranks_of_tied_values_are_those_of_each_window(period):
    values = np.random.default_rng(period).integers(0, 9, 700).astype(float)
    values[[0, 300, 303]] = np.nan
    made = np.array([*rolling_quantiles(values, period, 0.8, 0.2), rolling_rank(values, period)])
    for t, window in enumerate(windows(values, period)):
        if np.isnan(window).any():
            assert np.isnan(made[:, t]).all()
            continue
        places = 1 + np.flatnonzero(np.sort(window) == window[-1])
        expected = [*np.quantile(window, [0.8, 0.2]), places.mean() / period]
        np.testing.assert_allclose(made[:, t], expected, rtol=1e-14)


COUNT = 400
# Every entry with its default periods, and the longest of both sets.
EVERY = [
    *(Feature(name, entry, entry.periods) for name, entry in ALPHA.items()),
    *(feature_of(name) for name in (*ALPHA158, *ALPHA360) if split(name)[1] in (59, 60)),
]


def columns_of(bars: dict[str, np.ndarray]) -> dict[str, tuple[Feature, np.ndarray]]:
    made = compute(panel_of(AAA=bars), EVERY)
    return {f.name: (f, made[f.name].cast(pl.Float64).to_numpy()) for f in EVERY}


def test_every_feature_is_masked_for_its_lookback_and_no_longer():
    for name, (feature, values) in columns_of(generated_bars(COUNT, 4)).items():
        known = np.isfinite(values)
        assert known.tolist() == [t >= feature.lookback for t in range(COUNT)], name


def test_a_masked_bar_masks_at_most_a_lookback_and_moves_nothing_else():
    bars = generated_bars(COUNT, 5)
    whole = columns_of(bars)
    holed = columns_of({n: np.where(np.arange(COUNT) == 200, np.nan, bars[n]) for n in BAR})
    for name, (feature, values) in holed.items():
        masked = (np.arange(COUNT) >= 200) & (np.arange(COUNT) <= 200 + feature.lookback)
        assert np.isnan(values[200]), name
        np.testing.assert_array_equal(values[~masked], whole[name][1][~masked], err_msg=name)


@pytest.mark.parametrize("dearer", [BAR[:4], BAR[4:]], ids=["prices", "volumes"])
def test_no_feature_hangs_on_a_unit(dearer):
    bars = generated_bars(COUNT, 6)
    one = columns_of(bars)
    seven = columns_of({n: 7.0 * bars[n] if n in dearer else bars[n] for n in BAR})
    for name, (_, values) in seven.items():
        np.testing.assert_allclose(values, one[name][1], rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_flat_price_gives_one_number_or_none():
    for name, (feature, values) in columns_of(flat_bars(COUNT)).items():
        known = values[feature.lookback :]
        assert not np.isinf(known).any(), name
        assert np.isnan(known).all() or np.ptp(known) < 1e-9, name


def test_a_time_without_volume_gives_no_huge_number():
    bars = generated_bars(COUNT, 7)
    bars["volume"][200:] = 0.0
    for name, (_, values) in columns_of(bars).items():
        known = values[~np.isnan(values)]
        assert np.abs(known).max() < 1e4, name


def test_a_bar_without_a_range_has_candles_of_0_and_no_place_in_it():
    bars = generated_bars(COUNT, 8)
    for name in BAR[:4]:
        bars[name][100] = 50.0
    made = columns_of(bars)
    for stem in ("kmid", "klen", "kmid2", "kup", "kup2", "klow", "klow2", "ksft", "ksft2"):
        assert made[f"alpha_{stem}"][1][100] == 0.0


def test_as_many_rises_as_falls_are_exactly_0():
    close = np.where(np.arange(COUNT) % 2 == 0, 10.1, 10.7) * np.ones(COUNT)
    bars = dict.fromkeys(BAR[:4], close) | {"volume": np.full(COUNT, 1e6)}
    values = columns_of(bars)["alpha_cntd(60)"][1]
    assert (values[60:] == 0.0).all()


def test_a_symbol_begins_anew_and_hangs_on_no_other_and_on_nothing_later():
    long, short = generated_bars(COUNT, 9), generated_bars(150, 10)
    both = wide(panel_of(AAA=long, BBB=short), EVERY)
    np.testing.assert_array_equal(both[:, COUNT:], wide(panel_of(BBB=short), EVERY))
    cut = {name: column[:233] for name, column in long.items()}
    np.testing.assert_array_equal(both[:, :233], wide(panel_of(AAA=cut), EVERY))


def test_every_entry_states_formula_and_source():
    for name, entry in ALPHA.items():
        assert len(entry.formula) > 5, name
        assert entry.source.startswith("qlib (Yang et al. 2020), Alpha"), name
