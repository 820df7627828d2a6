"""A process that appends night by night and tidies up in between; it may be killed at any time."""

import sys
from datetime import timedelta

import polars as pl

from tasks.lake import upkeep
from tasks.lake.store import Lake
from tests.lake.frames import at, bars, weekdays

NIGHTS = 30


def night(number: int) -> pl.DataFrame:
    """A new session of three symbols, and the two before it; every third night restates those."""
    days = weekdays(NIGHTS + 2)[number : number + 3]
    return bars([(s, d, 1.0 + number // 3) for s in "ABC" for d in days])


if __name__ == "__main__":
    lake = Lake(sys.argv[1])
    for number in range(NIGHTS):
        lake.append("bars", night(number), at(number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        upkeep.tidy(lake, small_files=2, keep=timedelta(0))
