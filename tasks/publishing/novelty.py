"""What a page or a log says of symbols whose features look unlike those that a model was fitted on.

The ledger does not keep it: it follows from the night's features and the bundle, and is made anew
with the night's forecast.
"""

import polars as pl

# A universe of 500 symbols would bury the sentence.
_NAMED = 10


def with_novelty(tonight: pl.DataFrame, made: pl.DataFrame) -> pl.DataFrame:
    """Returns the ledger's rows of a night with `distance` and `novel` of its forecast.

    Args:
        tonight: rows of the ledger, of one night and model.
        made: the forecast as it was made, with the columns symbol, distance and novel.
    """
    # A symbol has one set of features, whatever the horizons.
    looks = made.select("symbol", "distance", "novel").unique("symbol")
    return tonight.join(looks, on="symbol", how="left", maintain_order="left")


def unlike_training(forecasts: pl.DataFrame) -> str | None:
    """Returns in a sentence which symbols look unlike training, farthest first; None if none do.

    Args:
        forecasts: symbol, and distance and novel where they are known.
    """
    if "novel" not in forecasts.columns:
        return None
    symbols = forecasts.unique("symbol")
    odd = symbols.filter("novel").sort("distance", "symbol", descending=[True, False])
    if odd.is_empty():
        return None
    told = [f"{symbol} ({far:.1f})" for symbol, far in odd.select("symbol", "distance").rows()]
    more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return (
        f"{odd.height} of {symbols.height} symbols look unlike anything in training: "
        f"{', '.join(told[:_NAMED])}{more}. In brackets is their distance in multiples of the one "
        "that 99.9 % of the fitted rows stay within; a forecast for them is an extrapolation."
    )
