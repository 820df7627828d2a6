"""The page about skill, portfolios' figures, paths and the fold plan, on an evaluation that ran."""

import pytest

from tasks.publishing.measures import in_basis_points
from tasks.publishing.report import render_report
from tasks.publishing.skill_charts import MAX_PLANNED, SPANS, drawn, plan_chart
from tests.evaluation.worlds import frames, run
from tests.publishing.material import make_material, make_significance
from tests.publishing.test_report import Page

PLAN = [
    {"fold": 0, "tested": False, "runs": {
        "fit": [["2010-01-04", "2010-02-26"]], "stop": [["2010-03-02", "2010-03-31"]],
        "calibrate": [["2010-04-02", "2010-04-30"]], "test": [["2010-05-03", "2010-05-31"]],
    }},
    {"fold": 1, "tested": True, "runs": {
        "fit": [["2010-01-04", "2010-01-29"], ["2010-04-01", "2010-04-30"]],
        "stop": [["2010-05-03", "2010-05-14"]], "calibrate": [["2010-05-17", "2010-05-31"]],
        "test": [["2010-02-01", "2010-02-26"]],
    }},
    {"fold": -1, "tested": False, "runs": {"fit": [["2010-01-04", "2010-05-31"]]}},
]  # fmt: skip
SCATTER = {"median": 0.0123, "low": -0.0045, "high": 0.0301, "better": 2}
PATHS = {
    "groups": 3, "test_groups": 2, "folds": 3, "first": "2010-01-04", "last": "2010-08-31",
    "dates": 240, "better": {"ic": 2, "rank_ic": 2, "mse_ratio": 1}, "net_sharpe": SCATTER,
    "paths": [
        {"path": n, "ic": ic, "rank_ic": ic, "mse_ratio": 1.0 - ic, "net_sharpe": 0.5}
        for n, ic in enumerate((0.0123, -0.0045, 0.0301))
    ],
    "models": [
        {"name": name, "ic": SCATTER, "rank_ic": SCATTER, "mse_ratio": SCATTER}
        for name in ("gru", "zero")
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def summary():
    return run(*frames(names=25, dates=240, skill=0.02)).summary | {
        "plan": PLAN, "paths": PATHS, "significance": make_significance(),
    }  # fmt: skip


def page_of(summary):
    return Page(render_report(make_material(["AAPL", "IBM"], count=60, summary=summary)))


@pytest.fixture(scope="module")
def page(summary):
    return page_of(summary)


def test_every_score_and_figure_stands_on_the_page_with_its_interval(page, summary):
    text = " ".join(page.text)
    for section in ("skill", "earned", "paid"):
        for column in summary[section]["columns"]:
            assert column["title"] in page.text, column["title"]
    icir = summary["skill"]["models"]["gru"]["icir"]
    shown = [f"{icir[end]:+.3f}".replace("-", "−") for end in ("value", "low", "high")]
    assert f"{shown[0]} [{shown[1]}, {shown[2]}]" in text
    spread = summary["skill"]["models"]["gru"]["fifth_spread"]["value"] * 1e4
    assert f"{spread:+.1f} bp".replace("-", "−") in text
    beta = summary["earned"]["portfolios"]["long_only"]["beta"]
    assert f"{beta['value']:.2f} [{beta['low']:.2f}, {beta['high']:.2f}]" in text
    for row in summary["skill"]["slices"]:
        assert row["name"] in page.text


def test_every_figure_of_the_page_has_its_place(page):
    places = {tag.get("id") for tag in page.named("div")}
    for name in page.json("figures"):
        assert f"plot-{name}" in places, name
    assert {"plan", "decay", "fifths", "calibration"} <= set(page.json("figures"))


def test_the_paths_are_told_with_how_many_are_better_than_nothing(page):
    text = " ".join(page.text)
    assert "3 further folds test every choice of 2 out of 3 groups" in text
    assert "On 2 of 3 paths the IC of gru is above 0, on 1 its squared error is below" in text
    assert "The verdict is the walk-forward's" in text
    assert "−0.0045 to +0.0301" in text


def test_a_page_of_an_evaluation_from_before_says_nothing_of_it(summary):
    old = {k: v for k, v in summary.items() if k not in ("skill", "earned", "paths", "plan")}
    page = page_of(old)
    assert not {"plan", "decay", "fifths", "calibration"} & set(page.json("figures"))
    assert "further folds" not in " ".join(page.text)
    assert "Skill in detail" not in page.text


def test_a_network_without_quantiles_or_spread_has_no_such_plot(summary):
    nothing = {"value": None, "low": None, "high": None}
    fifths = [{"fifth": n, "target": nothing} for n in range(1, 6)]
    bare = summary | {"skill": summary["skill"] | {"calibration": [], "fifths": fifths}}
    assert set(drawn(bare, "IC", in_basis_points("log_return"))) == {"plan", "decay"}


def test_calibration_names_every_quantile_on_both_axes(page):
    figure = page.json("figures")["calibration"]
    (points, _), axes = figure["data"], figure["layout"]
    assert axes["xaxis"]["tickvals"] == axes["yaxis"]["tickvals"] == points["x"]
    assert points["x"] == [5, 25, 50, 75, 95]


def test_the_plan_shows_every_stretch_at_its_dates_and_purged_gaps_blank():
    figure = plan_chart(PLAN)
    bars = {trace.name: trace for trace in figure.data}
    day = 86_400_000
    assert list(bars["fit"].y) == ["fold 0", "paths 1", "paths 1", "refit"]
    assert list(bars["fit"].base) == ["2010-01-04", "2010-01-04", "2010-04-01", "2010-01-04"]
    assert list(bars["fit"].x) == [54 * day, 26 * day, 30 * day, 148 * day]
    assert list(figure.layout.yaxis.categoryarray) == ["refit", "paths 1", "fold 0"]


def test_the_spans_of_a_plan_are_told_apart_without_colour():
    shapes = [trace.marker.pattern.shape for trace in plan_chart(PLAN).data]
    assert len(set(shapes)) == len(SPANS) == 4


def test_a_plan_of_many_folds_is_cut_and_says_so(summary):
    many = [PLAN[0] | {"fold": n} for n in range(MAX_PLANNED + 5)]
    page = page_of(summary | {"plan": many})
    assert f"Of {MAX_PLANNED + 5} folds the first {MAX_PLANNED} are drawn." in page.text
