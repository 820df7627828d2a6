"""Holds what a source serves now against what it served before.

1. Bars of dates that are held already are compared, as traded: prices and volumes that agree up to
   the source's rounding are not handed on, so that a split re-scales nothing in the lake.
2. A bar at 100 times or 1/100 of the held one is refused; the held one stays.
3. Where all other bars compared (at least two) are off by one ratio, or most of them by several,
   the source has moved its whole level. If a new action explains the ratio, the held bars stay;
   else the symbol is to be asked for in full, and if that changes nothing its new dates are handed
   on under `level_shift`. A single bar off by the splits after it is refused.
4. Anything else that differs is a revision, and the new values are handed on.
5. Another source than the one that is held is never spliced in, unless it agrees on enough bars;
   then it may fill dates that are not held.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from tasks.ingest.overlap import side_by_side
from tasks.ingest.quarantine import NO_REVIEWS, PRICES, TAPE, bar_text, quarantined, released
from tasks.ingest.shifts import new_actions, settle_shifts
from tasks.ingest.spec import QualitySpec
from tasks.lake.tables import ACTIONS

FINDINGS: Mapping[str, str] = {
    "same": "All bars that were held already agree.",
    "restated_split": "A split is new; as traded, the bars before it agree.",
    "restated_dividend": "A dividend is new; as traded, the bars before it agree.",
    "revised": "Some bars have other values than before; the new ones are taken.",
    "unit_error": "Bars are served at 100 times or 1/100 of the price held; they are refused.",
    "level_shift": "All bars are off by one ratio that no action explains; new ones are held.",
    "source_mismatch": "Another source does not agree with what is held; its bars are refused.",
}

_SAME_SOURCE = 1e-3
# Sources date one event some sessions apart.
_SAME_EVENT = timedelta(days=5)


@dataclass(frozen=True)
class Reconciled:
    """What becomes of the bars served.

    Attributes:
        bars: Rows to hand on: symbol, date, the tape, source, `flags` (null, or `level_shift`),
            `held` (null).
        refused: Rows for quarantine, without `run`.
        findings: symbol, finding (a key of `FINDINGS`), date of the first row or of the action,
            ratio (null where there is none), detail. A symbol without a bar to compare has none.
        refetch: Symbols to be asked for in full.
        agreed: Of each symbol the first bar on which source and lake agree.
    """

    bars: pl.DataFrame
    refused: pl.DataFrame
    findings: pl.DataFrame
    refetch: tuple[str, ...]
    agreed: Mapping[str, date]


def reconcile(
    fetched: pl.DataFrame,
    stored: pl.DataFrame,
    actions_fetched: pl.DataFrame,
    actions_stored: pl.DataFrame,
    spec: QualitySpec,
    full: Collection[str] = (),
    reviews: pl.DataFrame = NO_REVIEWS,
    own_history: bool = False,
) -> Reconciled:
    """Returns what of `fetched` is new, revised or refused, and what that says of each symbol.

    Args:
        fetched: Good bars of one source, as traded.
        stored: What the lake holds of these symbols (`tables.BARS`), over the dates fetched at
            least.
        actions_fetched: Good actions that came with the bars.
        actions_stored: The actions that the lake holds.
        spec: `overlap_sessions`.
        full: Symbols that were asked for in full: they are not asked for again.
        reviews: What people have released.
        own_history: The source is a history of the user's own, served whole: where its level has
            moved, as that of adjusted prices does with each dividend, the user has restated it.
    """
    rows = side_by_side(fetched, stored, actions_fetched, actions_stored)
    rows = _of_another_source(rows, stored, spec)
    rows = rows.with_columns(fate=_fate())
    if own_history:
        none = pl.lit(None, pl.Float64)
        rows = rows.with_columns(shift=none, apart=pl.lit(False), by_split=pl.lit(False))
    else:
        rows = settle_shifts(rows, actions_fetched, actions_stored)
    missed = pl.col("trusted") & pl.col("by_split") & (pl.col("fate") == "revised")
    rows = rows.with_columns(fate=pl.when(missed).then(pl.lit("unit_error")).otherwise("fate"))
    refusing = {"unit_error": "unit_error", "foreign": "source_mismatch"}
    refused = rows.filter(pl.col("fate").is_in(list(refusing))).with_columns(
        kind=pl.lit("bar"),
        rule=pl.col("fate").replace(refusing),
        field=pl.lit("row"),
        seen=bar_text(),
    )
    let_pass = released(refused, reviews)
    handed = pl.concat(
        [
            rows.filter(pl.col("fate").is_in(["new", "revised", "shifted"])),
            refused.filter(let_pass),
        ],
        how="diagonal",
    )
    flags = pl.when(fate="shifted").then(pl.lit("level_shift"))
    findings = _findings(rows, actions_fetched, actions_stored)
    moved = findings.filter(finding="level_shift")["symbol"].to_list()
    return Reconciled(
        bars=handed.select(
            "symbol", "date", *TAPE, "source", flags=flags, held=pl.lit(None, pl.Boolean)
        ).sort("symbol", "date"),
        refused=quarantined(refused.filter(~let_pass)),
        findings=findings,
        refetch=tuple(s for s in moved if s not in full),
        agreed=dict(
            rows.filter("trusted", "same").group_by("symbol").agg(pl.col("date").min()).iter_rows()
        ),
    )


def reconcile_actions(
    fetched: pl.DataFrame,
    stored: pl.DataFrame,
    agreed: Mapping[str, date],
    source: str,
    stated: pl.DataFrame | None = None,
    tolerance: float = 1e-4,
) -> pl.DataFrame:
    """Returns the actions to append, in the columns of `tables.ACTIONS`.

    Those are new ones, those whose value has changed by more than the share `tolerance`, and, with
    a split of 1 or cash of 0, those that the source no longer states. What another source has
    stated is neither changed nor withdrawn.

    Args:
        fetched: Good actions, with `flags`.
        stored: The actions that the lake holds of these symbols.
        agreed: The first bar of each symbol on which source and lake agree: only what is dated
            after it can be withdrawn. A source that has lost a split still adjusts by it, and then
            no bar before the split agrees.
        source: Who has stated `fetched`.
        stated: symbol, date and kind of all that the source states or lets its adjusted close
            tell, refused actions too; by default `fetched`.
        tolerance: Share of a value within which it is the same.
    """
    key = ["symbol", "date", "kind"]
    held = stored.select(*key, known="value", known_flags="flags", known_source="source")
    alike = (pl.col("value") / pl.col("known") - 1).abs() <= tolerance
    same = alike.fill_null(False) & (pl.col("flags") == pl.col("known_flags"))
    foreign = pl.col("known_source") != source
    told = fetched.join(held, on=key, how="left").join(
        _told_by_another(fetched, stored, source), on=key, how="anti"
    )
    changed = told.filter(~same.fill_null(False), ~foreign.fill_null(False))
    none = pl.when(kind="split").then(1.0).otherwise(0.0)
    agreed_from = pl.col("symbol").replace_strict(agreed, default=None, return_dtype=pl.Date)
    gone = (
        stored.filter((pl.col("date") > agreed_from) & (pl.col("value") != none), source=source)
        .join(fetched if stated is None else stated, on=key, how="anti")
        .with_columns(value=none, flags=pl.lit(""))
    )
    columns = list(ACTIONS.columns)
    return pl.concat([changed.select(columns), gone.select(columns)]).sort(key)


def _told_by_another(fetched: pl.DataFrame, stored: pl.DataFrame, source: str) -> pl.DataFrame:
    """Returns the actions of which another source has told, perhaps as one sum or a day off."""
    is_split = (pl.col("kind") == "split").alias("is_split")
    others = stored.filter(pl.col("source") != source, pl.col("value") != 0.0)
    near = (pl.col("date") - pl.col("date_held")).abs() <= _SAME_EVENT
    return (
        fetched.with_columns(is_split)
        .join(others.select("symbol", is_split, date_held="date"), on=["symbol", "is_split"])
        .filter(near)
        .select("symbol", "date", "kind")
        .unique()
    )


def _of_another_source(rows: pl.DataFrame, stored: pl.DataFrame, spec: QualitySpec) -> pl.DataFrame:
    """Adds `foreign`: "" for the symbol's own source, else whether it "agrees" or is "refused"."""
    counts = stored.group_by("symbol", "source", maintain_order=True).len("bars")
    home = counts.sort("symbol", "bars", descending=[False, True], maintain_order=True).unique(
        "symbol", keep="first"
    )
    rows = rows.join(home.select("symbol", home="source"), on="symbol", how="left")
    near = pl.all_horizontal(
        (pl.col(c) / pl.col(f"{c}_held") - 1).abs() <= _SAME_SOURCE for c in PRICES
    )
    compared = pl.col("trusted")
    agrees = (near | ~compared).all().over("symbol") & (
        compared.sum().over("symbol") >= spec.overlap_sessions
    )
    return rows.with_columns(
        foreign=pl.when((pl.col("source") == pl.col("home")).fill_null(True))
        .then(pl.lit(""))
        .when(agrees)
        .then(pl.lit("agrees"))
        .otherwise(pl.lit("refused"))
    )


def _fate() -> pl.Expr:
    """Returns what becomes of each row, level shifts aside."""
    return (
        pl.when(foreign="refused")
        .then(pl.lit("foreign"))
        .when(~pl.col("there"))
        .then(pl.lit("new"))
        .when(foreign="agrees")
        .then(pl.lit("kept"))
        .when(pl.col("trusted") & pl.col("in_units"))
        .then(pl.lit("unit_error"))
        # A bar that was still open is handed on again: it may be final now.
        .when(~pl.col("final_held"))
        .then(pl.lit("revised"))
        .when("same")
        .then(pl.lit("kept"))
        .otherwise(pl.lit("revised"))
    )


def _findings(
    rows: pl.DataFrame, actions_fetched: pl.DataFrame, actions_stored: pl.DataFrame
) -> pl.DataFrame:
    """Returns the findings of each symbol, sorted by symbol and finding."""
    comparable = rows.filter("there").filter(pl.col("fate") != "foreign")
    restated = new_actions(rows.filter(~pl.col("apart")), actions_fetched, actions_stored)
    restated = restated.filter(pl.col("symbol").is_in(comparable["symbol"].implode()))
    is_split = pl.col("kind") == "split"
    count = pl.format("{} bars", pl.len())
    found = [
        _summed(rows.filter(fate="unit_error"), "unit_error", pl.col("ratio").first(), count),
        _summed(rows.filter(fate="foreign"), "source_mismatch", pl.lit(None, pl.Float64), count),
        _summed(rows.filter("apart"), "level_shift", pl.col("shift").first(), count),
        _summed(
            rows.filter(fate="revised").filter(pl.col("final_held") & ~pl.col("same")),
            "revised",
            pl.col("ratio").first(),
            count,
        ),
        *(
            _summed(restated.filter(which), finding, pl.col("value").first(), pl.lit(""))
            for which, finding in ((is_split, "restated_split"), (~is_split, "restated_dividend"))
        ),
    ]
    told = pl.concat(found)
    quiet = comparable.join(told, on="symbol", how="anti")
    same = _summed(quiet, "same", pl.lit(None, pl.Float64), count)
    return pl.concat([told, same]).sort("symbol", "finding")


def _summed(rows: pl.DataFrame, finding: str, ratio: pl.Expr, detail: pl.Expr) -> pl.DataFrame:
    return rows.group_by("symbol", maintain_order=True).agg(
        finding=pl.lit(finding), date=pl.col("date").min(), ratio=ratio, detail=detail
    )
