"""The registry of alpha: qlib's Alpha158 and Alpha360 (Yang et al. 2020, arXiv:2009.11189).

The formulas are those of qlib 0.9.7, `qlib/contrib/data/loader.py`, and the values are its own to
about 1e-7, which is what its single precision leaves. What has a price for its unit is given over
the close, as there. It differs on purpose in four things:

1. Full windows only. qlib gives a value from the first bar on (`min_periods=1`); here a feature is
   masked until it has all the bars that it looks back to, and where one of them is masked.
2. No units. qlib's bounds are absolute: + 1e-12 below a fraction, and sd <= 2e-5 for a constant,
   which masks RSQR, CORR and CORD. Here only what is constant is constant; 0 / 0 is 0, as in qlib;
   x / 0 is masked, and so is what is divided by a volume of 0, where qlib gives about 1e17.
3. The bars have no vwap; (high + low + close) / 3 stands in for it.
4. A bar without volume masks CORR, for the logarithm of 0; the bar after it masks CORD, where qlib
   leaves the pair out.

CORR takes qlib's log(volume + 1): with other units of volume it moves by about one over the volume.
"""

from functools import partial

from tasks.features.indicators import lookbacks as need
from tasks.features.indicators.alpha import candles, closes, lags, ranges, volumes
from tasks.features.indicators.entry import Indicator, Unit

# A candle alone, n bars, n changes from bar to bar, an earlier bar.
_bar = partial(Indicator, "alpha", periods=(), lookback=need.none, joined=True)
_bars = partial(Indicator, "alpha", periods=(20,), lookback=need.window, joined=True)
_changes = partial(Indicator, "alpha", periods=(20,), lookback=need.changes, joined=True)
_lag = partial(Indicator, "alpha", periods=(1,), lookback=need.changes, joined=True, shortest=0)

# Given over the close.
_PRICE: Unit = "price_difference"

ALPHA: dict[str, Indicator] = {
    "alpha_kmid": _bar(candles.kmid, ("open", "close")),
    "alpha_klen": _bar(candles.klen, ("open", "high", "low")),
    "alpha_kmid2": _bar(candles.kmid2, ("open", "high", "low", "close")),
    "alpha_kup": _bar(candles.kup, ("open", "high", "close")),
    "alpha_kup2": _bar(candles.kup2, ("open", "high", "low", "close")),
    "alpha_klow": _bar(candles.klow, ("open", "low", "close")),
    "alpha_klow2": _bar(candles.klow2, ("open", "high", "low", "close")),
    "alpha_ksft": _bar(candles.ksft, ("open", "high", "low", "close")),
    "alpha_ksft2": _bar(candles.ksft2, ("high", "low", "close")),
    "alpha_open": _bar(candles.open_share, ("open", "close")),
    "alpha_high": _bar(candles.high_share, ("high", "close")),
    "alpha_low": _bar(candles.low_share, ("low", "close")),
    "alpha_vwap": _bar(candles.vwap_share, ("typical", "close")),
    "alpha_roc": _changes(closes.roc, ("close",), unit=_PRICE, shortest=1),
    "alpha_ma": _bars(closes.ma, ("close",), unit=_PRICE),
    "alpha_std": _bars(closes.std, ("close",), unit=_PRICE),
    "alpha_beta": _bars(closes.beta, ("close",), unit=_PRICE),
    "alpha_rsqr": _bars(closes.rsqr, ("close",)),
    "alpha_resi": _bars(closes.resi, ("close",), unit=_PRICE),
    "alpha_max": _bars(ranges.highest, ("high",), unit=_PRICE),
    "alpha_min": _bars(ranges.lowest, ("low",), unit=_PRICE),
    "alpha_qtlu": _bars(closes.qtlu, ("close",), unit=_PRICE),
    "alpha_qtld": _bars(closes.qtld, ("close",), unit=_PRICE),
    "alpha_rank": _bars(closes.rank, ("close",)),
    "alpha_rsv": _bars(ranges.rsv, ("high", "low", "close")),
    "alpha_imax": _bars(ranges.imax, ("high",)),
    "alpha_imin": _bars(ranges.imin, ("low",)),
    "alpha_imxd": _bars(ranges.imxd, ("high", "low")),
    "alpha_corr": _bars(volumes.corr, ("close", "volume")),
    "alpha_cord": _changes(volumes.cord, ("close", "previous_close", "volume")),
    "alpha_cntp": _changes(closes.cntp, ("change",)),
    "alpha_cntn": _changes(closes.cntn, ("change",)),
    "alpha_cntd": _changes(closes.cntd, ("change",)),
    "alpha_sump": _changes(closes.sump, ("change",)),
    "alpha_sumn": _changes(closes.sumn, ("change",)),
    "alpha_sumd": _changes(closes.sumd, ("change",)),
    "alpha_vma": _bars(volumes.vma, ("volume",)),
    "alpha_vstd": _bars(volumes.vstd, ("volume",)),
    "alpha_wvma": _changes(volumes.wvma, ("close", "previous_close", "volume")),
    "alpha_vsump": _changes(volumes.vsump, ("volume",)),
    "alpha_vsumn": _changes(volumes.vsumn, ("volume",)),
    "alpha_vsumd": _changes(volumes.vsumd, ("volume",)),
    "alpha_lag_close": _lag(lags.lag_close, ("close",), unit=_PRICE),
    "alpha_lag_open": _lag(lags.lag_open, ("open",), unit=_PRICE),
    "alpha_lag_high": _lag(lags.lag_high, ("high",), unit=_PRICE),
    "alpha_lag_low": _lag(lags.lag_low, ("low",), unit=_PRICE),
    "alpha_lag_vwap": _lag(lags.lag_vwap, ("typical",), unit=_PRICE),
    "alpha_lag_volume": _lag(lags.lag_volume, ("volume",)),
}
