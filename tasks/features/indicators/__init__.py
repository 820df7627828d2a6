"""The registry of indicators: one line each; formula and source stand at the function."""

from tasks.features.indicators import momentum, returns, trend, volatility, volume
from tasks.features.indicators.entry import Indicator

_C = ("close",)
_HL = ("high", "low")
_HLC = ("high", "low", "close")
_OHLC = ("open", "high", "low", "close")
_HLCV = ("high", "low", "close", "volume")


def _none() -> int:
    return 0


def _one() -> int:
    return 1


def _window(n: int) -> int:
    return n - 1


def _changes(n: int) -> int:
    return n


def _longest(*periods: int) -> int:
    return max(periods)


INDICATORS: dict[str, Indicator] = {
    "sma": Indicator("trend", trend.sma, _C, (20,), _window, "price"),
    "ema": Indicator("trend", trend.ema, _C, (20,), _window, "price"),
    "wma": Indicator("trend", trend.wma, _C, (20,), _window, "price"),
    "tema": Indicator("trend", trend.tema, _C, (20,), lambda n: 3 * (n - 1), "price"),
    "macd": Indicator(
        "trend", trend.macd, _C, (12, 26), lambda f, s: max(f, s) - 1, "price_difference"
    ),
    "macd_histogram": Indicator(
        "trend",
        trend.macd_histogram,
        _C,
        (12, 26, 9),
        lambda f, s, m: max(f, s) + m - 2,
        "price_difference",
    ),
    "plus_di": Indicator("trend", trend.plus_di, _HLC, (14,), _changes),
    "minus_di": Indicator("trend", trend.minus_di, _HLC, (14,), _changes),
    "adx": Indicator("trend", trend.adx, _HLC, (14,), lambda n: 2 * n - 1),
    "aroon_oscillator": Indicator("trend", trend.aroon_oscillator, _HL, (25,), _changes),
    "linear_slope": Indicator("trend", trend.linear_slope, _C, (20,), _window, "price_difference"),
    "trix": Indicator("trend", trend.trix, _C, (15,), lambda n: 3 * (n - 1) + 1),
    "rsi": Indicator("momentum", momentum.rsi, _C, (14,), _changes),
    "stochastic_k": Indicator("momentum", momentum.stochastic_k, _HLC, (14,), _window),
    "stochastic_d": Indicator(
        "momentum", momentum.stochastic_d, _HLC, (14, 3), lambda n, m: n + m - 2
    ),
    "stochastic_rsi": Indicator(
        "momentum", momentum.stochastic_rsi, _C, (14, 14), lambda n, m: n + m - 1
    ),
    "williams_r": Indicator("momentum", momentum.williams_r, _HLC, (14,), _window),
    "cci": Indicator("momentum", momentum.cci, _HLC, (20,), _window),
    "roc": Indicator("momentum", momentum.roc, _C, (10,), _changes, shortest=1),
    "ppo": Indicator("momentum", momentum.ppo, _C, (12, 26), lambda f, s: max(f, s) - 1),
    "ultimate_oscillator": Indicator(
        "momentum", momentum.ultimate_oscillator, _HLC, (7, 14, 28), _longest
    ),
    "balance_of_power": Indicator("momentum", momentum.balance_of_power, _OHLC, (), _none),
    "true_range": Indicator(
        "volatility", volatility.true_range, _HLC, (), _one, "price_difference"
    ),
    "atr": Indicator("volatility", volatility.atr, _HLC, (14,), _changes, "price_difference"),
    "bollinger_width": Indicator("volatility", volatility.bollinger_width, _C, (20,), _window),
    "bollinger_position": Indicator(
        "volatility", volatility.bollinger_position, _C, (20,), _window
    ),
    "realised_volatility": Indicator(
        "volatility", volatility.realised_volatility, _C, (20,), _changes
    ),
    "parkinson": Indicator("volatility", volatility.parkinson, _HL, (20,), _window),
    "garman_klass": Indicator("volatility", volatility.garman_klass, _OHLC, (20,), _window),
    "rogers_satchell": Indicator("volatility", volatility.rogers_satchell, _OHLC, (20,), _window),
    "channel_width": Indicator(
        "volatility", volatility.channel_width, _HL, (20,), _window, "price_difference"
    ),
    "volume_ratio": Indicator("volume", volume.volume_ratio, ("volume",), (20,), _window),
    "volume_zscore": Indicator("volume", volume.volume_zscore, ("volume",), (20,), _window),
    "on_balance_volume": Indicator(
        "volume", volume.on_balance_volume, ("close", "volume"), (20,), _changes
    ),
    "chaikin_money_flow": Indicator("volume", volume.chaikin_money_flow, _HLCV, (20,), _window),
    "mfi": Indicator("volume", volume.mfi, _HLCV, (14,), _changes),
    "vwap": Indicator("volume", volume.vwap, _HLCV, (20,), _window, "price"),
    "price_volume_correlation": Indicator(
        "volume", volume.price_volume_correlation, ("close", "volume"), (20,), _window
    ),
    "log_return": Indicator("returns", returns.log_return, _C, (1,), _changes, shortest=1),
    "momentum": Indicator("returns", returns.momentum, _C, (21, 252), _longest, shortest=1),
    "overnight_return": Indicator("returns", returns.overnight_return, ("open", "close"), (), _one),
    "intraday_return": Indicator("returns", returns.intraday_return, ("open", "close"), (), _none),
    "zscore": Indicator("returns", returns.zscore, _C, (20,), _window),
    "drawdown": Indicator("returns", returns.drawdown, _C, (60,), _window),
    "return_skewness": Indicator("returns", returns.return_skewness, _C, (60,), _changes),
    "rising_share": Indicator("returns", returns.rising_share, _C, (20,), _changes),
}
