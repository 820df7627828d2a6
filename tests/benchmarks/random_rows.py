"""Rows of random numbers as a panel; needs only numpy, so that peers elsewhere share it."""

import argparse
from collections.abc import Iterable, Mapping, Sequence

import numpy as np


def rows(symbols: int, days: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns features [symbols × days, F] and one label a row, float32, symbol after symbol."""
    draw = np.random.default_rng(7)
    values = draw.standard_normal((symbols * days, features), dtype=np.float32)
    return values, draw.standard_normal(symbols * days).astype(np.float32)


def window_starts(symbols: int, days: int, lookback: int) -> np.ndarray:
    """Returns the first rows of the windows; each symbol's last row ends none."""
    own = np.arange(days - lookback)
    return (np.arange(symbols)[:, None] * days + own).ravel()


def arguments(
    kinds: Iterable[str],
    sizes: Iterable[str],
    choices: Mapping[str, Sequence[str]] | None = None,
) -> argparse.Namespace:
    """Returns the command line of a child: its kind, the sizes, and words to choose from."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=tuple(kinds))
    for name in sizes:
        parser.add_argument(f"--{name}", type=int, required=True)
    for name, words in (choices or {}).items():
        parser.add_argument(f"--{name}", choices=words, required=True)
    return parser.parse_args()
