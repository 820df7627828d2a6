"""What of a universe's history was refused and never made good."""

from collections.abc import Sequence
from datetime import date, datetime

from models.errors import DataError
from tasks.ingest.quality import enforce_ceiling
from tasks.ingest.spec import QualitySpec
from tasks.lake.store import Lake


def too_much_lost(
    lake: Lake, symbols: Sequence[str], cutoff: date, known_by: datetime, spec: QualitySpec
) -> str | None:
    """Returns in words where more of the history was refused than the ceilings allow, or None.

    A night is held against the ceilings as a year of bars, so that a little lost every night
    passes. Here all that the lake has is looked at: dates that stand in quarantine without a bar.

    Args:
        lake: Where bars and quarantine lie.
        symbols: The universe.
        cutoff: Last session looked at.
        known_by: What was learned later is not seen.
        spec: The ceilings.
    """
    bars, refused = (
        lake.read(table, cutoff=cutoff, known_by=known_by, symbols=symbols)
        for table in ("bars", "quarantine")
    )
    keys = ["symbol", "date"]
    gone = refused.filter(kind="bar").select(keys).unique().join(bars, on=keys, how="anti")
    lost = dict(gone.group_by("symbol").len().iter_rows())
    kept = dict(bars.group_by("symbol").len().iter_rows())
    served = {s: kept.get(s, 0) + lost.get(s, 0) for s in symbols}
    try:
        enforce_ceiling(served, lost, spec)
    except DataError as fault:
        return str(fault)
    return None
