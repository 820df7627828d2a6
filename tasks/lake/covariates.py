"""What a spell says of a symbol as numbers for a network: one-hot over the words of the fit rows.

1. Levels are the words that the fit rows hold, sorted. They are found once and kept with the fit
   and its bundle, so that a place in the vector means the same word for ever.
2. A row's vector has a 1 at its word's place, for each name in turn. A word that is no level, new
   or unknown, has zeros there: no weight has learned anything of it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from tasks.lake.panel import PanelArrays

Levels = Mapping[str, Sequence[str]]


def levels_of(panel: PanelArrays, names: Sequence[str], rows: NDArray[np.int64]) -> Levels:
    """Returns for each name (sector, exchange) the words on some rows, those of the fit, sorted.

    Raises:
        DataError: none of the rows has a word.
    """
    levels = {}
    for name in names:
        said = panel.said[name]
        codes = np.unique(said.codes[rows])
        levels[name] = tuple(said.words[code] for code in codes if code >= 0)
        if not levels[name]:
            symbols = len(np.unique(panel.symbol[rows]))
            raise DataError(
                f"network.covariates={list(names)}, but no {name} is known of any of the {symbols} "
                f"symbols of the fit span ({len(rows)} rows); give universe.file with the column "
                f"{name} filled, or leave {name!r} out."
            )
    return levels


def one_hot(panel: PanelArrays, levels: Levels) -> NDArray[np.float32] | None:
    """Returns the vectors [N, S] of all rows, S the levels of all names; None where S is 0."""
    if not sum(map(len, levels.values())):
        return None
    parts = []
    for name, known in levels.items():
        said = panel.said[name]
        places = {word: place for place, word in enumerate(known)}
        vectors = np.zeros((len(said.words) + 1, len(known)), np.float32)
        for code, word in enumerate(said.words):
            if word in places:
                vectors[code, places[word]] = 1.0
        # Code -1, nothing said, takes the last vector: zeros.
        parts.append(vectors[said.codes])
    return np.concatenate(parts, axis=1)
