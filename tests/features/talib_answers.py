"""What TA-Lib says: indicator name -> function of the bars and the periods."""

import numpy as np
import talib

_HLC = ("high", "low", "close")


def _adapt(function, *columns, part=None, **fixed):
    """TA-Lib's function of these columns, the periods in its order."""

    def answer(bars, *periods):
        values = function(*(bars[c] for c in columns), *periods, **fixed)
        return values if part is None else values[part]

    return answer


def _bands(bars, n):
    return talib.BBANDS(bars["close"], n, 2.0, 2.0)


def _bollinger_width(bars, n):
    upper, middle, lower = _bands(bars, n)
    return (upper - lower) / middle


def _bollinger_position(bars, n):
    upper, _, lower = _bands(bars, n)
    return (bars["close"] - lower) / (upper - lower)


def _stochastic_slow_d(bars, n, m, again):
    return talib.STOCH(*(bars[c] for c in _HLC), n, m, 0, again, 0)[1]


def _gathered(total, volume, n):
    """What TA-Lib's running total gained over n bars, as a share of their volume."""
    totals = np.concatenate([[0.0], total])
    volumes = np.concatenate([[0.0], np.cumsum(volume)])
    share = (totals[n:] - totals[:-n]) / (volumes[n:] - volumes[:-n])
    return np.concatenate([np.full(n - 1, np.nan), share])


def _line(bars):
    return talib.AD(*(bars[c] for c in _HLC), bars["volume"])


def _standardised(values, n):
    return (values - talib.SMA(values, n)) / talib.STDDEV(values, n)


def _realised_volatility(bars, n):
    change = np.diff(np.log(bars["close"]), prepend=np.nan)
    return talib.STDDEV(change, n) * np.sqrt(n / (n - 1))


def _ichimoku_span_a(bars, n, m):
    lines = [talib.MIDPRICE(bars["high"], bars["low"], span) for span in (n, m)]
    return (lines[0] + lines[1]) / 2.0


TALIB = {
    "sma": _adapt(talib.SMA, "close"),
    "ema": _adapt(talib.EMA, "close"),
    "wma": _adapt(talib.WMA, "close"),
    "dema": _adapt(talib.DEMA, "close"),
    "tema": _adapt(talib.TEMA, "close"),
    # TA-Lib's fast and slow averages are of 2 and 30 bars, fixed.
    "kama": lambda bars, n, fast, slow: talib.KAMA(bars["close"], n),
    "t3": lambda bars, n, percent: talib.T3(bars["close"], n, percent / 100.0),
    "macd": lambda bars, fast, slow: talib.MACD(bars["close"], fast, slow, 9)[0],
    "macd_signal": _adapt(talib.MACD, "close", part=1),
    "macd_histogram": _adapt(talib.MACD, "close", part=2),
    "plus_di": _adapt(talib.PLUS_DI, *_HLC),
    "minus_di": _adapt(talib.MINUS_DI, *_HLC),
    "adx": _adapt(talib.ADX, *_HLC),
    "aroon_up": _adapt(talib.AROON, "high", "low", part=1),
    "aroon_down": _adapt(talib.AROON, "high", "low", part=0),
    "aroon_oscillator": _adapt(talib.AROONOSC, "high", "low"),
    "linear_slope": _adapt(talib.LINEARREG_SLOPE, "close"),
    "parabolic_sar": lambda bars, step, most: talib.SAR(
        bars["high"], bars["low"], step / 100.0, most / 100.0
    ),
    "ichimoku_conversion": _adapt(talib.MIDPRICE, "high", "low"),
    "ichimoku_base": _adapt(talib.MIDPRICE, "high", "low"),
    "ichimoku_span_a": _ichimoku_span_a,
    "ichimoku_span_b": _adapt(talib.MIDPRICE, "high", "low"),
    "trix": _adapt(talib.TRIX, "close"),
    "rsi": _adapt(talib.RSI, "close"),
    "stochastic_k": lambda bars, n: talib.STOCHF(*(bars[c] for c in _HLC), n, 1)[0],
    "stochastic_d": _adapt(talib.STOCHF, *_HLC, part=1),
    "stochastic_slow_d": _stochastic_slow_d,
    "stochastic_rsi": lambda bars, n, m: talib.STOCHRSI(bars["close"], n, m, 1)[0],
    "williams_r": _adapt(talib.WILLR, *_HLC),
    "cci": _adapt(talib.CCI, *_HLC),
    "mom": _adapt(talib.MOM, "close"),
    "roc": _adapt(talib.ROC, "close"),
    "ppo": _adapt(talib.PPO, "close", matype=talib.MA_Type.EMA),
    "cmo": _adapt(talib.CMO, "close"),
    "ultimate_oscillator": _adapt(talib.ULTOSC, *_HLC),
    "balance_of_power": _adapt(talib.BOP, "open", *_HLC),
    "true_range": _adapt(talib.TRANGE, *_HLC),
    "atr": _adapt(talib.ATR, *_HLC),
    "natr": _adapt(talib.NATR, *_HLC),
    "bollinger_upper": _adapt(talib.BBANDS, "close", part=0, nbdevup=2.0, nbdevdn=2.0),
    "bollinger_lower": _adapt(talib.BBANDS, "close", part=2, nbdevup=2.0, nbdevdn=2.0),
    "bollinger_width": _bollinger_width,
    "bollinger_position": _bollinger_position,
    "donchian_upper": _adapt(talib.MAX, "high"),
    "donchian_lower": _adapt(talib.MIN, "low"),
    "channel_width": lambda bars, n: talib.MAX(bars["high"], n) - talib.MIN(bars["low"], n),
    "realised_volatility": _realised_volatility,
    "volume_ratio": lambda bars, n: bars["volume"] / talib.SMA(bars["volume"], n),
    "volume_zscore": lambda bars, n: _standardised(bars["volume"], n),
    "on_balance_volume": lambda bars, n: _gathered(
        talib.OBV(bars["close"], bars["volume"]), bars["volume"], n
    ),
    "chaikin_money_flow": lambda bars, n: _gathered(_line(bars), bars["volume"], n),
    "chaikin_oscillator": _adapt(talib.ADOSC, *_HLC, "volume"),
    "mfi": _adapt(talib.MFI, *_HLC, "volume"),
    "price_volume_correlation": _adapt(talib.CORREL, "close", "volume"),
    "zscore": lambda bars, n: _standardised(bars["close"], n),
    "drawdown": lambda bars, n: bars["close"] / talib.MAX(bars["close"], n) - 1.0,
}

# TA-Lib begins these averages at another bar; the difference dies out.
SETTLING = {
    "macd",
    "macd_signal",
    "macd_histogram",
    "ppo",
    "rsi",
    "cmo",
    "stochastic_rsi",
    "plus_di",
    "minus_di",
    "adx",
    "chaikin_oscillator",
}
