"""What a symbol's own bars up to a close say about its volume and its volatility."""

import polars as pl

VOLUME_SESSIONS = 20
VOLATILITY_SESSIONS = 60
# Fewer say too little to trade on.
FEWEST = 20


def with_liquidity(panel: pl.DataFrame) -> pl.DataFrame:
    """Adds `dollar_volume` and `volatility` to adjusted bars; a row sees its own bar and earlier.

    `dollar_volume` is the mean value traded over the last 20 bars, or as many as there are: close
    × volume over `dividend_factor`, which is the as-traded close × the as-traded volume.
    `volatility` is the standard deviation of the log returns from close to close over the last 60
    bars, null before there are 20 of them.
    """
    value = pl.col("close") * pl.col("volume") / pl.col("dividend_factor")
    change = (pl.col("close") / pl.col("close").shift(1)).log()
    return panel.sort("symbol", "date").with_columns(
        dollar_volume=value.rolling_mean(VOLUME_SESSIONS, min_samples=1).over("symbol"),
        volatility=change.rolling_std(VOLATILITY_SESSIONS, min_samples=FEWEST).over("symbol"),
    )
