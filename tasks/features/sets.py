"""Sets of features by name: `classic`, `all`, `alpha158`, `alpha360`."""

from tasks.features.indicators import INDICATORS
from tasks.features.indicators.alpha.names import ALPHA158, ALPHA360
from tasks.features.names import parse

# Spans trend, momentum, volatility, volume and returns; all known within 126 bars.
CLASSIC = (
    "sma(10)",
    "ema(50)",
    "macd(12,26)",
    "macd_histogram(12,26,9)",
    "adx(14)",
    "aroon_oscillator(25)",
    "linear_slope(20)",
    "rsi(14)",
    "stochastic_k(14)",
    "stochastic_d(14,3)",
    "cci(20)",
    "ultimate_oscillator(7,14,28)",
    "atr(14)",
    "bollinger_width(20)",
    "bollinger_position(20)",
    "realised_volatility(20)",
    "garman_klass(20)",
    "volume_ratio(20)",
    "on_balance_volume(20)",
    "chaikin_money_flow(20)",
    "mfi(14)",
    "log_return(1)",
    "log_return(5)",
    "log_return(20)",
    "log_return(60)",
    "overnight_return",
    "drawdown(60)",
)

# Every indicator once, with its default periods; those of Alpha158 have sets of their own.
ALL = tuple(parse(name).name for name, entry in INDICATORS.items() if entry.kind != "alpha")

SETS: dict[str, tuple[str, ...]] = {
    "classic": CLASSIC,
    "all": ALL,
    "alpha158": ALPHA158,
    "alpha360": ALPHA360,
}


def expand(text: str) -> tuple[str, ...]:
    """Returns the names in a set, or `text` alone where it names none.

    Transforms behind a set's name go to each of its features: `alpha158|rank`.

    Raises:
        ValueError: a transform that cannot be.
    """
    name, bar, transforms = text.partition("|")
    if name.strip() not in SETS:
        return (text,)
    names = tuple(f"{feature}{bar}{transforms}" for feature in SETS[name.strip()])
    # A transform that there is not is told of once, not for each feature.
    parse(names[0])
    return names
