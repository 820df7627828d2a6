"""Plots of the fold plan and of what forecasts are worth, as plotly figures.

As those in `charts.py` they carry no theme. What a colour tells stands in the hatch or the axis
too, so that they read without colour.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import plotly.graph_objects as go

from tasks.publishing.charts import BLUE, GREY, ORANGE, TEAL, legend, margin
from tasks.publishing.measures import Measure

# Span: its colour and its hatch.
SPANS = {"fit": (BLUE, ""), "stop": (ORANGE, "/"), "calibrate": (TEAL, "x"), "test": (GREY, ".")}
# More rows could not be read; the walk-forward comes first.
MAX_PLANNED = 40
_MILLISECONDS_A_DAY = 86_400_000
_ROW_HEIGHT, _AROUND = 24, 110


def drawn(summary: Mapping[str, Any], kind: str, measure: Measure) -> dict[str, go.Figure]:
    """Returns by name the figures that the summary holds something for."""
    skill, plan = summary.get("skill"), summary.get("plan")
    figures: dict[str, go.Figure] = {}
    if plan:
        figures["plan"] = plan_chart(plan)
    if skill and skill["decay"]:
        figures["decay"] = decay_chart(skill["decay"], kind)
    if skill and any(row["target"]["value"] is not None for row in skill["fifths"]):
        figures["fifths"] = fifths_chart(skill["fifths"], measure)
    if skill and skill["calibration"]:
        figures["calibration"] = calibration_chart(skill["calibration"])
    return figures


def plan_chart(plan: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Returns the spans of every fold over time; what is purged or left out stays blank.

    Args:
        plan: fold, tested and runs: of each span the first and last dates of its stretches.
    """
    shown = plan[:MAX_PLANNED]
    figure = go.Figure(layout={"template": "none"})
    for span, (colour, hatch) in SPANS.items():
        bars = [
            (_fold_name(fold), start, end)
            for fold in shown
            for start, end in fold["runs"].get(span, [])
        ]
        figure.add_bar(
            orientation="h", name=span, y=[name for name, *_ in bars],
            base=[start for _, start, _ in bars],
            x=[_length(start, end) for _, start, end in bars],
            customdata=[f"{start} to {end}" for _, start, end in bars],
            hovertemplate=f"{span}: %{{customdata}}<extra>%{{y}}</extra>",
            marker={
                "color": colour, "line": {"width": 0},
                "pattern": {"shape": hatch, "fillmode": "replace", "size": 6},
            },
        )  # fmt: skip
    figure.update_layout(
        barmode="overlay", bargap=0.3, margin=margin() | {"l": 84}, legend=legend(),
        height=_AROUND + _ROW_HEIGHT * len(shown), hovermode="closest",
    )  # fmt: skip
    figure.update_xaxes(type="date")
    # The first fold on top.
    names = [_fold_name(fold) for fold in reversed(shown)]
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=names)
    return figure


def _fold_name(fold: Mapping[str, Any]) -> str:
    if fold["fold"] < 0:
        return "refit"
    return f"{'paths' if fold['tested'] else 'fold'} {fold['fold']}"


def _length(start: str, end: str) -> int:
    """Returns the milliseconds from the start of one day to the end of another."""
    days = (date.fromisoformat(end) - date.fromisoformat(start)).days + 1
    return days * _MILLISECONDS_A_DAY


def decay_chart(decay: Sequence[Mapping[str, Any]], kind: str) -> go.Figure:
    """Returns the IC by horizon of the returns, with its interval."""
    names = [str(row["horizon"]) for row in decay]
    figure = dots(names, [row["ic"] for row in decay], 1.0, 4)
    figure.update_xaxes(title_text="sessions from the next open", type="category")
    figure.update_yaxes(title_text=kind, zeroline=True)
    return figure


def fifths_chart(fifths: Sequence[Mapping[str, Any]], measure: Measure) -> go.Figure:
    """Returns the mean outcome by fifth of the forecasts, the lowest first, with its interval."""
    names = [f"{n}" for n in range(1, len(fifths) + 1)]
    names[0], names[-1] = f"{names[0]} (lowest)", f"{names[-1]} (highest)"
    rows = [row["target"] for row in fifths]
    figure = dots(names, rows, measure.factor, measure.digits)
    figure.update_xaxes(title_text="fifth of the forecasts of a date", type="category")
    figure.update_yaxes(title_text=f"outcome, {measure.sign or measure.unit}", zeroline=True)
    return figure


def calibration_chart(calibration: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Returns the share of outcomes below each quantile beside the share there should be."""
    levels = [100 * row["level"] for row in calibration]
    figure = dots(levels, [row["below"] for row in calibration], 100.0, 2)
    figure.add_scatter(
        x=[0, 100], y=[0, 100], mode="lines", line={"dash": "dot", "width": 1.2, "color": GREY},
        hoverinfo="skip",
    )  # fmt: skip
    axis = {"range": [0, 100], "tickvals": levels}
    figure.update_xaxes(title_text="quantile, %", **axis)
    figure.update_yaxes(title_text="outcomes below it, %", **axis)
    return figure


def dots(
    x: Sequence[str] | Sequence[float],
    rows: Sequence[Mapping[str, float | None]],
    factor: float,
    digits: int,
) -> go.Figure:
    """Returns values with their intervals as bars; what is undefined is left out."""
    figure = go.Figure(layout={"template": "none"})
    figure.add_scatter(
        x=list(x), y=scaled(rows, factor, digits), mode="markers",
        marker={"size": 9, "color": BLUE}, error_y=error_bars(rows, factor, digits, BLUE),
    )  # fmt: skip
    figure.update_layout(margin=margin(), showlegend=False)
    return figure


def scaled(
    rows: Sequence[Mapping[str, float | None]], factor: float, digits: int
) -> list[float | None]:
    """Returns the values of intervals, multiplied."""
    values = [row["value"] for row in rows]
    return [None if value is None else round(value * factor, digits) for value in values]


def error_bars(
    rows: Sequence[Mapping[str, float | None]], factor: float, digits: int, colour: str
) -> dict[str, Any]:
    """Returns the bars from the values of intervals to their ends."""

    def away(row: Mapping[str, float | None], end: str) -> float | None:
        value, bound = row["value"], row[end]
        return (
            None if value is None or bound is None else round(abs(bound - value) * factor, digits)
        )

    return {
        "type": "data", "symmetric": False, "thickness": 1.6, "width": 5, "color": colour,
        "array": [away(row, "high") for row in rows],
        "arrayminus": [away(row, "low") for row in rows],
    }  # fmt: skip
