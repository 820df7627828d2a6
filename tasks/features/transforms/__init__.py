"""The registry of transforms: one line each; formula and source stand at the function."""

from tasks.features.transforms import members, timeseries
from tasks.features.transforms.entry import Transform


def _window(n: int) -> int:
    return n - 1


TRANSFORMS: dict[str, Transform] = {
    "rank": Transform("date", members.rank),
    "zscore": Transform("date", members.zscore),
    "winsor": Transform("date", members.winsor, (1,), (1,), (49,)),
    "sector": Transform("date", members.sector_neutral),
    "robust": Transform("symbol", timeseries.robust, (252,), (3,), (504,), _window),
    "standard": Transform("symbol", timeseries.standard, (252,), (2,), (504,), _window),
}
