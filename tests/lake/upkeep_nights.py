"""Nights of bars that restate one another, and what a lake says of them."""

import random
from pathlib import Path

import polars as pl

from tasks.lake.rows import digest_of
from tests.lake.frames import at, bars, weekdays

DAYS = weekdays(40)


def restatements(seed):
    """A few bars, some of which say anew what was said before; some without a volume, some held."""
    draw = random.Random(seed)
    keys = {(draw.choice("ABC"), draw.choice(DAYS)) for _ in range(6)}
    frame = bars([(s, d, draw.choice((1.0, 2.0, 0.1 + 0.2))) for s, d in keys])
    volume = [draw.choice((None, 5.0)) for _ in keys]
    return frame.with_columns(volume=pl.Series(volume, dtype=pl.Float64), held=draw.random() < 0.2)


def write(lake, nights):
    for n in nights:
        lake.append("bars", restatements(n), at(n))


def digests(lake, nights):
    """What was known at each night, down to the bit and with its stamps."""
    reads = (lake.read("bars", cutoff=None, known_by=at(n), stamps=True) for n in nights)
    return [digest_of(read) for read in reads]


def files(lake):
    return {Path(f).name for f in lake.open("bars").file_uris()}


def assert_every_row_is_there_once(lake):
    raw = pl.read_delta(f"{lake.uri}/bars")
    assert not raw.select("symbol", "date", "commit").is_duplicated().any()
    return raw
