"""The report of a night: one HTML file that asks the network for nothing and says the worst first.

1. The verdict and whether it pays come first, under any suspicion of a leak.
2. Tables are drawn by the templates from the summary as it is; nothing is computed anew but the
   sums by month. Evidence follows, then the limits in words, then the night.
3. Plots are plotly figures written into the page as JSON beside one copy of plotly.js; the page's
   content security policy forbids every request.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import plotly.graph_objects as go
import polars as pl
from markdown_it import MarkdownIt
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from tasks.lake.target_spec import TargetSpec
from tasks.publishing import charts, portfolio_charts, portfolio_tables, skill_charts
from tasks.publishing.formats import (
    UNSECTORED,
    bounds,
    decimal,
    estimated,
    money,
    percent,
    said,
    times,
)
from tasks.publishing.manifest import NOT_CERTIFIED, NOT_PROVED
from tasks.publishing.measures import Measure, in_basis_points
from tasks.publishing.novelty import unlike_training

HEADLINES = {
    "edge": "The model beats doing nothing.",
    "no edge": "The model is not shown to beat doing nothing.",
    "worse than zero": "The model does worse than doing nothing.",
}
# Above twice this many forecasts the table shows both ends of the ranking only.
RANKING_END = 25


@dataclass(frozen=True)
class ReportMaterial:
    """Everything that one report shows.

    Attributes:
        title: what the page is called, such as "nightcast, 2013-03-01".
        facts: the run's facts, name to text.
        summary: the evaluation's summary.
        daily: model, date, ic and squared errors by date.
        equity: portfolio, date, equity, drawdown and the rest of the ledger.
        curves: fold, seed, epoch, fit_loss, stop_loss.
        predictions: the out-of-sample predictions of all models.
        forecasts: tonight's forecasts of the main horizon in the published target's unit, with
            `distance` and `novel` where they are known, or None where none were made.
        target: what the model was fitted to and is judged by.
        model: the model's facts; `id` and `state` stand in the heading.
        notes: honest limits in plain words.
        card: the model card in Markdown; empty to leave it out.
        causality: what the causality proof of the model's features found, in one sentence.
        certificate: what the causality certificate of the run found, in one sentence.
        causal: whether both held, with every check tried; None where there was neither.
    """

    title: str
    facts: Mapping[str, str]
    summary: Mapping[str, Any]
    daily: pl.DataFrame
    equity: pl.DataFrame
    curves: pl.DataFrame
    predictions: pl.DataFrame
    forecasts: pl.DataFrame | None
    target: TargetSpec
    model: Mapping[str, Any]
    notes: list[str]
    card: str = ""
    causality: str = NOT_PROVED
    certificate: str = NOT_CERTIFIED
    causal: bool | None = None


def render_report(material: ReportMaterial) -> str:
    """Returns the whole page as HTML, ready to be written to a file and opened offline."""
    summary = material.summary
    network = summary["network"]
    # An evaluation from before there were further horizons has none.
    horizons = summary.get("horizons", [])
    own = material.predictions.filter(pl.col("model") == network)
    symbols = charts.shown_symbols(own, material.forecasts)
    kind = "ts_ic" if summary["ic_kind"] == "ts_ic" else "IC"
    learning = charts.learning_charts(material.curves)
    measure = in_basis_points(material.target.unit)
    drawn = _figures(material, kind, measure, with_outcomes=bool(symbols))
    drawn |= {f"learning-{fold}": figure for fold, figure in learning.items()}
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            material=material,
            summary=summary,
            kind=kind,
            measure=measure,
            published=material.target.published,
            tonights=in_basis_points(material.target.published.unit),
            network=_own_scores(summary),
            headline=HEADLINES[summary["verdict"]["label"]],
            horizons=horizons,
            leaks=[r["name"] for r in [*summary["models"], *horizons] if r["suspected_leak"]],
            ranking=_ranking(material.forecasts),
            drawn=drawn,
            skill=summary.get("skill"),
            earned=summary.get("earned"),
            paths=summary.get("paths"),
            written=written,
            unsectored=UNSECTORED,
            planned=skill_charts.MAX_PLANNED,
            symbols=symbols,
            symbols_total=own["symbol"].n_unique(),
            symbol_rows=charts.MAX_SYMBOL_ROWS,
            folds=list(learning),
            folds_total=material.curves["fold"].drop_nulls().n_unique(),
            seeds=charts.seed_styles(material.curves),
            marks=charts.MARKS,
            # Of the first close there is no return.
            sessions=f"{max(material.equity['date'].n_unique() - 1, 0):,} sessions",
            fanned="growth_low" in material.equity.columns,
            figures=portfolio_tables.figure_lines(summary),
            paid=portfolio_tables.paid_lines(summary),
            accounts=portfolio_tables.account_lines(summary),
            months=portfolio_tables.month_lines(material.equity),
            month_names=portfolio_tables.MONTHS,
            figures_json=_script_json({n: figure.to_plotly_json() for n, figure in drawn.items()}),
            series_json=_script_json(charts.forecast_series(own, symbols, measure)),
            card=Markup(_card_html(material.card)),  # noqa: S704 markdown-it escapes all HTML
            plotly_js=Markup(get_plotlyjs()),  # noqa: S704 a package's own file, no data
        )
    )


def _figures(
    material: ReportMaterial, kind: str, measure: Measure, with_outcomes: bool
) -> dict[str, go.Figure]:
    """Returns the large figures that have something to show."""
    values = charts.daily_ic(material.daily, material.predictions, material.summary["ic_kind"])
    figures = {
        "ic": charts.ic_chart(values, material.summary["network"], kind),
    }
    figures |= portfolio_charts.drawn(material.summary, material.equity)
    figures |= skill_charts.drawn(material.summary, kind, measure)
    if with_outcomes:
        figures["forecast"] = charts.forecast_chart(measure)
        figures["scatter"] = charts.scatter_chart(measure)
    return {name: figure for name, figure in figures.items() if figure is not None}


def written(value: float | None, column: Mapping[str, Any], measure: Measure) -> str:
    """Returns a number of the summary as its column says: a bare one, a share, or with a unit."""
    if column["form"] == "target":
        return measure.text(value, signed=column["signed"])
    form = percent if column["form"] == "percent" else decimal
    return form(value, column["digits"], column["signed"])


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    forms = {"decimal": decimal, "percent": percent, "times": times}
    environment.filters |= {**forms, "money": money, "said": said, "estimated": estimated}
    environment.globals |= {"bounds": bounds, **forms}
    return environment


def _own_scores(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(row for row in summary["models"] if row["name"] == summary["network"])


def _ranking(forecasts: pl.DataFrame | None) -> dict[str, Any] | None:
    """Returns tonight's rows with the places (in per cent) of their bars on one common scale."""
    if forecasts is None or forecasts.is_empty():
        return None
    ordered = forecasts.sort("horizon", "rank")
    # A head without a mean has its median, or a score that is in no unit and on no scale.
    ordered = ordered.with_columns(point=pl.coalesce("mean", "q50"))
    low = min(0.0, _edge(ordered["q05"].min()), _edge(ordered["point"].min()))
    high = max(0.0, _edge(ordered["q95"].max()), _edge(ordered["point"].max()))
    width = (high - low) or 1.0
    place = {name: (pl.col(name) - low) / width * 100 for name in ("q05", "q95", "point")}
    ordered = ordered.with_columns(
        left=place["q05"], right=100 - place["q95"], dot=place["point"]
    ).with_columns(pl.col("left", "right", "dot").fill_nan(None).round(2))
    rows = ordered.to_dicts()
    cut = len(rows) > 2 * RANKING_END
    return {
        "head": rows[:RANKING_END] if cut else rows,
        "tail": rows[-RANKING_END:] if cut else [],
        "total": len(rows),
        "zero": round(-low / width * 100, 2),
        "cutoff": ordered["cutoff"].max(),
        "untradable": ordered["tradable"].not_().sum(),
        "ordered_only": ordered["point"].null_count() == len(rows),
        "unlike": unlike_training(ordered),
    }


def _edge(value: Any) -> float:
    """Returns the number, or 0 where a frame has no quantiles at all."""
    return 0.0 if value is None else float(value)


def _script_json(value: Any) -> Markup:
    """Returns JSON that cannot end the script element it stands in, whatever the data say."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704


def _card_html(card: str) -> str:
    # Images are left as text: the page may not fetch one.
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image").render(card)
