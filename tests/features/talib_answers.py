"""What TA-Lib says: indicator name -> function of the bars and the periods."""

import numpy as np
import talib


def _adapt(function, *columns, **fixed):
    """TA-Lib's function of these columns, the periods in its order."""
    return lambda bars, *periods: function(*(bars[c] for c in columns), *periods, **fixed)


def _bands(bars, n):
    return talib.BBANDS(bars["close"], n, 2.0, 2.0)


def _bollinger_width(bars, n):
    upper, middle, lower = _bands(bars, n)
    return (upper - lower) / middle


def _bollinger_position(bars, n):
    upper, _, lower = _bands(bars, n)
    return (bars["close"] - lower) / (upper - lower)


def _stochastic_d(bars, n, m):
    return talib.STOCHF(bars["high"], bars["low"], bars["close"], n, m)[1]


def _gathered(total, volume, n):
    """What TA-Lib's running total gained over n bars, as a share of their volume."""
    totals = np.concatenate([[0.0], total])
    volumes = np.concatenate([[0.0], np.cumsum(volume)])
    share = (totals[n:] - totals[:-n]) / (volumes[n:] - volumes[:-n])
    return np.concatenate([np.full(n - 1, np.nan), share])


def _standardised(values, n):
    return (values - talib.SMA(values, n)) / talib.STDDEV(values, n)


def _realised_volatility(bars, n):
    change = np.diff(np.log(bars["close"]), prepend=np.nan)
    return talib.STDDEV(change, n) * np.sqrt(n / (n - 1))


_HLC = ("high", "low", "close")

TALIB = {
    "sma": _adapt(talib.SMA, "close"),
    "ema": _adapt(talib.EMA, "close"),
    "wma": _adapt(talib.WMA, "close"),
    "tema": _adapt(talib.TEMA, "close"),
    "macd": lambda bars, fast, slow: talib.MACD(bars["close"], fast, slow, 9)[0],
    "macd_histogram": lambda bars, *periods: talib.MACD(bars["close"], *periods)[2],
    "plus_di": _adapt(talib.PLUS_DI, *_HLC),
    "minus_di": _adapt(talib.MINUS_DI, *_HLC),
    "adx": _adapt(talib.ADX, *_HLC),
    "aroon_oscillator": _adapt(talib.AROONOSC, "high", "low"),
    "linear_slope": _adapt(talib.LINEARREG_SLOPE, "close"),
    "trix": _adapt(talib.TRIX, "close"),
    "rsi": _adapt(talib.RSI, "close"),
    "stochastic_k": lambda bars, n: talib.STOCHF(*(bars[c] for c in _HLC), n, 1)[0],
    "stochastic_d": _stochastic_d,
    "stochastic_rsi": lambda bars, n, m: talib.STOCHRSI(bars["close"], n, m, 1)[0],
    "williams_r": _adapt(talib.WILLR, *_HLC),
    "cci": _adapt(talib.CCI, *_HLC),
    "roc": _adapt(talib.ROC, "close"),
    "ppo": _adapt(talib.PPO, "close", matype=talib.MA_Type.EMA),
    "ultimate_oscillator": _adapt(talib.ULTOSC, *_HLC),
    "balance_of_power": _adapt(talib.BOP, "open", *_HLC),
    "true_range": _adapt(talib.TRANGE, *_HLC),
    "atr": _adapt(talib.ATR, *_HLC),
    "bollinger_width": _bollinger_width,
    "bollinger_position": _bollinger_position,
    "realised_volatility": _realised_volatility,
    "channel_width": lambda bars, n: talib.MAX(bars["high"], n) - talib.MIN(bars["low"], n),
    "volume_ratio": lambda bars, n: bars["volume"] / talib.SMA(bars["volume"], n),
    "volume_zscore": lambda bars, n: _standardised(bars["volume"], n),
    "on_balance_volume": lambda bars, n: _gathered(
        talib.OBV(bars["close"], bars["volume"]), bars["volume"], n
    ),
    "chaikin_money_flow": lambda bars, n: _gathered(
        talib.AD(*(bars[c] for c in _HLC), bars["volume"]), bars["volume"], n
    ),
    "mfi": _adapt(talib.MFI, *_HLC, "volume"),
    "price_volume_correlation": _adapt(talib.CORREL, "close", "volume"),
    "zscore": lambda bars, n: _standardised(bars["close"], n),
    "drawdown": lambda bars, n: bars["close"] / talib.MAX(bars["close"], n) - 1.0,
}

# TA-Lib begins these averages at another bar; the difference dies out.
SETTLING = {"macd", "macd_histogram", "ppo", "rsi", "stochastic_rsi", "plus_di", "minus_di", "adx"}
