"""Who belongs to the universe, and when.

1. Members come from a dated membership file, from the configuration, or from the provider, which
   then must be able to list what it has.
2. A membership is a frame of spells (`tasks/lake/membership.py`).
3. Whoever was a member at some time up to the session is ingested; whoever is one on the session is
   forecast; a row counts only inside a spell.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from models.errors import UsageError, near, some_of
from tasks.ingest.providers import Provider
from tasks.ingest.spec import UniverseSpec
from tasks.ingest.symbols import described_fault
from tasks.lake.calendar import require_exchange
from tasks.lake.membership import FROM, SPELL_COLUMNS, TO

READY = Path(__file__).parents[2] / "deploy" / "universes"

_REQUIRED = ("symbol", "from", "to")
_LONGEST_SECTOR = 60


@dataclass(frozen=True)
class Members:
    """The universe as of one session.

    Attributes:
        symbols: Members on the session, sorted.
        ever: All that were members at some time up to the session, sorted.
        membership: All spells, those that begin after the session too.
    """

    symbols: tuple[str, ...]
    ever: tuple[str, ...]
    membership: pl.DataFrame


def members(provider: Provider, universe: UniverseSpec, session: date) -> Members:
    """Returns who is and who was a member by `session`.

    Raises:
        UsageError: Nothing names the members, a provider that lists its symbols lacks one of them,
            or nobody is a member on the session.
    """
    if universe.file is not None:
        membership = read_membership(universe.file, universe.exchange)
    else:
        membership = _undated(_named(provider, universe), universe.exchange)
    begun = membership.filter(FROM.le(session))
    symbols, ever = (_sorted(m["symbol"]) for m in (begun.filter(TO.ge(session)), begun))
    if not symbols:
        raise UsageError(
            f"The universe {universe.file or ''} has no member on {session}; take another session "
            "or add the spells that are missing."
        )
    offered = provider.symbols()
    if offered is not None:
        _require_offered(ever, offered, "universe.file" if universe.file else "universe.symbols")
    return Members(symbols, ever, membership)


def read_membership(path: Path, exchange: str) -> pl.DataFrame:
    """Returns the spells in a CSV file, sorted by symbol and `from`.

    Args:
        path: A file with the columns symbol, from, to and perhaps exchange and sector.
        exchange: The exchange of rows that name none.

    Raises:
        UsageError: The file, the row and the value that is wrong, and what to write instead.
    """
    table = _table(path)
    for row, symbol in enumerate(table["symbol"], start=1):
        if sentence := described_fault(symbol):
            raise UsageError(f"{path}: row {row}: {sentence}")
    spells = table.with_columns(
        *(_days(path, table[c]) for c in ("from", "to")),
        exchange=_exchanges(path, table, exchange),
        sector=_sectors(path, table),
        row=pl.int_range(1, pl.len() + 1),
    )
    _require_order(path, spells)
    _require_one_exchange(path, spells)
    ordered = spells.sort("symbol", FROM, maintain_order=True)
    _require_apart(path, ordered)
    return ordered.select(list(SPELL_COLUMNS))


def survivorship(universe: UniverseSpec, membership: pl.DataFrame, provider: Provider) -> str:
    """Returns in plain words whether the universe was chosen with hindsight, and who is missing."""
    ever = membership["symbol"].n_unique()
    gone = ever - membership.filter(pl.col("to").is_null())["symbol"].n_unique()
    if universe.file is not None:
        named = f"the {ever} members in {universe.file.name}"
    else:
        named = "all symbols of the source" if universe.symbols is None else f"{ever} named symbols"
    if gone:
        chosen = (
            f"The universe has dated members: of {named}, {gone} have left, and each counts only "
            "while it belonged."
        )
    else:
        chosen = (
            f"The universe is today's members looked at backwards: {named}, of which none has ever "
            "left; whoever failed before today is missing, so the past looks better than it was."
        )
    return " ".join([chosen, *provider.notes()])


def _named(provider: Provider, universe: UniverseSpec) -> Iterable[str]:
    """Returns the symbols without dates: those of the configuration, or all the provider's."""
    named = universe.symbols or provider.symbols()
    if named is None:
        raise UsageError(
            f"Nothing says which symbols to take, and source {provider.source!r} cannot list its "
            "own; set universe.symbols, or universe.file to a membership file."
            f"{_ready_ones()}"
        )
    return named


def _undated(symbols: Iterable[str], exchange: str) -> pl.DataFrame:
    rows = [(s, None, None, exchange, None) for s in sorted(symbols)]
    return pl.DataFrame(rows, SPELL_COLUMNS, orient="row")


def _sorted(symbols: pl.Series) -> tuple[str, ...]:
    return tuple(symbols.unique().sort())


def _require_offered(ever: Iterable[str], offered: list[str], where: str) -> None:
    unknown = sorted(set(ever) - set(offered))
    if unknown:
        raise UsageError(
            f"{where} names {some_of([repr(s) for s in unknown])}, which the provider "
            f"does not have; choose among its {len(offered)} symbols."
            f"{''.join(near(s, offered) for s in unknown[:5])}"
        )


def _table(path: Path) -> pl.DataFrame:
    """Reads the file as text; an empty cell is an empty text."""
    try:
        table = pl.read_csv(path.expanduser(), glob=False, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"universe.file={path} cannot be read ({reason}); name a CSV file with the columns "
            f"{', '.join(SPELL_COLUMNS)}.{_ready_ones()}"
        ) from error
    known, found = list(SPELL_COLUMNS), table.columns
    wrong = [c for c in found if c not in known] or [c for c in _REQUIRED if c not in found]
    if wrong:
        raise UsageError(
            f"{path}: the columns are {', '.join(found)}; have symbol, from, to and, if you like, "
            f"exchange and sector, and no others.{near(wrong[0], known)}"
        )
    if table.is_empty():
        raise UsageError(f"{path} has a header but no rows; add a row for each member.")
    return table.with_columns(pl.all().fill_null("").str.strip_chars(" "))


def _ready_ones() -> str:
    ready = sorted(f.name for f in READY.glob("*.csv"))
    return f" In deploy/universes there are {', '.join(ready)}." if ready else ""


def _days(path: Path, column: pl.Series) -> pl.Series:
    days = column.str.extract(r"^(\d{4}-\d{2}-\d{2})$").str.to_date(strict=False)
    wrong = (days.is_null() & (column != "")).arg_true()
    if len(wrong):
        raise UsageError(
            f"{path}: row {wrong[0] + 1}: {column.name} is {column[wrong[0]]!a}, which is no date; "
            "write it as 2024-01-31 or leave it empty."
        )
    return days


def _exchanges(path: Path, table: pl.DataFrame, default: str) -> pl.Series:
    if "exchange" not in table.columns:
        return pl.repeat(default, table.height, dtype=pl.String, eager=True)
    names = []
    for row, name in enumerate(table["exchange"], start=1):
        try:
            names.append(require_exchange(name or default))
        except UsageError as error:
            raise UsageError(f"{path}: row {row}: {error}") from None
    return pl.Series(names, dtype=pl.String)


def _sectors(path: Path, table: pl.DataFrame) -> pl.Series:
    """Returns the sectors by name, null where the cell is empty: unknown."""
    if "sector" not in table.columns:
        return pl.repeat(None, table.height, dtype=pl.String, eager=True)
    for row, name in enumerate(table["sector"], start=1):
        if len(name) > _LONGEST_SECTOR or not name.isprintable():
            shown = name if len(name) <= _LONGEST_SECTOR else name[:_LONGEST_SECTOR] + "…"
            raise UsageError(
                f"{path}: row {row}: sector is {shown!a}, of {len(name)} characters; write a name "
                f"of at most {_LONGEST_SECTOR} printable characters or leave it empty."
            )
    return table["sector"].replace("", None)


def _require_order(path: Path, spells: pl.DataFrame) -> None:
    for row, first, last in spells.filter(FROM > TO).select("row", "from", "to").iter_rows():
        raise UsageError(
            f"{path}: row {row}: from is {first}, after to, which is {last}; swap them."
        )


def _require_one_exchange(path: Path, spells: pl.DataFrame) -> None:
    named = spells.group_by("symbol").agg(pl.col("exchange").unique().sort())
    for symbol, found in named.filter(pl.col("exchange").list.len() > 1).sort("symbol").iter_rows():
        raise UsageError(
            f"{path}: {symbol} stands on {' and on '.join(found)}; give all its rows the exchange "
            "whose sessions its prices follow."
        )


def _require_apart(path: Path, ordered: pl.DataFrame) -> None:
    """Refuses a spell that begins before the one above it, of the same symbol, has ended."""
    before = pl.struct("row", end=TO).shift(1).over("symbol")
    clash = ordered.with_columns(before=before).filter(FROM.le(before.struct.field("end")))
    for symbol, row, above in clash.select("symbol", "row", "before").iter_rows():
        raise UsageError(
            f"{path}: rows {above['row']} and {row} name {symbol} for the same days; let its "
            "spells follow one another, or leave one row out."
        )
