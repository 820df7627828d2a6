"""What the page says of the portfolios, on an evaluation that ran."""

import re

import numpy as np
import polars as pl
import pytest

from tasks.publishing.formats import bounds, decimal, percent, said
from tasks.publishing.portfolio_charts import cost_chart, drawn, equity_chart
from tasks.publishing.portfolio_tables import (
    account_lines,
    figure_lines,
    month_lines,
    paid_lines,
)
from tasks.publishing.report import render_report
from tests.evaluation.worlds import frames, run
from tests.publishing.material import (
    interval,
    make_equity,
    make_material,
    make_significance,
    sessions,
)
from tests.publishing.test_report import Page


@pytest.fixture(scope="module")
def evaluated():
    return run(*frames(names=25, dates=240, skill=0.02))


LIMIT = "The benchmark ^GSPC has no dividend in this span: it is, or looks like, a price index."


@pytest.fixture(scope="module")
def summary(evaluated):
    told = {"significance": make_significance(), "benchmark_limit": LIMIT}
    rule = {"rule": evaluated.summary["rule"] | {"Benchmark": "^GSPC, bought once"}}
    return evaluated.summary | told | rule


# What evaluations were once written without.
NEWER = ("costs", "earned", "paid", "significance", "periods", "rule", "benchmark_limit")


def page_of(summary, equity):
    return Page(render_report(make_material(["A"], count=60, summary=summary, equity=equity)))


@pytest.fixture(scope="module")
def page(summary, evaluated):
    return page_of(summary, evaluated.equity)


def test_every_figure_has_an_interval_and_stands_in_one_table(page, summary):
    lines = figure_lines(summary) + paid_lines(summary)
    titles = [(line["title"], line["under"]) for line in lines]
    figures = len(summary["earned"]["columns"]) + len(summary["paid"]["columns"])
    assert len(titles) == len(set(titles)) == figures + 1
    bare = [
        line["title"]
        for line in lines
        if line["title"] != "Calmar ratio"
        for text, ends in line["cells"]
        if text != "–" and not ends
    ]
    assert not bare
    for line in lines:
        for text, ends in line["cells"]:
            assert text.replace("\N{NO-BREAK SPACE}", " ") in page.text
            assert ends.replace("\N{NO-BREAK SPACE}", " ") in [*page.text, ""]
    assert page.text.count("Sortino ratio") == 1


def test_no_table_but_the_ranking_scrolls_within_the_page(page):
    tall = [tag for tag in page.named("div") if "tall" in (tag.get("class") or "").split()]
    assert len(tall) == 1


def test_accounts_add_up_and_are_called_so(page, summary):
    lines = {line["title"]: line["cells"] for line in account_lines(summary)}
    for place, row in enumerate(summary["portfolios"]):
        parts = [
            lines[name][place][0]
            for name in ("commission", "half the spread", "slippage", "borrow fee")
        ]
        paid = sum(float(part.replace(",", "")) for part in parts)
        assert paid == pytest.approx(row["costs"], abs=2)
    assert "no estimate, and so without intervals" in " ".join(page.text)


def test_costs_and_capacity_have_intervals_in_their_tables(page, summary):
    text = " ".join(page.text).replace("\N{NO-BREAK SPACE}", " ")
    shown = [(row["paid"], 2) for row in summary["costs"]["rows"]]
    for row in summary["capacity"]["rows"]:
        shown += [(row["slippage"], 2), (row["exposure"], 0), (row["filled"], 0)]
    for found, digits in shown:
        low, high = (percent(found[end], digits) for end in ("low", "high"))
        assert f"[{low}, {high}]".replace("\N{NO-BREAK SPACE}", " ") in text


def test_months_hold_what_a_loop_over_the_sessions_finds():
    equity = make_equity(sessions(60))
    found = month_lines(equity)
    assert found["rival"] == "benchmark"
    grown = {}
    for name in ("long_only", "benchmark"):
        rows = equity.filter(portfolio=name).sort("date")
        months = {}
        for (_, before), (day, after) in zip(
            rows.select("date", "equity").rows()[:-1],
            rows.select("date", "equity").rows()[1:],
            strict=True,
        ):
            key = (day.year, day.month)
            months[key] = months.get(key, 1.0) * after / before
        grown[name] = months
    assert [line["year"] for line in found["lines"]] == [2008]
    for month, cell in enumerate(found["lines"][0]["cells"], start=1):
        own, other = (grown[name].get((2008, month)) for name in ("long_only", "benchmark"))
        if own is None:
            assert cell is None
        else:
            assert cell == (
                percent(own - 1, signed=True),
                percent(other - 1, signed=True),
                own > other,
            )
    whole = equity.filter(portfolio="long_only")["equity"]
    assert found["lines"][0]["whole"][0] == percent(whole[-1] / whole[0] - 1, signed=True)


def test_without_a_benchmark_equal_weight_is_the_rival(summary):
    equity = make_equity(sessions(60)).filter(pl.col("portfolio") != "benchmark")
    assert month_lines(equity)["rival"] == "equal weight"
    falls = [t.name for t in equity_chart(equity).data if t.yaxis == "y2"]
    assert falls == ["long only", "equal weight"]
    alone = [row for row in summary["portfolios"] if row["name"] != "benchmark"]
    chart = cost_chart(summary["costs"]["rows"], alone)
    assert chart.layout.annotations[0].text == "equal weight"


def test_the_band_holds_the_growth_of_the_traded_portfolio(page, evaluated):
    traces = page.json("figures")["equity"]["data"]
    band = [trace for trace in traces if trace.get("legendgroup") == "band"]
    own = next(trace for trace in traces if trace.get("name") == "long only")
    low, high = (np.array(band[place]["y"]) for place in (1, 0))
    assert low[-1] < own["y"][-1] < high[-1]
    assert "nine of ten histories" in " ".join(page.text)
    plain = make_equity(sessions(60))
    assert not any(t.legendgroup == "band" for t in equity_chart(plain).data)


def test_every_plot_about_money_is_there_and_has_its_place(page, summary, evaluated):
    names = {"equity", "exposure", "costs", "capacity"}
    assert set(drawn(summary, evaluated.equity)) == names
    assert names <= set(page.json("figures"))
    places = {tag.get("id") for tag in page.named("div")}
    assert {f"plot-{name}" for name in names} <= places
    exposed = page.json("figures")["exposure"]["data"]
    bought = evaluated.equity.filter(portfolio="long_only")["turnover"].sum()
    assert sum(exposed[-1]["y"]) == pytest.approx(bought, abs=0.01)


def test_limits_speak_of_survivors_trials_and_capacity(page, summary):
    text = " ".join(page.text)
    limits = text[text.index("Honest limits") :]
    for told in ("What would go unseen.", "Trials. 34 trials are counted", "Capacity. ", LIMIT):
        assert told in limits
    assert said(summary["capacity"]["sentence"]) in limits


def test_the_section_opens_with_rule_and_costs_and_says_that_a_price_index_flatters(page, summary):
    text = " ".join(page.text)
    section = text[text.index("Portfolios after costs") : text.index("What they earned and risked")]
    for name, told in summary["rule"].items():
        assert f"{name}: {told}" in section
    assert "commission 1 bp and half the spread 2 bp" in section
    assert LIMIT in section


def test_periods_stand_with_sessions_and_intervals(page, summary):
    text = " ".join(page.text).replace("\N{NO-BREAK SPACE}", " ")
    section = text[text.index("Year by year") : text.index("Month by month")]
    assert len(summary["periods"]) == 4
    for row in summary["periods"]:
        shown = percent(row["return"]["value"], signed=True)
        assert (
            f"{row['name']} {row['sessions']} {shown}".replace("\N{NO-BREAK SPACE}", " ") in section
        )
        ends = bounds(row["sharpe"], decimal, digits=2)
        assert ends in section


def tiles(page):
    head = " ".join(page.text)
    return head[: head.index("One-sided at")]


def test_there_is_a_tile_for_equal_weight_and_for_a_benchmark_only_where_there_is_one(
    page, evaluated
):
    assert "Sharpe ratio of equal weight" in tiles(page)
    assert "Sharpe ratio of the benchmark" in tiles(page)
    alone = run(*frames(names=25, dates=240, skill=0.02)[:2], None)
    told = page_of(alone.summary | {"significance": make_significance()}, alone.equity)
    assert "Sharpe ratio of equal weight" in tiles(told)
    assert "benchmark" not in tiles(told)
    text = " ".join(told.text)
    assert "returns on equal weight's, as there is no benchmark" in text
    assert "Earned more than equal weight 0.011 probability, deflated, whatever the risk" in text


def test_an_evaluation_from_before_still_reads(summary, evaluated):
    old = {k: v for k, v in summary.items() if k not in NEWER}
    fewer = ("portfolio", "date", "equity", "cash", "positions", "turnover", "costs", "drawdown")
    bare = ("exposure", "net_exposure", "commission", "spread", "slippage", "borrow", "interest",
            "written_off", "unfilled")  # fmt: skip
    old["capacity"] = old["capacity"] | {
        "rows": [row | {"sharpe": 0.5} for row in old["capacity"]["rows"]]
    }
    old["folds"] = [row | {"ic": 0.0123, "mse_ratio": 1.0} for row in old["folds"]]
    old["models"] = [
        {k: v for k, v in row.items() if k not in ("network_better", "set_p")} | {"pinball": 0.0042}
        for row in old["models"]
    ]
    old["portfolios"] = [
        {k: v for k, v in row.items() if k not in bare} for row in old["portfolios"]
    ]
    page = page_of(old, evaluated.equity.select(fewer))
    assert not {"costs", "capacity", "exposure"} & set(page.json("figures"))
    assert "42.0 bp" in page.text
    assert page.text.count("+0.0123") == len(old["folds"])
    assert not any(re.search(r"\bnan\b|None", told) for told in page.text)
    assert "Sortino ratio" in page.text


def with_sectors(summary):
    """The summary with two sectors and names without one."""
    kinds = [("sector", "Information Technology"), ("sector", "Energy"), ("sector", None),
             ("interest", None), ("all", None)]  # fmt: skip
    part = {"earned": interval(0.0123, 0.02), "gross": 0.21, "net": -0.07}
    earned = [{"kind": k, "name": n, "long_only": part, "long_short": part} for k, n in kinds]
    scores = ("ic", "rank_ic", "mse_ratio", "directional_accuracy")
    known = {name: interval(0.0456, 0.01) for name in scores}
    counts = {"dates": 240, "forecasts": 2400, "names": 10.0}
    skill = [
        {"name": "Information Technology", **counts, "lacks": None, **known},
        {"name": "Energy", **counts, "lacks": "names", **known, "ic": None, "rank_ic": None},
        {"name": None, **counts, "lacks": "dates", **dict.fromkeys(scores)},
    ]
    return summary | {
        "earned": summary["earned"] | {"sectors": earned},
        "skill": summary["skill"] | {"sectors": skill},
    }


def test_sectors_stand_in_two_tables_and_a_plot(summary, evaluated):
    page = page_of(with_sectors(summary), evaluated.equity)
    text = " ".join(page.text)
    assert "By sector" in page.text
    assert "What each sector earned" in page.text
    assert page.text.count("Information Technology") == 2
    assert page.text.count("without a sector") == 2
    assert "too few names for an IC: 10 a date" in page.text
    assert "too few dates" in page.text
    assert "names no sector" not in text
    assert "+1.23 % [−0.77 %, +3.23 %]" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert text.index("Interest on cash") < text.index("All together")
    drawn = page.json("figures")["sectors"]["data"]
    assert [trace["y"] for trace in drawn] == [
        ["Information<br>Technology", "Energy", "without a sector"]
    ] * 2
    assert len({trace["marker"]["symbol"] for trace in drawn}) == 2


def test_a_membership_that_names_no_sector_says_so_in_one_line(page):
    assert page.text.count("The membership of the universe names no sector.") == 2
    assert "sectors" not in page.json("figures")
    assert "Interest on cash" not in page.text
