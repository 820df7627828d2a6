"""The names of qlib's two sets, in the order of its columns.

`QLIB_COLUMNS` gives qlib's own name of each: `alpha_ma(5)` is its `MA5`.
"""

from collections.abc import Iterable

_PERIODS = (5, 10, 20, 30, 60)
_LAGS = range(59, -1, -1)

_CANDLES = ("kmid", "klen", "kmid2", "kup", "kup2", "klow", "klow2", "ksft", "ksft2")
_PRICES = ("open", "high", "low", "vwap")
_WINDOWS = (
    *("roc", "ma", "std", "beta", "rsqr", "resi", "max", "min", "qtlu", "qtld", "rank", "rsv"),
    *("imax", "imin", "imxd", "corr", "cord", "cntp", "cntn", "cntd", "sump", "sumn", "sumd"),
    *("vma", "vstd", "wvma", "vsump", "vsumn", "vsumd"),
)
_LAGGED = ("close", "open", "high", "low", "vwap", "volume")


def _of(stems: Iterable[str], periods: Iterable[int], prefix: str = "alpha_") -> dict[str, str]:
    numbers = tuple(periods)
    return {f"{prefix}{stem}({n})": f"{stem.upper()}{n}" for stem in stems for n in numbers}


_ALPHA158 = (
    {f"alpha_{stem}": stem.upper() for stem in _CANDLES}
    | {f"alpha_{stem}": f"{stem.upper()}0" for stem in _PRICES}
    | _of(_WINDOWS, _PERIODS)
)
_ALPHA360 = _of(_LAGGED, _LAGS, "alpha_lag_")

ALPHA158: tuple[str, ...] = tuple(_ALPHA158)
ALPHA360: tuple[str, ...] = tuple(_ALPHA360)
QLIB_COLUMNS: dict[str, str] = _ALPHA158 | _ALPHA360
