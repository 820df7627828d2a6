"""What a run knows of the trials that were counted beside its own."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from models.errors import DataError
from tasks.lake.rows import digest_of
from tasks.lake.store import Lake
from tasks.lake.tables import TRIALS


class TrialsRef(BaseModel):
    """All trials known at an instant, as one of them sees the others.

    The digest is that of the others' rows. The own row is left out of it: it changes when the
    trial is completed, with what its evaluation found. So a run that is made again finds its
    finished evaluation, and after further trials it does not.
    """

    model_config = ConfigDict(frozen=True)

    trial: str
    universe: str
    first: date
    last: date
    known_by: datetime
    others: int
    digest: str

    @property
    def identity(self) -> list[str]:
        """What of the reference decides a result."""
        return [self.trial, self.universe, str(self.first), str(self.last), self.digest]


def refer_to_trials(lake: str, trial: Mapping[str, Any], known_by: datetime) -> TrialsRef:
    """Returns a reference to what is known of all trials; `trial` is the own row."""
    others = _others(lake, trial["trial"], known_by)
    own = {name: trial[name] for name in ("trial", "universe", "first", "last")}
    return TrialsRef(**own, known_by=known_by, others=others.height, digest=digest_of(others))


def other_trials(lake: str, reference: TrialsRef) -> pl.DataFrame:
    """Returns the rows of the other trials that a reference saw.

    Raises:
        DataError: The lake gives other rows than it gave then.
    """
    others = _others(lake, reference.trial, reference.known_by)
    digest = digest_of(others)
    if digest != reference.digest:
        raise DataError(
            f"The other trials known by {reference.known_by} have digest {digest[:12]} where "
            f"{reference.digest[:12]} was recorded; rows of the lake were changed or lost. "
            "Restore it from a backup."
        )
    return others


def _others(lake: str, trial: str, known_by: datetime) -> pl.DataFrame:
    rows = Lake(lake).read("trials", cutoff=None, known_by=known_by)
    return rows.filter(pl.col("trial") != trial).select(TRIALS.content)
