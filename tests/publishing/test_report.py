import dataclasses
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from tasks.lake.target_spec import TargetSpec
from tasks.publishing.charts import (
    MAX_FOLDS,
    MAX_SYMBOLS,
    daily_ic,
    ic_chart,
    learning_charts,
    shown_symbols,
)
from tasks.publishing.formats import UNKNOWN, bounds, decimal, estimate, money, percent, said
from tasks.publishing.portfolio_charts import equity_chart
from tasks.publishing.report import ReportMaterial, render_report
from tests.publishing.material import (
    NETWORK,
    interval,
    make_curves,
    make_daily,
    make_equity,
    make_forecasts,
    make_material,
    make_predictions,
    make_summary,
    sessions,
)

SYMBOLS = ["AAPL", "GOOG", "IBM", "MSFT"]
FETCHING = {
    "script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src",
    "object": "data", "embed": "src", "video": "src", "audio": "src", "base": "href",
}  # fmt: skip


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and the text by element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside = [""]
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside[-1] = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside[-1] = ""

    def handle_data(self, data: str) -> None:
        if self.inside[-1] == "script":
            self.scripts.append(data)
        elif self.inside[-1] not in ("style", "title") and data.strip():
            self.text.append(" ".join(data.split()))

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]

    def json(self, identity: str) -> dict:
        position = [attributes.get("id") for attributes in self.named("script")].index(identity)
        return json.loads(self.scripts[position])


def render(**changes: object) -> Page:
    return Page(render_report(make_material(SYMBOLS, count=60, **changes)))


def bar_styles(page: Page, element: str) -> list[str]:
    styles = [tag.get("style") or "" for tag in page.named(element)]
    return [style for style in styles if style.startswith("left:")]


@pytest.fixture(scope="module")
def html() -> str:
    return render_report(make_material(SYMBOLS, count=60))


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_first_lines_say_whether_the_model_beats_doing_nothing_and_then_whether_it_pays(page: Page):
    summary = make_summary()
    assert "gru-4f1c9a" in page.text[0]
    assert page.text[1] == "The model is not shown to beat doing nothing."
    assert page.text[2] == said(summary["verdict"]["sentence"])
    assert page.text[3] == said(summary["pays"]["sentence"])


@pytest.mark.parametrize(
    ("label", "headline"),
    [
        ("edge", "The model beats doing nothing."),
        ("worse than zero", "The model does worse than doing nothing."),
    ],
)
def test_headline_follows_the_label(label: str, headline: str):
    summary = make_summary()
    summary["verdict"]["label"] = label
    page = render(summary=summary)
    assert page.text[1] == headline
    assert any(label.replace(" ", "-") in (tag.get("class") or "") for tag in page.named("div"))


def test_suspected_leak_stands_above_everything_else():
    summary = make_summary()
    summary["models"][4]["suspected_leak"] = True
    text = render(summary=summary).text
    assert text[0] == "Suspected leak: ridge."


def test_page_without_a_suspected_leak_raises_no_alarm(page: Page):
    assert not any(tag.get("role") == "alert" for _, tag in page.tags)


def test_page_says_in_a_line_that_no_feature_saw_the_future():
    said = "12 checks, 1,640 trials, no feature saw the future."
    page = render(causality=said, causal=True)
    assert f"Causality: {said}" in page.text
    assert not any(tag.get("role") == "alert" for _, tag in page.tags)


def test_page_shows_the_sentence_of_the_certificate():
    said = "10 checks, 9 trials, 1 failed. orders: <x> changes at AAPL 2010-03-05 when …"
    page = render(certificate=said, causal=False)
    assert f"Certificate: {said}" in page.text
    assert page.text[0] == "The causality proof failed."
    assert "or nothing shows that it does not" in page.text[1]


def test_page_of_a_failed_causality_proof_opens_with_it_and_names_the_counter_example():
    said = "12 checks, 9 trials, 1 failed. future_1e9: <x> changes at AAPL 2010-03-05 when …"
    page = render(causality=said, causal=False)
    assert page.text[0] == "The causality proof failed."
    assert f"Causality: {said}" in page.text


def test_page_of_a_model_from_before_the_proof_says_so(page: Page):
    assert "Causality: not proved when this model was trained." in page.text


def test_page_fetches_nothing(html: str, page: Page):
    for tag, attributes in page.tags:
        if tag in FETCHING:
            assert FETCHING[tag] not in attributes, (tag, attributes)
        assert not {"srcset", "poster", "background", "action"} & set(attributes)
        assert (attributes.get("href") or "#").startswith("#")
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    policy = next(tag["content"] for tag in page.named("meta") if tag.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_plotly_stands_in_the_page_once(html: str):
    assert html.count("plotly.js v") == 1


def test_every_section_is_there_and_every_link_finds_one(page: Page):
    wanted = {
        "ranking", "models", "ic", "portfolios", "outcomes", "learning", "folds", "facts", "limits",
        "significance",
    }  # fmt: skip
    assert {tag["id"] for tag in page.named("h2")} == wanted
    assert {(tag["href"] or "").removeprefix("#") for tag in page.named("a")} == wanted


def test_further_horizons_have_a_small_table_beside_the_main_one():
    rows = [
        {
            "horizon": 20, "name": "gru over 20 sessions", "ic": interval(0.21, 0.05),
            "rank_ic": interval(0.017, 0.05), "coverage_90": None, "suspected_leak": True,
        }
    ]  # fmt: skip
    target = TargetSpec(horizon=5, also=(20,))
    told = render(summary=make_summary() | {"horizons": rows}, target=target)
    text = " ".join(told.text)
    assert "horizons" in {tag["id"] for tag in told.named("h2")}
    assert "The same network also forecasts 20 sessions ahead; nightcast" in text
    table = text[text.index("What the same network says of other horizons") :]
    assert table.index("+0.0123") < table.index("+0.2100") < table.index("+0.0170")
    assert "Suspected leak: gru over 20 sessions." in text
    assert "also forecasts" not in " ".join(render().text)


def test_every_figure_has_a_place_to_be_drawn_in(page: Page):
    figures = page.json("figures")
    assert {"ic", "equity", "forecast", "scatter", "learning-0", "learning-3"} <= set(figures)
    places = {tag.get("id") for tag in page.named("div")}
    assert {f"plot-{name}" for name in figures} == {place for place in places if place}


def test_texts_from_data_are_escaped():
    evil = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&lt;b&gt;"]
    days = sessions(60)
    summary = make_summary()
    summary["warnings"] = [evil[0]]
    daily = make_daily(days)
    calm = render()
    page = render(
        title=evil[1], summary=summary, facts={evil[0]: evil[1]}, notes=[evil[0]],
        model={"id": evil[0], "state": evil[1]}, card=f"# {evil[0]}\n\n![x](http://example.org/x)",
        daily=pl.concat([daily, daily.with_columns(model=pl.lit(evil[1]))]),
        predictions=make_predictions(evil, days), forecasts=make_forecasts(evil, days[-1]),
    )  # fmt: skip
    assert len(page.named("script")) == len(calm.named("script"))
    assert not page.named("img")
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert set(page.json("series")) == set(evil)
    names = {trace["name"] for trace in page.json("figures")["ic"]["data"]}
    assert "&lt;img src=x onerror=alert(1)&gt;" in names
    assert evil[2] in page.text


def test_unknown_metrics_show_as_a_dash_and_never_as_nan():
    summary = make_summary()
    nothing = {"value": None, "low": None, "high": None}
    for row in summary["models"]:
        row |= dict.fromkeys(("ic", "rank_ic", "mse_ratio", "mae_ratio"), nothing)
        row |= {"directional_accuracy": nothing, "coverage_90": None, "pinball": math.nan}
    for row in summary["portfolios"]:
        row |= dict.fromkeys(row.keys() - {"name", "sharpe"}) | {"sharpe": nothing}
    for row in summary["folds"]:
        row |= {"ic": None, "mse_ratio": math.inf}
    summary["verdict"] |= dict.fromkeys(("dm_statistic", "dm_p_better", "dm_p_worse", "ic_low"))
    summary["pays"] |= {"net_sharpe": nothing}
    summary["span"] |= dict.fromkeys(summary["span"])
    page = render(summary=summary)
    # five models of 7 cells, four portfolios of 9, four folds of 2
    assert page.text.count(UNKNOWN) >= 5 * 7 + 4 * 9 + 4 * 2
    assert not {"nan", "None", "null", "inf"} & {word.lower() for word in page.text}


def test_numbers_carry_units_a_true_minus_and_no_negative_zero():
    assert decimal(-1234.5678, 2) == "−1,234.57"
    assert decimal(-0.00001) == decimal(0.0, signed=True) == "0.000"
    assert decimal(0.5, 1, signed=True) == "+0.5"
    assert percent(0.513) == "51.3\N{NO-BREAK SPACE}%"
    assert decimal(None) == percent(math.nan) == decimal(math.inf) == UNKNOWN
    assert bounds(interval(0.5, 0.25), decimal, digits=2) == "[0.25, 0.75]"
    assert [money(v) for v in (100, 2.5e3, 1e6, 1e10)] == [
        "100",
        "2.5\N{NO-BREAK SPACE}k",
        "1\N{NO-BREAK SPACE}M",
        "10\N{NO-BREAK SPACE}bn",
    ]
    told = "it is -0.06 (-1 to 2), gru-1 of 2013-03-01, 1e-9, at-the-open"
    assert said(told) == "it is −0.06 (−1 to 2), gru-1 of 2013-03-01, 1e-9, at-the-open"
    assert estimate(None, decimal) == estimate(interval(None), decimal) == UNKNOWN


def test_ranking_shows_every_forecast_in_basis_points(page: Page):
    for forecast in make_forecasts(SYMBOLS, sessions(60)[-1])["mean"]:
        value = f"{abs(forecast) * 1e4:.1f}\N{NO-BREAK SPACE}bp"
        assert any(text.endswith(value.replace("\N{NO-BREAK SPACE}", " ")) for text in page.text)


def test_interval_bar_ends_where_its_quantiles_are():
    forecasts = pl.DataFrame({
        "symbol": ["A", "B"], "horizon": 1, "score": 0.0, "mean": [0.01, -0.01],
        "q05": [-0.01, -0.03], "q25": 0.0, "q50": 0.0, "q75": 0.0, "q95": [0.02, 0.01],
        "rank": [1, 2], "cutoff": sessions(1)[0], "tradable": True,
    })  # fmt: skip
    bars = bar_styles(render(forecasts=forecasts), "i")
    # the scale runs from -0.03 to 0.02
    assert bars == ["left:40.0%;right:0.0%", "left:0.0%;right:20.0%"]


def test_forecasts_without_quantiles_have_no_bar():
    quantiles = ("q05", "q25", "q50", "q75", "q95")
    forecasts = make_forecasts(SYMBOLS, sessions(1)[0])
    bare = forecasts.with_columns(pl.lit(None, pl.Float64).alias(name) for name in quantiles)
    page = render(forecasts=bare)
    assert not bar_styles(page, "i")
    assert len(bar_styles(page, "b")) == len(SYMBOLS)


def test_replayed_forecasts_are_called_not_tradable(page: Page):
    assert "Not tradable:" not in page.text
    replay = make_forecasts(SYMBOLS, sessions(1)[0], tradable=False)
    assert "Not tradable:" in render(forecasts=replay).text


def test_page_without_forecasts_curves_and_predictions_still_reads():
    days = sessions(3)
    page = render(
        forecasts=None, curves=make_curves().clear(), daily=make_daily(days).clear(),
        equity=make_equity(days).clear(), predictions=make_predictions(SYMBOLS, days).clear(),
    )  # fmt: skip
    assert page.json("figures") == {}
    for note in (
        "No forecast was made",
        "No date has",
        "There are no out-of-sample",
        "No learning",
    ):
        assert any(text.startswith(note) for text in page.text)


def test_large_universe_keeps_the_page_small_and_says_what_it_left_out():
    symbols = [f"S{number:03d}" for number in range(500)]
    material = make_material(symbols, count=300, curves=make_curves(folds=MAX_FOLDS + 3))
    html = render_report(material)
    page = Page(html)
    assert len(html.encode()) < 6_500_000
    assert list(page.json("series")) == [*symbols[:6], *symbols[-6:]]
    text = " ".join(page.text)
    assert f"Of 500 symbols the page carries {MAX_SYMBOLS}" in text
    assert "450 symbols between are left out" in text
    assert f"Of {MAX_FOLDS + 3} folds the latest {MAX_FOLDS} are shown" in text


def test_symbols_without_a_forecast_tonight_fill_up_the_selector():
    days = sessions(2)
    symbols = [f"S{number:02d}" for number in range(20)]
    few = make_forecasts(["S19", "S07", "NEW"], days[-1])
    shown = shown_symbols(make_predictions(symbols, days), few)
    assert shown == ["S19", "S07", *symbols[:7], *symbols[8:11]]


def test_series_hold_forecasts_and_outcomes_in_basis_points(page: Page):
    rows = make_predictions(SYMBOLS, sessions(60)).filter(model=NETWORK, symbol="IBM").sort("date")
    found = page.json("series")["IBM"]
    assert found["date"] == [str(day) for day in rows["date"]]
    np.testing.assert_allclose(found["target"], rows["target"] * 1e4, atol=0.051)
    np.testing.assert_allclose(found["q95"], rows["q95"] * 1e4, atol=0.051)


def test_contributions_to_ts_ic_average_to_the_correlation_over_time():
    predictions = make_predictions(SYMBOLS, sessions(80))
    # One symbol is listed late: it weighs a quarter of the others.
    late = (pl.col("symbol") == "IBM") & (pl.col("date") < sessions(80)[60])
    predictions = predictions.filter(~late)
    found = daily_ic(pl.DataFrame(), predictions, "ts_ic").filter(model=NETWORK)
    assert found.height == 80
    own = predictions.filter(model=NETWORK)
    each = [
        (np.corrcoef(rows["mean"], rows["target"])[0, 1], rows.height)
        for rows in own.partition_by("symbol", include_key=False)
    ]
    correlations, dates = zip(*each, strict=True)
    assert set(dates) == {80, 20}
    expected = np.average(correlations, weights=dates)
    assert found["ic"].mean() == pytest.approx(expected, abs=1e-12)
    # Two dates always correlate: they count no more than in the figure itself.
    two = own.filter(pl.col("symbol") == "IBM").head(2).with_columns(symbol=pl.lit("NEW"))
    again = daily_ic(pl.DataFrame(), pl.concat([predictions, two]), "ts_ic").filter(model=NETWORK)
    assert again["ic"].mean() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["ic", "ts_ic"])
def test_the_line_of_the_ic_ends_at_that_of_the_whole_span(kind):
    days = sessions(60)
    values = daily_ic(make_daily(days), make_predictions(SYMBOLS, days), kind)
    figure = ic_chart(values, NETWORK, kind)
    assert figure is not None
    line = next(trace for trace in figure.data if trace.name == NETWORK)
    mean = values.filter(model=NETWORK)["ic"].mean()
    assert line.y[-1] == pytest.approx(mean, abs=1e-5)


def test_models_with_constant_forecasts_have_no_ic_line():
    days = sessions(40)
    predictions, daily = make_predictions(SYMBOLS, days), make_daily(days)
    for kind in ("ic", "ts_ic"):
        assert "zero" not in daily_ic(daily, predictions, kind)["model"].to_list()


def test_equity_starts_at_one_and_drawdowns_hang_below_zero():
    equity = pl.DataFrame({
        "portfolio": "benchmark", "date": sessions(3), "equity": [200.0, 150.0, 300.0],
        "drawdown": [0.0, 0.25, 0.0],
    })  # fmt: skip
    for frame in (equity, equity.with_columns(-pl.col("drawdown"))):
        figure = equity_chart(frame)
        assert figure is not None
        growth, fall = figure.data
        assert list(growth.y) == [1.0, 0.75, 1.5]
        assert list(fall.y) == [0.0, -25.0, 0.0]


def test_lines_are_told_apart_without_colour():
    days = sessions(40)
    figure = ic_chart(daily_ic(make_daily(days), pl.DataFrame(), "ic"), NETWORK, "IC")
    assert figure is not None
    dashes = [trace.line.dash for trace in figure.data if trace.type == "scatter"]
    assert len(dashes) == len(set(dashes)) == 4
    grown = equity_chart(make_equity(days))
    assert grown is not None
    dashes = [trace.line.dash for trace in grown.data if trace.showlegend]
    assert len(dashes) == len(set(dashes)) == 4
    marks = {t.marker.symbol for t in learning_charts(make_curves(seeds=(0, 1, 2)))[0].data}
    assert len(marks) == 3


def test_the_verdict_comes_first_then_evidence_then_limits_then_the_night(page: Page):
    order = [tag["id"] for tag in page.named("h2")]
    assert order == [
        "models", "significance", "ic", "portfolios", "folds", "limits", "ranking", "outcomes",
        "learning", "facts",
    ]  # fmt: skip
    linked = [(tag["href"] or "").removeprefix("#") for tag in page.named("a")]
    assert linked == order


def test_rendering_changes_nothing_and_repeats_itself():
    material = make_material(SYMBOLS, count=40)
    before = dataclasses.replace(material, summary=make_summary())
    assert render_report(material) == render_report(material)
    assert isinstance(material, ReportMaterial)
    assert material.summary == before.summary


@pytest.mark.parametrize(
    ("target", "unit"),
    [
        (TargetSpec(form="rank"), "rank"),
        (TargetSpec(kind="triple_barrier", horizon=5), "direction"),
    ],
)
def test_a_page_about_another_unit_than_log_returns_names_it_and_no_basis_points(target, unit):
    page = render(target=target)
    text = " ".join(page.text)
    assert target.meaning in text
    assert f"out of sample ({unit})" in text
    assert not any(re.search(r"\bbp\b|basis point", told) for told in page.text)
    figures = page.json("figures")
    assert figures["forecast"]["layout"]["yaxis"]["title"]["text"] == unit
    assert figures["scatter"]["layout"]["xaxis"]["title"]["text"] == f"forecast, {unit}"
    rows = make_predictions(SYMBOLS, sessions(60)).filter(model=NETWORK, symbol="IBM").sort("date")
    np.testing.assert_allclose(page.json("series")["IBM"]["q95"], rows["q95"], atol=5.1e-5)
    mean = make_forecasts(SYMBOLS, sessions(60)[-1])["mean"][0]
    assert f"+{mean:.4f}" in page.text


def test_a_page_about_log_returns_says_what_they_span_and_in_basis_points(page: Page):
    text = " ".join(page.text)
    assert "the total log return from the next session's open to the open 1 session later" in text
    assert "1 bp is 0.01 %" in text
    assert page.json("figures")["forecast"]["layout"]["yaxis"]["title"]["text"] == "log return, bp"


def test_a_page_about_a_return_over_volatility_shows_returns_tonight_and_scores_in_its_own_unit():
    page = render(target=TargetSpec(kind="close_to_close", scale="volatility"))
    text = " ".join(page.text)
    assert "A forecast is the total log return from the cutoff's close" in text
    assert "out of sample (log_return / volatility)" in text
    mean = make_forecasts(SYMBOLS, sessions(60)[-1])["mean"][0]
    assert f"+{mean * 1e4:.1f} bp" in text
    unit = page.json("figures")["forecast"]["layout"]["yaxis"]["title"]["text"]
    assert unit == "log_return / volatility"
    rows = make_predictions(SYMBOLS, sessions(60)).filter(model=NETWORK, symbol="IBM").sort("date")
    np.testing.assert_allclose(page.json("series")["IBM"]["q95"], rows["q95"], atol=5.1e-5)


NOTHING = pl.lit(None, pl.Float64)


def test_a_head_of_quantiles_shows_its_median_in_place_of_a_mean():
    days = sessions(60)
    forecasts = make_forecasts(SYMBOLS, days[-1]).with_columns(mean=NOTHING)
    predictions = make_predictions(SYMBOLS, days)
    own = predictions["model"] == NETWORK
    predictions = predictions.with_columns(mean=pl.when(~own).then("mean"))
    page = render(forecasts=forecasts, predictions=predictions)
    for median in forecasts["q50"]:
        assert f"{median * 1e4:+.1f} bp".replace("-", "−") in page.text
    assert len(bar_styles(page, "b")) == len(SYMBOLS)
    rows = predictions.filter(model=NETWORK, symbol="IBM").sort("date")
    np.testing.assert_allclose(page.json("series")["IBM"]["mean"], rows["q50"] * 1e4, atol=0.051)


def test_a_head_that_only_orders_shows_scores_that_are_called_so():
    blank = dict.fromkeys(("mean", "q05", "q25", "q50", "q75", "q95"), NOTHING)
    forecasts = make_forecasts(SYMBOLS, sessions(60)[-1]).with_columns(
        **blank, score=pl.Series([1.25, 0.5, -0.25, -3.0])
    )
    days = sessions(60)
    predictions = make_predictions(SYMBOLS, days).with_columns(**blank)
    page = render(forecasts=forecasts, predictions=predictions)
    for score in ("+1.2500", "+0.5000", "−0.2500", "−3.0000"):
        assert score in page.text
    text = " ".join(page.text)
    assert "A forecast is a score in no unit: it orders the symbols by the total log return" in text
    assert "Score" in page.text
    assert not bar_styles(page, "i") + bar_styles(page, "b")
    assert page.json("series")["IBM"]["mean"] == [None] * 60


def test_symbols_unlike_training_are_counted_and_named_and_marked():
    forecasts = make_forecasts(SYMBOLS, sessions(60)[-1]).with_columns(
        distance=pl.Series([0.5, 1.5, 0.9, 12.25]), novel=pl.Series([False, True, False, True])
    )
    text = " ".join(render(forecasts=forecasts).text)
    said = "2 of 4 symbols look unlike anything in training: MSFT (12.2), GOOG (1.5). In brackets"
    assert said in text
    assert text.count("unlike training") == 2
    ordinary = forecasts.with_columns(novel=pl.lit(False))
    unknown = forecasts.with_columns(distance=NOTHING, novel=pl.lit(None, pl.Boolean))
    for nothing_to_say in (ordinary, unknown, make_forecasts(SYMBOLS, sessions(60)[-1])):
        assert "unlike" not in " ".join(render(forecasts=nothing_to_say).text)


def test_significance_stands_in_its_own_section_and_in_every_models_row(page: Page):
    found = make_summary()["significance"]
    for told in (*found["sentences"], found["overfitting"]["sentence"].split(". ")[-1]):
        assert any(told in text for text in page.text), told
    for figure in ("after costs", "above equal weight", "0.062", "0.011", "34", "1.41"):
        assert figure in page.text, figure
    for told in ("These probabilities decide nothing", "whatever risk was taken for it"):
        assert any(told in text for text in page.text), told
    # The network has no test against itself, every other model has one against the network.
    assert page.text.count("0.337") == 4
    assert page.text.count("0.612") == 4


def test_without_a_mean_there_is_no_table_of_models_against_each_other():
    summary = make_summary()
    summary["significance"]["confidence_set"] = None
    assert "gru against each other model" in render().text
    assert "gru against each other model" not in render(summary=summary).text


def test_a_report_of_an_older_evaluation_has_no_significance():
    summary = make_summary()
    del summary["significance"]
    for row in summary["models"]:
        del row["network_better"], row["set_p"]
    assert "Significance" not in render(summary=summary).text
