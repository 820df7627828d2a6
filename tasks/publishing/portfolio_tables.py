"""The tables on the portfolios: a line a figure, a column a portfolio.

1. Figures are estimates and stand with their intervals: what was earned and risked, and what was
   held, traded and paid by year.
2. Accounts are sums of money, which are no estimates and have none.
3. Months say what came when, beside the rival; they are an account too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from tasks.publishing.formats import bounds, decimal, percent, times
from tasks.publishing.portfolio_charts import TRADED, rival

# Sums of money by their name in a portfolio's row: title, what stands beneath.
ACCOUNTS: dict[str, tuple[str, str]] = {
    "costs": ("Costs", "in all"),
    "commission": ("commission", "of the costs"),
    "spread": ("half the spread", "of the costs"),
    "slippage": ("slippage", "of the costs"),
    "borrow": ("borrow fee", "of the costs"),
    "interest": ("Interest earned", ""),
    "written_off": ("Lost at delistings", ""),
    "unfilled": ("Ordered, not filled", ""),
}
# As evaluations were written before every figure had its interval.
_BARE: dict[str, tuple[str, str, Any]] = {
    "total_return": ("Grew by", "in all", lambda v, **_: percent(v, 1, signed=True)),
    "annual_return": ("Return", "a year", lambda v, **_: percent(v, 1, signed=True)),
    "annual_volatility": ("Volatility", "a year", lambda v, **_: percent(v)),
    "sortino": ("Sortino ratio", "", lambda v, **_: decimal(v, 2)),
    "max_drawdown": ("Deepest", "drawdown", lambda v, **_: percent(v)),
    "hit_rate": ("Days won", "", lambda v, **_: percent(v)),
    "turnover": ("Turnover", "a year, times the equity", lambda v, **_: times(v)),
}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def figure_lines(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns title, under and, by portfolio, text and bounds of every figure; Sharpe first."""
    rows, earned = summary["portfolios"], summary.get("earned")
    lines = [_line("Sharpe ratio", "a year", decimal, [row["sharpe"] for row in rows], digits=2)]
    if earned is None:
        for name, (title, under, form) in _BARE.items():
            values = [{"value": row[name], "low": None, "high": None} for row in rows]
            lines.append(_line(title, under, form, values))
        return lines
    return [*lines, *_registered(earned, rows)]


def paid_lines(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the same of what was held, traded and paid by year; empty where nothing is known."""
    paid = summary.get("paid")
    return [] if paid is None else _registered(paid, summary["portfolios"])


def _registered(
    section: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    lines = []
    for column in section["columns"]:
        values = [section["portfolios"][row["name"]][column["name"]] for row in rows]
        form = percent if column["form"] == "percent" else decimal
        options = {"digits": column["digits"], "signed": column["signed"]}
        lines.append(_line(column["title"], column["under"], form, values, **options))
    return lines


def _line(
    title: str, under: str, form: Any, intervals: Sequence[Mapping[str, Any] | None], **options: Any
) -> dict[str, Any]:
    cells = [
        (form(None if found is None else found["value"], **options), bounds(found, form, **options))
        for found in intervals
    ]
    return {"title": title, "under": under, "cells": cells}


def account_lines(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the same of the sums of money, as far as the evaluation knows them."""
    rows = summary["portfolios"]
    return [
        {"title": title, "under": under, "cells": [(decimal(row[name], 0), "") for row in rows]}
        for name, (title, under) in ACCOUNTS.items()
        if all(name in row for row in rows)
    ]


def month_lines(equity: pl.DataFrame) -> dict[str, Any] | None:
    """Returns the rival's name and, by year, the return of every month and of the year.

    A cell is the network's return, the rival's and whether the former is higher; None without
    sessions. The first and the last month may be cut short.
    """
    names = equity["portfolio"].unique().to_list()
    if TRADED not in names:
        return None
    other = rival(names)
    own, beside = (_by_month(equity, name) for name in (TRADED, other))
    years = sorted({year for year, _ in own})
    lines = [
        {
            "year": year,
            "cells": [_cell(own, beside, [(year, month)]) for month in range(1, 13)],
            "whole": _cell(own, beside, [(year, month) for month in range(1, 13)]),
        }
        for year in years
    ]
    return {"rival": other.replace("_", " "), "lines": lines}


def _by_month(equity: pl.DataFrame, name: str) -> dict[tuple[int, int], float]:
    """Returns by year and month what 1 grew to."""
    rows = equity.filter(pl.col("portfolio") == name).sort("date")
    growth = rows.with_columns(grown=(pl.col("equity") / pl.col("equity").shift(1)).fill_null(1.0))
    # After ruin nothing grows any more.
    growth = growth.with_columns(pl.when(pl.col("grown").is_finite()).then("grown").otherwise(1.0))
    months = growth.group_by(pl.col("date").dt.year().alias("y"), pl.col("date").dt.month()).agg(
        pl.col("grown").product()
    )
    return {(year, month): grown for year, month, grown in months.iter_rows()}


def _cell(
    own: Mapping[tuple[int, int], float],
    beside: Mapping[tuple[int, int], float],
    months: Sequence[tuple[int, int]],
) -> tuple[str, str, bool] | None:
    there = [month for month in months if month in own]
    if not there:
        return None
    mine = others = 1.0
    for month in there:
        mine, others = mine * own[month], others * beside.get(month, 1.0)
    return percent(mine - 1, signed=True), percent(others - 1, signed=True), mine > others
