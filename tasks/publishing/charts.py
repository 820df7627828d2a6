"""The report's plots as plotly figures, and the series behind the symbol selector.

Figures carry no background, font or grid: the page lays its light or dark theme over them. Trace
colours are mid-tones that read on both. Everything that plotly would take for markup is escaped.
"""

from html import escape
from typing import Any

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from tasks.publishing.formats import decimal
from tasks.publishing.measures import Measure

# 500 symbols over ten years would make a file of some 60 MB; these keep it near 6 MB.
MAX_SYMBOLS = 12
MAX_SYMBOL_ROWS = 1_250
MAX_POINTS = 1_500
MAX_FOLDS = 12

BLUE, ORANGE, TEAL, VIOLET, ROSE, OLIVE, GREY = (
    "#3b7ddd", "#d9822b", "#1f9d8b", "#8f63d2", "#d0507f", "#8b9a2e", "#8a919c",
)  # fmt: skip
OTHERS = (ORANGE, TEAL, VIOLET, ROSE, OLIVE, GREY)
# What a colour tells, a dash or a mark tells too.
DASHES = ("dash", "dot", "dashdot", "longdash", "longdashdot", "10px 2px 2px 2px")
MARKS = {
    "circle": "●", "square": "■", "diamond": "◆", "triangle-up": "▲", "cross": "✚", "x": "✖",
    "star": "★",
}  # fmt: skip


def daily_ic(daily: pl.DataFrame, predictions: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Returns model, date and ic, one row a date on which the model has an IC.

    For `ts_ic` no date has an IC of its own. Its row is then the date's contribution: the product
    of forecast and outcome, each standardised over its symbol's span, summed over the symbols and
    divided by their mean number a date. The mean of these over the dates is the ts_ic.
    """
    if kind == "ic":
        found = daily.select("model", "date", "ic")
    else:
        per = ["model", "symbol"]
        score, target = pl.col("score"), pl.col("target")
        product = (score - score.mean().over(per)) * (target - target.mean().over(per))
        scale = score.std(ddof=0).over(per) * target.std(ddof=0).over(per)
        found = (
            predictions.filter(pl.col("score").is_finite(), pl.col("target").is_finite())
            .with_columns(ic=product / scale, scale=scale)
            # Fewer than three dates have no ts_ic.
            .filter(pl.col("scale") > 0, pl.len().over(per) >= 3)
            .group_by("model", "date")
            .agg(pl.col("ic").sum(), names=pl.len())
            .with_columns(pl.col("ic") / pl.col("names").mean().over("model"))
            .drop("names")
        )
    return found.filter(pl.col("ic").is_finite()).sort("model", "date")


def ic_chart(values: pl.DataFrame, network: str, label: str) -> go.Figure | None:
    """Returns cumulative IC of every model over the network's monthly mean IC.

    The cumulative IC is divided by all dates, so that it ends at the IC of the span.
    """
    if values.is_empty():
        return None
    figure = stacked((0.62, 0.38))
    names = sorted(values["model"].unique(), key=lambda name: (name != network, name))
    for position, name in enumerate(names):
        line = values.filter(pl.col("model") == name).with_columns(
            pl.col("ic").cum_sum() / pl.len()
        )
        own, place = name == network, (position - 1) % len(OTHERS)
        style = {"color": BLUE if own else OTHERS[place], "width": 2.4 if own else 1.5}
        style["dash"] = "solid" if own else DASHES[place]
        draw_line(figure, thinned(line), "ic", name, style)
    months = (
        values.filter(pl.col("model") == network)
        .group_by(pl.col("date").dt.truncate("1mo"))
        .agg(pl.col("ic").mean())
        .sort("date")
    )
    heights: list[float] = months["ic"].round(5).to_list()
    figure.add_bar(
        x=days(months), y=heights, xperiod="M1", xperiodalignment="middle",
        marker={"color": [BLUE if height >= 0 else ORANGE for height in heights], "line.width": 0},
        name="monthly mean", showlegend=False, row=2, col=1,
    )  # fmt: skip
    figure.update_yaxes(title_text=f"cumulative {label} / dates", row=1, col=1)
    figure.update_yaxes(title_text="monthly mean", row=2, col=1)
    return figure


def shown_symbols(predictions: pl.DataFrame, forecasts: pl.DataFrame | None) -> list[str]:
    """Returns at most MAX_SYMBOLS symbols with outcomes: tonight's top and bottom, then by name."""
    known = sorted(predictions["symbol"].unique())
    if len(known) <= MAX_SYMBOLS or forecasts is None:
        return known[:MAX_SYMBOLS]
    ranking = forecasts.sort("rank")["symbol"].unique(maintain_order=True)
    ranked = ranking.filter(ranking.is_in(known)).to_list()
    half = MAX_SYMBOLS // 2
    chosen = [*ranked[:half], *ranked[half:][-half:]]
    return [*chosen, *(symbol for symbol in known if symbol not in chosen)][:MAX_SYMBOLS]


def forecast_series(
    predictions: pl.DataFrame, symbols: list[str], measure: Measure
) -> dict[str, dict[str, Any]]:
    """Returns by symbol dates, forecasts, bands and outcomes as `measure` has them, and a note.

    The forecast is the mean, or the median of a head without one; a score alone is in no unit and
    is not drawn.
    """
    columns = ["mean", "q05", "q95", "target"]
    predictions = predictions.with_columns(mean=pl.coalesce("mean", "q50"))
    found = {}
    for symbol in symbols:
        rows = predictions.filter(pl.col("symbol") == symbol).sort("date").tail(MAX_SYMBOL_ROWS)
        series = {name: rounded(rows[name] * measure.factor, measure.digits) for name in columns}
        fit = rows.select(pl.corr("score", "target")).item()
        note = (
            f"{rows.height:,} forecasts, correlation with the outcome {decimal(fit, signed=True)}"
        )
        found[symbol] = {"date": days(rows), **series, "note": note}
    return found


def forecast_chart(measure: Measure) -> go.Figure:
    """Returns forecast, 90 % band and outcome over time; the page fills in the chosen symbol."""
    figure = go.Figure(layout={"template": "none"})
    band = {"mode": "lines", "line": {"width": 0, "color": BLUE}, "hoverinfo": "skip"}
    figure.add_scatter(**band, showlegend=False, meta="q95")
    figure.add_scatter(
        **band, fill="tonexty", fillcolor="rgba(59,125,221,0.18)", name="90 % band", meta="q05"
    )
    figure.add_scatter(
        mode="markers", marker={"size": 4, "color": ORANGE}, name="outcome", meta="target"
    )
    figure.add_scatter(mode="lines", line={"width": 2, "color": BLUE}, name="forecast", meta="mean")
    figure.update_layout(margin=margin(), legend=legend(), hovermode="x unified")
    figure.update_yaxes(title_text=measure.unit)
    return figure


def scatter_chart(measure: Measure) -> go.Figure:
    """Returns outcome against forecast; the page fills in the chosen symbol."""
    figure = go.Figure(layout={"template": "none"})
    figure.add_scatter(
        mode="markers", marker={"size": 5, "color": BLUE, "opacity": 0.45}, showlegend=False
    )
    figure.update_layout(margin=margin())
    named = measure.sign or measure.unit
    figure.update_xaxes(title_text=f"forecast, {named}")
    figure.update_yaxes(title_text=f"outcome, {named}")
    return figure


def learning_charts(curves: pl.DataFrame) -> dict[int, go.Figure]:
    """Returns by fold a small figure: each seed's loss on fit (dotted) and on stop (solid).

    A refit belongs to no fold and has no stop span: rows without a fold are not drawn.
    """
    charts = {}
    for fold in sorted(curves["fold"].drop_nulls().unique())[-MAX_FOLDS:]:
        figure = go.Figure(layout={"template": "none"})
        for seed, (colour, mark) in seed_styles(curves).items():
            rows = curves.filter(pl.col("fold") == fold, pl.col("seed") == seed).sort("epoch")
            for column, dash in (("fit_loss", "dot"), ("stop_loss", "solid")):
                figure.add_scatter(
                    x=rows["epoch"].to_list(), y=_significant(rows[column]),
                    mode="lines+markers", marker={"symbol": mark, "size": 6},
                    line={"color": colour, "width": 1.5, "dash": dash}, showlegend=False,
                    name=f"seed {seed}, {column.removesuffix('_loss')}",
                )  # fmt: skip
        figure.update_layout(margin={"l": 8, "r": 8, "t": 8, "b": 8}, hovermode="x unified")
        figure.update_xaxes(title_text="epoch", automargin=True, nticks=6)
        figure.update_yaxes(automargin=True, nticks=5, exponentformat="e")
        charts[fold] = figure
    return charts


def seed_styles(curves: pl.DataFrame) -> dict[int, tuple[str, str]]:
    """Returns colour and mark of each seed in `learning_charts`, for one legend beside them all."""
    styles = list(zip((BLUE, *OTHERS), MARKS, strict=True))
    seeds = sorted(curves["seed"].unique())
    return {seed: styles[i % len(styles)] for i, seed in enumerate(seeds)}


def stacked(heights: tuple[float, float]) -> go.Figure:
    """Returns two empty panels over one axis of time."""
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=list(heights), vertical_spacing=0.06
    )
    return figure.update_layout(
        template="none", margin=margin(), legend=legend(), hovermode="x unified"
    )


def margin() -> dict[str, int]:
    """Returns the margins around a plot, in pixels."""
    return {"l": 64, "r": 12, "t": 12, "b": 44}


def legend() -> dict[str, Any]:
    """Returns a legend in rows above the plot; plotly widens the margin for it as it wraps."""
    return {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}


def draw_line(
    figure: go.Figure, rows: pl.DataFrame, column: str, name: str, style: dict[str, Any],
    row: int = 1,
) -> None:  # fmt: skip
    """Adds a line to a stacked figure; the legend names those of the upper panel."""
    figure.add_scatter(
        x=days(rows), y=rounded(rows[column], 5), mode="lines", name=escape(name),
        line=style, legendgroup=escape(name), showlegend=row == 1,
        row=row, col=1,
    )  # fmt: skip


def thinned(rows: pl.DataFrame) -> pl.DataFrame:
    """Returns at most MAX_POINTS rows, evenly spaced and with the last one."""
    step = -(-rows.height // MAX_POINTS)
    return rows if step <= 1 else rows.reverse().gather_every(step).reverse()


def days(rows: pl.DataFrame) -> list[str]:
    """Returns the dates of the rows as text."""
    return rows["date"].dt.to_string("%Y-%m-%d").to_list()


def rounded(values: pl.Series, digits: int) -> list[float | None]:
    """Returns numbers for a plot; what is not known is None."""
    return values.cast(pl.Float64).fill_nan(None).round(digits).to_list()


def _significant(values: pl.Series) -> list[float | None]:
    return values.cast(pl.Float64).fill_nan(None).round_sig_figs(5).to_list()
