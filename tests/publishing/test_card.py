from typing import Any

import pytest
from markdown_it import MarkdownIt

from models.errors import ModelError
from tasks.publishing.card import REQUIRED, write_card
from tests.publishing.material import interval, make_summary


def manifest(**changes: Any) -> dict[str, Any]:
    values = {
        "id": "gru-4f1c9a", "state": "candidate", "created_at": "2026-11-20T22:10:04Z",
        "universe": {"provider": "sample", "symbols": ["AAPL", "IBM", "MSFT"]},
        "train_span": {"first": "2000-10-02", "last": "2012-11-30", "rows": 9_012},
        "target": {"kind": "open_to_open", "horizon": 1},
        "features": ["rsi(14)", "macd(12,26,9)"], "lookback": 126,
        "network": {"kind": "recurrent", "cell": "gru", "layers": 1, "hidden": 32, "dropout": 0.1},
        "training": {"epochs": 30, "max_windows_per_epoch": 20_000}, "seeds": [0, 1, 2],
        "fingerprint": {"torch": "2.13.0", "device": "cpu"},
        "tables": [{"table": "bars", "cutoff": "2013-03-01", "known_by": "2026-11-20T22:10:04Z"}],
    }  # fmt: skip
    return values | changes


def rendered(card: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(card)


def test_card_states_what_the_model_is_and_what_it_was_made_from():
    html = rendered(write_card(manifest(), make_summary()))
    for told in (
        "gru-4f1c9a", "candidate; <code>nightcast models</code> says what became of it",
        "AAPL, IBM, MSFT", "2012-11-30", "open_to_open",
        "126 bars", "<code>macd(12,26,9)</code>", "cell = gru", "at most 20,000 windows",
        "Seeds: 0, 1, 2", "table = bars", "known_by = 2026-11-20T22:10:04Z", "torch = 2.13.0",
    ):  # fmt: skip
        assert told in html, told


def test_card_says_that_the_metrics_belong_to_the_procedure():
    card = write_card(manifest(), make_summary())
    assert "The metrics belong to the procedure, not to these weights" in card


def test_metrics_table_has_one_row_a_model_and_dashes_for_the_unknown():
    html = rendered(write_card(manifest(), make_summary()))
    table = html[html.index("<table>") : html.index("</table>")]
    assert table.count("<tr>") == 1 + 5
    assert "+0.0123 [−0.0087, +0.0333]" in table
    row = table[table.index("<td>zero</td>") :].split("</tr>")[0]
    assert row.count("–</td>") == 4


def test_card_shows_further_horizons_where_there_are_any():
    row = {
        "horizon": 20, "name": "gru over 20 sessions", "ic": interval(0.031, 0.01),
        "rank_ic": interval(None), "coverage_90": interval(0.91, 0.01), "suspected_leak": False,
    }  # fmt: skip
    target = {"kind": "open_to_open", "horizon": 5, "also": [20]}
    card = write_card(manifest(target=target), make_summary() | {"horizons": [row]})
    assert "- Further horizons, by the same network: 20 sessions\n- Unit" in card
    assert "| 20 | +0.0310 [+0.0210, +0.0410] | – | 91.0" in card
    assert rendered(card).count("<table>") == 2
    assert "urther horizons" not in write_card(manifest(), make_summary())


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"max_windows_per_epoch": None}, "there is no sub-sampling"),
        ({"max_windows_per_epoch": 500}, "at most 500 windows"),
        ({}, "is not recorded"),
    ],
)
def test_sub_sampling_is_told_as_it_was(training: dict[str, Any], said: str):
    assert said in write_card(manifest(training=training), make_summary())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "Reproducible: to the bit"), (90.0, "Reproducible: no: a fit is ended by the clock")],
)
def test_a_clock_that_ends_fits_is_told(seconds: float | None, said: str):
    training = {"max_windows_per_epoch": None, "max_seconds": seconds}
    assert said in write_card(manifest(training=training), make_summary())


def test_card_without_the_optional_keys_shows_dashes():
    bare = {key: value for key, value in manifest().items() if key in REQUIRED}
    card = write_card(bare, make_summary())
    for line in ("- Made: –", "- Universe: –", "- Training span: –", "Fingerprint: –"):
        assert line in card
    assert "None" not in card


def test_card_without_a_required_key_is_refused_by_name():
    broken = manifest()
    del broken["features"]
    with pytest.raises(ModelError, match=r"lacks features; it has created_at, .*Write these keys"):
        write_card(broken, make_summary())


@pytest.mark.parametrize("evil", ["A|B", "__A__", "_A_", "*A*", "a_b", "[x](http://y)", "<b>&lt;"])
def test_texts_from_data_read_as_they_are(evil: str):
    summary = make_summary()
    summary["models"][0]["name"] = evil
    html = rendered(write_card(manifest(universe=[evil]), summary))
    shown = evil.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert f"<li>Universe: {shown}</li>" in html
    assert f"<td>{shown}</td>" in html


def test_long_universe_is_cut_with_its_count():
    card = write_card(manifest(universe=[f"S{n}" for n in range(500)]), make_summary())
    assert "S29 and 470 more" in card
    assert "S30" not in card


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        (
            {"holds": True, "sentence": "12 checks, 1,640 trials, no feature saw the future."},
            "12 checks, 1,640 trials, no feature saw the future.",
        ),
        (
            {"holds": False, "sentence": "12 checks, 9 trials, 1 failed. future_1e9: x changes."},
            "12 checks, 9 trials, 1 failed. future_1e9: x changes.",
        ),
        (None, "not proved when this model was trained."),
    ],
)
def test_card_says_what_the_causality_proof_found(proof: dict[str, Any] | None, said: str):
    html = rendered(write_card(manifest(causality=proof), make_summary()))
    assert f"<li>Causality: {said}</li>" in html


def test_card_of_a_model_from_before_the_proof_says_so():
    assert "- Causality: not proved when" in write_card(manifest(), make_summary())


def test_card_shows_the_sentence_of_the_certificate():
    said = "10 checks, 340 trials, nothing came from the future."
    html = rendered(
        write_card(manifest(certificate={"holds": True, "sentence": said}), make_summary())
    )
    assert f"<li>Certificate: {said}</li>" in html
    assert "- Certificate: no certificate was made" in write_card(manifest(), make_summary())


def test_suspected_leak_is_marked_in_the_table():
    summary = make_summary()
    summary["models"][0]["suspected_leak"] = True
    assert "gru (**suspected leak**)" in write_card(manifest(), summary)


def test_card_says_what_the_target_means_and_how_wide_its_intervals_are():
    plain = write_card(manifest(), make_summary())
    assert "- Target: open_to_open(1): the total log return from the next session's open" in plain
    assert "42.1 bp [40.1 bp, 44.1 bp]" in plain.replace("\N{NO-BREAK SPACE}", " ")
    assert "times a symbol's volatility tonight" in plain
    target = {"kind": "open_to_open", "horizon": 5, "excess": "universe", "form": "rank"}
    ranked = write_card(manifest(target=target), make_summary())
    assert "- Target: open_to_open(5), excess over universe, rank: the place, from −0.5" in ranked
    assert "- Unit of forecasts and errors: rank" in ranked
    assert "all intervals are equally wide" in ranked
    for wrong in ("bp", "volatility tonight", "divided by its row's volatility"):
        assert wrong not in ranked


@pytest.mark.parametrize(
    ("head", "target", "said"),
    [
        ("mean", {}, "are added to its forecast (split-conformal, normalised)"),
        ("quantiles", {}, "its own quantile of the same level (conformalized quantile regression"),
        ("quantiles", {"form": "rank"}, "so all intervals are moved equally far"),
        ("mean", {"scale": "volatility"}, "known at the cutoff: what is published is a log return"),
        ("rank", {}, "There are none: a score of the head `rank` orders symbols"),
        ("direction", {}, "There are none: a score of the head `direction`"),
        ("direction", {"form": "direction"}, "so all intervals are equally wide"),
    ],
)
def test_card_says_where_the_intervals_of_each_head_come_from(head, target, said):
    network = {"kind": "recurrent", "cell": "gru", "head": head}
    assert said in write_card(manifest(network=network, target=target), make_summary())


def test_card_says_what_is_significant_and_how_many_trials_were_counted():
    summary = make_summary()
    card = write_card(manifest(), summary)
    found = summary["significance"]
    for said in (
        *found["sentences"],
        found["trials"]["sentence"],
        found["overfitting"]["sentence"],
    ):
        assert said in card
    older = {key: value for key, value in summary.items() if key != "significance"}
    assert "## Significance" not in write_card(manifest(), older)


def test_card_states_the_portfolios_rule_and_the_benchmarks_limit():
    summary = make_summary()
    assert "## Portfolios" not in write_card(manifest(), summary)
    rule = {"Costs": "commission 1 bp", "Benchmark": "SPY, bought once"}
    limit = "The benchmark SPY has no dividend in this span."
    card = write_card(manifest(), summary | {"rule": rule, "benchmark_limit": limit})
    assert "## Portfolios\n\n- Costs: commission 1 bp\n- Benchmark: SPY, bought once" in card
    assert limit in card[card.index("## Limits") :]
