"""The lake's tables: their columns, keys, and which columns say when something happened.

Every table has two columns of its own beside those listed: `known_at` (UTC instant at which we
learned the row) and `commit` (number of the commit that wrote it; later wins among equal
`known_at`). Nothing is updated in place; a changed row is a new row of the same key.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from models.errors import UsageError, near

INSTANT = pl.Datetime("us", "UTC")
STAMPS: Mapping[str, pl.DataType] = {"known_at": INSTANT, "commit": pl.Int64()}
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
QUANTILE_COLUMNS = ("q05", "q25", "q50", "q75", "q95")


@dataclass(frozen=True)
class Table:
    """One table: `key` names a thing, `happened` is its date, `audit` columns are not its content.

    Two rows of one key that differ in audit columns only are the same row: the first one stays.
    """

    name: str
    columns: Mapping[str, pl.DataType]
    key: tuple[str, ...]
    happened: str | None = None
    audit: tuple[str, ...] = ()

    @property
    def content(self) -> tuple[str, ...]:
        """The columns that are compared and digested."""
        return tuple(c for c in self.columns if c not in self.audit)

    @property
    def stored(self) -> dict[str, pl.DataType]:
        """All columns as they lie in the lake."""
        return {**self.columns, **STAMPS}


_TEXT, _NUMBER, _DAY, _COUNT, _YES = pl.String(), pl.Float64(), pl.Date(), pl.Int64(), pl.Boolean()

_TAPE = ("open", "high", "low", "close", "volume")

# As traded, never adjusted. `flags` names the rules of `tasks/ingest/rules.py` that the bar meets,
# sorted and joined by commas; a `held` bar is kept and not used; `final` is whether its session
# had closed, with a margin, when it was fetched.
BARS = Table(
    "bars",
    {
        "symbol": _TEXT,
        "date": _DAY,
        **dict.fromkeys(_TAPE, _NUMBER),
        "source": _TEXT,
        "flags": _TEXT,
        "held": _YES,
        "final": _YES,
    },
    key=("symbol", "date"),
    happened="date",
)
# A split of 1 or a dividend of 0 says that the source has withdrawn what it stated before.
ACTIONS = Table(
    "actions",
    {
        "symbol": _TEXT,
        "date": _DAY,
        "kind": _TEXT,
        "value": _NUMBER,
        "source": _TEXT,
        "flags": _TEXT,
    },
    key=("symbol", "date", "kind"),
    happened="date",
)
# `kind` is "bar" or the action's; a bar's prices, or an action's amount, are kept as served.
QUARANTINE = Table(
    "quarantine",
    {
        **dict.fromkeys(("symbol", "kind", "rule", "field", "value", "source", "run"), _TEXT),
        "date": _DAY,
        "occurrence": _COUNT,
        **dict.fromkeys((*_TAPE, "amount"), _NUMBER),
    },
    key=("symbol", "date", "kind", "rule", "field", "value", "occurrence"),
    happened="date",
    audit=("run",),
)
# What a person has decided about a refused or held row; `value` is the text of all its values.
REVIEWS = Table(
    "reviews",
    {
        **dict.fromkeys(("symbol", "kind", "rule", "value", "reason", "reviewer"), _TEXT),
        "date": _DAY,
    },
    key=("symbol", "date", "kind", "rule", "value"),
    happened="date",
)
FETCH_LOG = Table(
    "fetch_log",
    {
        **dict.fromkeys(
            ("symbol", "source", "outcome", "finding", "detail", "fingerprint", "run"), _TEXT
        ),
        **dict.fromkeys(("session", "asked_from", "first", "last"), _DAY),
        **dict.fromkeys(("rows", "new_rows", "refused", "held", "requests"), _COUNT),
    },
    key=("symbol", "session", "source", "run"),
    happened="session",
)
SECURITIES = Table(
    "securities",
    {
        **dict.fromkeys(
            ("symbol", "source", "currency", "exchange", "timezone", "instrument", "status"), _TEXT
        ),
        "first_traded": _DAY,
        "since": _DAY,
    },
    key=("symbol",),
)
# Dated membership; a null `to` means still a member, a null `sector` that nothing names it,
# `withdrawn` that the file no longer says so.
UNIVERSE = Table(
    "universe",
    {
        **dict.fromkeys(("universe", "symbol", "exchange", "sector"), _TEXT),
        "from": _DAY,
        "to": _DAY,
        "withdrawn": _YES,
    },
    key=("universe", "symbol", "from"),
)
TRIALS = Table(
    "trials",
    {
        **dict.fromkeys(("trial", "universe", "target", "status", "spec", "run"), _TEXT),
        "first": _DAY,
        "last": _DAY,
        "score": _NUMBER,
        "returns": pl.List(pl.Float64()),
    },
    key=("trial",),
    audit=("run",),
)
REGISTRY = Table(
    "registry",
    {
        **dict.fromkeys(("name", "model", "event", "gate", "bundle", "evidence"), _TEXT),
        "sequence": _COUNT,
        "cutoff": _DAY,
        "label_end": _DAY,
    },
    key=("name", "model", "event", "sequence"),
    audit=("evidence",),
)
FORECASTS = Table(
    "forecasts",
    {
        **dict.fromkeys(("model", "gate", "symbol", "target", "unit", "origin"), _TEXT),
        "cutoff": _DAY,
        "horizon": _COUNT,
        "rank": _COUNT,
        **dict.fromkeys(("score", "mean", *QUANTILE_COLUMNS), _NUMBER),
        "tradable": _YES,
        "known_by": INSTANT,
    },
    key=("model", "cutoff", "symbol", "horizon"),
    happened="cutoff",
    audit=("origin", "tradable", "known_by"),
)

TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        BARS,
        ACTIONS,
        QUARANTINE,
        REVIEWS,
        FETCH_LOG,
        SECURITIES,
        UNIVERSE,
        TRIALS,
        REGISTRY,
        FORECASTS,
    )
}


def table_named(name: str) -> Table:
    """Returns the table called `name`; an unknown name is a UsageError."""
    if name not in TABLES:
        raise UsageError(
            f"The lake has no table {name!r}; "
            f"choose one of {', '.join(TABLES)}.{near(name, TABLES)}"
        )
    return TABLES[name]
