"""Plots of what the portfolios earned, held and paid, and of how much money they carry.

As those in `charts.py` they carry no theme, and what a colour tells a dash tells too.
"""

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go
import polars as pl

from tasks.publishing.charts import (
    BLUE,
    DASHES,
    GREY,
    ORANGE,
    TEAL,
    VIOLET,
    days,
    draw_line,
    legend,
    margin,
    rounded,
    stacked,
    thinned,
)
from tasks.publishing.formats import UNSECTORED, money
from tasks.publishing.skill_charts import dots, error_bars, scaled

# The portfolio that the verdict on the money is about.
TRADED = "long_only"
_SOLID = {"color": BLUE, "dash": "solid", "width": 2.4}
STYLES: dict[str, dict[str, Any]] = {
    TRADED: _SOLID,
    "benchmark": {"color": GREY, "dash": DASHES[1], "width": 2.0},
    "equal_weight": {"color": TEAL, "dash": DASHES[3], "width": 1.6},
    "long_short": {"color": ORANGE, "dash": DASHES[0], "width": 1.6},
    "forecast_weighted": {"color": VIOLET, "dash": DASHES[2], "width": 1.6},
}
# Marks beside colours.
SECTOR_MARKS = {TRADED: "circle", "long_short": "diamond-open"}
_NAME_WIDTH, _ROW_HEIGHT, _AROUND = 16, 44, 110
_BY_NETWORK = (TRADED, "long_short", "forecast_weighted")


def drawn(summary: Mapping[str, Any], equity: pl.DataFrame) -> dict[str, go.Figure]:
    """Returns by name the figures that the evaluation holds something for."""
    figures: dict[str, go.Figure] = {}
    if not equity.is_empty():
        figures["equity"] = equity_chart(equity)
        # A ledger from before had no exposure.
        if "net_exposure" in equity.columns:
            figures["exposure"] = exposure_chart(equity)
    if summary.get("costs"):
        figures["costs"] = cost_chart(summary["costs"]["rows"], summary["portfolios"])
    sectors = (summary.get("earned") or {}).get("sectors")
    if sectors:
        figures["sectors"] = sector_chart([row for row in sectors if row["kind"] == "sector"])
    capacity = summary.get("capacity")
    if capacity and isinstance(capacity["rows"][0]["sharpe"], Mapping):
        figures["capacity"] = capacity_chart(capacity["rows"])
    return figures


def rival(names: list[str]) -> str:
    """Returns what the network's portfolio is held against: the benchmark, if there is one."""
    return "benchmark" if "benchmark" in names else "equal_weight"


def equity_chart(equity: pl.DataFrame) -> go.Figure:
    """Returns growth of 1 of every portfolio, and the drawdown of the network's and its rival."""
    figure = stacked((0.66, 0.34))
    names = [name for name in STYLES if name in equity["portfolio"]]
    for name in names:
        rows = equity.filter(pl.col("portfolio") == name).sort("date")
        # A drawdown hangs below zero, whichever sign the frame gives it.
        rows = rows.with_columns(
            pl.col("equity") / pl.col("equity").first(), pl.col("drawdown").abs() * -100
        )
        rows, title = thinned(rows), name.replace("_", " ")
        if name == TRADED and "growth_low" in rows.columns:
            _band(figure, rows.with_columns(pl.col("drawdown_low") * 100))
        draw_line(figure, rows, "equity", title, STYLES[name])
        if name in (TRADED, rival(names)):
            draw_line(figure, rows, "drawdown", title, STYLES[name] | {"width": 1.5}, row=2)
    figure.update_yaxes(title_text="growth of 1", row=1, col=1)
    figure.update_yaxes(title_text="drawdown", ticksuffix=" %", row=2, col=1)
    return figure


def _band(figure: go.Figure, rows: pl.DataFrame) -> None:
    """Shades where growth lay in nine of ten redrawn histories, and how deep drawdowns went."""
    edge: dict[str, Any] = {"mode": "lines", "hoverinfo": "skip", "legendgroup": "band"}
    edge["line"] = {"width": 0.6, "color": BLUE}
    filled = {"fill": "tonexty", "fillcolor": "rgba(59,125,221,0.13)"}
    x = days(rows)
    upper, lower, fallen = (
        rounded(rows[column], 4) for column in ("growth_high", "growth_low", "drawdown_low")
    )
    figure.add_scatter(x=x, y=upper, showlegend=False, **edge, row=1, col=1)
    figure.add_scatter(
        x=x, y=lower, name="long only, 9 of 10 redrawn", **edge, **filled, row=1, col=1
    )
    filled["fill"] = "tozeroy"
    figure.add_scatter(x=x, y=fallen, showlegend=False, **edge, **filled, row=2, col=1)


def exposure_chart(equity: pl.DataFrame) -> go.Figure:
    """Returns net exposure of what trades the network, over the monthly turnover of long-only."""
    figure = stacked((0.6, 0.4))
    for name in _BY_NETWORK:
        rows = equity.filter(pl.col("portfolio") == name).sort("date")
        rows = thinned(rows.with_columns(pl.col("net_exposure") * 100))
        if rows.height:
            draw_line(figure, rows, "net_exposure", name.replace("_", " "), STYLES[name])
    months = (
        equity.filter(pl.col("portfolio") == TRADED)
        .group_by(pl.col("date").dt.truncate("1mo"))
        .agg(pl.col("turnover").sum())
        .sort("date")
    )
    figure.add_bar(
        x=days(months), y=rounded(months["turnover"], 3), xperiod="M1", xperiodalignment="middle",
        marker={"color": BLUE, "line": {"width": 0}}, name="turnover", showlegend=False,
        row=2, col=1,
    )  # fmt: skip
    figure.update_yaxes(title_text="net exposure", ticksuffix=" %", row=1, col=1)
    figure.update_yaxes(title_text="turnover a month", ticksuffix=" ×", row=2, col=1)
    return figure


def cost_chart(rows: list[dict[str, Any]], portfolios: list[dict[str, Any]]) -> go.Figure:
    """Returns the net Sharpe ratio at multiples of the costs, beside that of the rival."""
    names = [f"{row['multiple']:g} ×" for row in rows]
    figure = dots(names, [row["sharpe"] for row in rows], 1.0, 3)
    ratios = {row["name"]: row["sharpe"]["value"] for row in portfolios}
    other = rival([*ratios])
    if ratios.get(other) is not None:
        line = {"dash": "dot", "width": 1.4, "color": GREY}
        figure.add_hline(
            y=ratios[other], line=line, annotation_text=other.replace("_", " "),
            annotation_position="top right",
        )  # fmt: skip
    figure.update_xaxes(title_text="costs, as multiples of those assumed", type="category")
    figure.update_yaxes(title_text="net Sharpe ratio", zeroline=True)
    return figure


def capacity_chart(rows: list[dict[str, Any]]) -> go.Figure:
    """Returns the net Sharpe ratio by the capital that is traded."""
    figure = dots([money(row["capital"]) for row in rows], [row["sharpe"] for row in rows], 1.0, 3)
    figure.update_xaxes(title_text="capital, currency units", type="category")
    figure.update_yaxes(title_text="net Sharpe ratio", zeroline=True)
    return figure


def sector_chart(rows: list[dict[str, Any]]) -> go.Figure:
    """Returns what each sector added to the return a year of both portfolios, with its interval."""
    figure = go.Figure(layout={"template": "none"})
    names = ["<br>".join(wrap(row["name"] or UNSECTORED, _NAME_WIDTH)) for row in rows]
    for portfolio, symbol in SECTOR_MARKS.items():
        earned = [row[portfolio]["earned"] for row in rows]
        colour = STYLES[portfolio]["color"]
        figure.add_scatter(
            x=scaled(earned, 100.0, 3), y=names, mode="markers", orientation="h",
            name=portfolio.replace("_", " "), marker={"size": 9, "color": colour, "symbol": symbol},
            error_x=error_bars(earned, 100.0, 3, colour),
        )  # fmt: skip
    figure.update_layout(
        margin=margin(), legend=legend(), scattermode="group", scattergap=0.4,
        height=_AROUND + _ROW_HEIGHT * len(rows),
    )  # fmt: skip
    figure.update_xaxes(title_text="return a year", ticksuffix=" %", zeroline=True)
    figure.update_yaxes(type="category", autorange="reversed", automargin=True)
    return figure
