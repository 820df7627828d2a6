"""The registry of volume: how much is traded, and on which side."""

from functools import partial

from tasks.features.indicators import lookbacks as need
from tasks.features.indicators.entry import Indicator
from tasks.features.indicators.volume import flow, liquidity

_volume = partial(Indicator, "volume", joined=True)

_HLCV = ("high", "low", "close", "volume")

VOLUME: dict[str, Indicator] = {
    "volume_ratio": _volume(liquidity.volume_ratio, ("volume",), (20,), need.window),
    "volume_zscore": _volume(liquidity.volume_zscore, ("volume",), (20,), need.window),
    "turnover": _volume(liquidity.turnover, ("dollar_volume",), (20,), need.window),
    "amihud": _volume(
        liquidity.amihud, ("log_return", "dollar_volume"), (20,), need.changes, "per_money"
    ),
    "vwma": _volume(liquidity.vwma, ("close", "volume"), (20,), need.window, "price"),
    "price_volume_correlation": _volume(
        liquidity.price_volume_correlation, ("close", "volume"), (20,), need.window
    ),
    "on_balance_volume": _volume(flow.on_balance_volume, ("change", "volume"), (20,), need.changes),
    "accumulation_distribution": _volume(flow.accumulation_distribution, _HLCV, (20,), need.window),
    "chaikin_money_flow": _volume(flow.chaikin_money_flow, _HLCV, (20,), need.window),
    "chaikin_oscillator": _volume(
        flow.chaikin_oscillator,
        _HLCV,
        (3, 10),
        lambda fast, slow: max(fast, slow) - 1,
        "volume",
        warm_up=lambda fast, slow: need.fades(max(fast, slow)),
    ),
    "mfi": _volume(flow.mfi, ("typical", "volume"), (14,), need.changes),
    "force_index": _volume(
        flow.force_index, ("change", "volume"), (13,), need.changes, "money", warm_up=need.fades
    ),
    "ease_of_movement": _volume(
        flow.ease_of_movement,
        ("high", "low", "volume"),
        (14,),
        need.changes,
        "price_square_per_volume",
    ),
}
