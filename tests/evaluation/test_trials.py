import json
import math
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from tasks.evaluation.deflation import expected_best, probabilistic_sharpe, track
from tasks.evaluation.evaluate import json_values
from tasks.evaluation.trials import against_trials, others_of
from tasks.lake.tables import TRIALS
from tasks.lake.trials import TrialsRef

FIRST, LAST = date(2015, 1, 5), date(2017, 12, 29)
REFERENCE = TrialsRef(
    trial="own", universe="u", first=FIRST, last=LAST,
    known_by=datetime(2018, 1, 2, tzinfo=UTC), others=0, digest="0",
)  # fmt: skip
DAYS = 750


def draw(seed, drift=0.0, sessions=DAYS):
    return np.random.default_rng(seed).normal(drift, 0.01, sessions)


def row(trial, returns=None, **values):
    own = {"trial": trial, "universe": "u", "status": "completed", "first": FIRST, "last": LAST}
    listed = None if returns is None else list(returns)
    return dict.fromkeys(TRIALS.content) | own | {"returns": listed} | values


def deflated(rows, net, equal=None):
    schema = {name: TRIALS.columns[name] for name in TRIALS.content}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    others = others_of(frame, REFERENCE, net.size)
    found = against_trials(net, np.zeros(net.size) if equal is None else equal, others, 0.95)
    assert json.loads(json.dumps(json_values(found), allow_nan=False)) == json_values(found)
    return found


def test_one_trial_alone_is_not_deflated():
    net = draw(0, 0.001)
    found = deflated([], net)
    assert [one["returns"] for one in found["sharpe"]] == ["excess", "net"]
    for one in found["sharpe"]:
        assert one["deflated"] == one["probabilistic"] == probabilistic_sharpe(track(net), 0.0)
        assert (one["trials"], one["groups"], one["hurdle"]) == (1, 1, 0.0)
        assert "nothing had to be deflated" in one["sentence"]
        assert "after deflation" not in one["sentence"]
    assert found["trials"]["sentence"].startswith("This is the only trial that the lake knows")
    assert found["overfitting"]["probability"] is None
    assert (
        "1 trial has daily returns over this span, and it takes 5"
        in (found["overfitting"]["sentence"])
    )


def test_the_count_is_that_of_all_trials_and_the_spread_that_of_the_known_ratios():
    net = draw(0, 0.001)
    # Wider than noise, so that the known ratios decide and not the three unknown ones.
    peers = [draw(1, 0.002), draw(2, -0.002), draw(3)]
    elsewhere = draw(4, sessions=300)
    rows = [row(f"p{n}", returns) for n, returns in enumerate(peers)]
    rows += [row("older", elsewhere, first=date(2010, 1, 4), last=date(2011, 3, 1))]
    rows += [row("killed", status="started"), row("tuned", []), row("still", [0.0] * DAYS)]
    found = deflated(rows, net)
    assert {k: found["trials"][k] for k in ("count", "with_returns", "same_span")} == {
        "count": 8, "with_returns": 5, "same_span": 4,
    }  # fmt: skip
    ratios = [r.mean() / r.std(ddof=1) for r in (*peers, net, elsewhere)]
    hurdle = expected_best(8, np.std(ratios, ddof=1))
    one = found["sharpe"][1]
    assert one["hurdle"] == pytest.approx(hurdle * math.sqrt(252))
    assert one["deflated"] == pytest.approx(probabilistic_sharpe(track(net), hurdle))
    # All move apart from each other, or cannot be set beside the others.
    assert one["groups"] == 8
    assert found["trials"]["sentence"].startswith("8 trials are counted")


def test_copies_count_but_are_one_group():
    net = draw(0, 0.001)
    rows = [row(f"c{seed}", net + draw(seed) * 0.1) for seed in range(1, 10)]
    one = deflated(rows, net)["sharpe"][1]
    assert (one["trials"], one["groups"]) == (10, 1)
    assert one["group_deflated"] == one["probabilistic"]
    assert one["deflated"] < one["group_deflated"]


def test_more_trials_deflate_more_even_those_without_returns():
    net = draw(0, 0.001)
    found = [
        deflated([row(f"k{n}", status="started") for n in range(killed)], net)["sharpe"][1]
        for killed in (0, 1, 5, 50, 500)
    ]
    values = [one["deflated"] for one in found]
    assert values == sorted(values, reverse=True)
    assert found[0]["significant"]
    assert not found[-1]["significant"]
    assert "not significant after deflation" in found[-1]["sentence"]


def test_a_rising_market_is_taken_off_in_the_excess():
    market = draw(0, 0.002)
    net = market + draw(1) * 0.1
    peers = [row(f"p{seed}", market + draw(seed) * 0.1) for seed in range(2, 8)]
    stranger = row("stranger", market + draw(9) * 0.1, universe="other")
    excess, bare = deflated([*peers, stranger], net, market)["sharpe"]
    assert bare["significant"]
    assert not excess["significant"]
    assert excess["sharpe"] == pytest.approx(
        (net - market).mean() / (net - market).std(ddof=1) * math.sqrt(252)
    )
    # The excess of another universe is unknown: it counts and is a group of its own.
    assert bare["groups"] == 1
    assert (excess["trials"], excess["groups"]) == (8, 8)


def test_the_excess_of_another_universe_is_never_compared():
    net = draw(0, 0.001)
    excess, bare = deflated([row("stranger", net + draw(1) * 0.01, universe="other")], net)[
        "sharpe"
    ]
    assert (bare["groups"], excess["groups"]) == (1, 2)
    # Its ratio is unknown, where the net one of a copy leaves nothing to deflate by.
    hurdle = expected_best(2, 1 / math.sqrt(DAYS - 1)) * math.sqrt(252)
    assert excess["hurdle"] == pytest.approx(hurdle)
    assert bare["hurdle"] < hurdle / 10


def test_a_near_copy_does_not_speak_for_a_search_without_returns():
    net = draw(0, 0.001)
    search = [row(f"tuned{n}", status="completed") for n in range(98)]
    alone, beside = (
        deflated([*search, *copies], net)["sharpe"][1]
        for copies in ([], [row("copy", net + draw(1) * 0.01)])
    )
    assert (alone["trials"], beside["trials"]) == (99, 100)
    assert beside["hurdle"] == pytest.approx(alone["hurdle"])
    assert beside["group_hurdle"] == pytest.approx(alone["group_hurdle"])
    assert beside["probabilistic"] > 0.95 > beside["deflated"]


def test_a_longer_horizon_is_set_beside_by_its_first_sessions():
    net = draw(0)
    longer, shorter = np.append(net, draw(1)[:19]), net[:-4]
    found = deflated([row("h20", longer), row("h1", shorter)], net)
    assert found["trials"]["same_span"] == 3
    assert found["sharpe"][1]["groups"] == 1
    torn = deflated([row("torn", net[:300])], net)
    assert torn["trials"]["same_span"] == 1
    assert torn["sharpe"][1]["groups"] == 2


def test_overfitting_is_told_from_five_trials_over_the_span_on():
    net = draw(0, 0.003)
    noise = [row(f"p{seed}", draw(seed)) for seed in range(1, 5)]
    found = deflated(noise, net)["overfitting"]
    assert (found["trials"], found["probability"]) == (5, 0.0)
    assert "best of 5 trials" in found["sentence"]
    assert deflated(noise[:3], net)["overfitting"]["probability"] is None


def test_a_portfolio_that_never_moved_has_no_ratio():
    still = np.zeros(DAYS)
    found = deflated([row("p", draw(1))], still)
    assert all(math.isnan(one["deflated"]) for one in found["sharpe"])
    assert not any(one["significant"] for one in found["sharpe"])
    assert found["sharpe"][1]["sentence"].startswith("The returns after costs do not move")


def test_a_ratio_below_the_hurdle_needs_an_endless_track():
    found = deflated([row("p", draw(1, 0.003))], draw(0, -0.001))
    assert math.isinf(found["sharpe"][1]["needed_sessions"])
    assert "no track record would show it" in found["sharpe"][1]["sentence"]


def test_the_best_of_a_search_on_noise_is_significant_in_few_worlds():
    # Too few sessions for the probability of overfitting, which takes its time.
    worlds, trials, days = 400, 8, 150
    deflation = plain = 0
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        equal = rng.normal(0.0005, 0.01, days)
        tried = equal[:, None] + rng.normal(0, 0.004, (days, trials))
        excess = tried - equal[:, None]
        best = int((excess.mean(axis=0) / excess.std(axis=0)).argmax())
        rest = [row(f"p{n}", tried[:, n]) for n in range(trials) if n != best]
        one = deflated(rest, tried[:, best], equal)["sharpe"][0]
        deflation += one["significant"]
        plain += one["probabilistic"] > 0.95
    assert plain / worlds > 0.2
    assert deflation / worlds <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / worlds)
