"""A feature's name: what it is parsed to, and what is said of one that cannot be."""

import pytest

from tasks.features.indicators import INDICATORS
from tasks.features.names import LONGEST_PERIOD, parse
from tasks.features.sets import ALL, CLASSIC, SETS, expand


@pytest.mark.parametrize(
    ("written", "name", "lookback"),
    [
        ("macd", "macd(12,26)", 25),
        (" rsi( 14 ) ", "rsi(14)", 14),
        ("overnight_return", "overnight_return", 1),
        ("rsi|rank", "rsi(14)|rank", 14),
        ("roc(5) | winsor | sector | zscore", "roc(5)|winsor(1)|sector|zscore", 5),
        ("log_return(1)|robust(60)", "log_return(1)|robust(60)", 1 + 59),
        ("sma(10)|standard(20)|robust(5)|rank", "sma(10)|standard(20)|robust(5)|rank", 9 + 19 + 4),
        # Its unit, an average over 20 bars, needs more than the indicator.
        ("chaikin_oscillator(3,10)", "chaikin_oscillator(3,10)", 19),
    ],
)
def test_a_name_is_written_in_one_way_and_knows_what_history_it_needs(written, name, lookback):
    feature = parse(written)
    assert (feature.name, feature.lookback) == (name, lookback)
    assert parse(name) == feature


def test_transforms_stand_in_the_order_in_which_they_were_named():
    feature = parse("roc(10)|winsor(2)|rank|robust")
    assert [step.name for step in feature.steps] == ["winsor(2)", "rank", "robust(252)"]
    assert [step.arguments for step in feature.steps] == [(2,), (), (252,)]
    assert feature.plain == parse("roc(10)")


@pytest.mark.parametrize(
    ("feature", "complaint"),
    [
        (
            "rsii(14)",
            "No indicator is called 'rsii'. Did you mean 'rsi'? `nightcast features` lists all 1",
        ),
        ("qqqq", "No indicator is called 'qqqq'. `nightcast features` lists all 1"),
        ("rsi(14", "'rsi(14' is not a feature; write a name and numbers, such as rsi(14)."),
        ("rsi(-3)", "'rsi(-3)' is not a feature"),
        ("", "'' is not a feature"),
        ("rsi(,)", "'rsi(,)' has an empty number; write such as rsi(14)."),
        ("rsi(14,3)", "rsi(14,3) has 2 periods where rsi takes 1; write rsi(14)."),
        ("overnight_return(3)", "has 1 periods where overnight_return takes 0; write overnight_"),
        ("realised_volatility(1)", "has a period of 1 bars; choose 2 to 504."),
        ("sma(505)", "sma(505) has a period of 505 bars; choose 2 to 504."),
        ("rsi|", "'' is not a transform; write a name and numbers, such as winsor(1)."),
        ("rsi||rank", "'' is not a transform"),
        ("rsi|rnk", "No transform is called 'rnk'. Did you mean 'rank'? Choose among: rank, "),
        ("rsi|sma(3)", "No transform is called 'sma'. Choose among: rank, "),
        ("rsi|rank(3)", "rank(3) has 1 arguments where rank takes 0; write rank."),
        ("rsi|winsor(0)", "winsor(0) has 0; choose 1 to 49."),
        ("rsi|winsor(50)", "winsor(50) has 50; choose 1 to 49."),
        ("rsi|winsor(1,2)", "winsor(1,2) has 2 arguments where winsor takes 1; write winsor(1)."),
        ("rsi|robust(505)", "robust(505) has 505; choose 3 to 504."),
        ("rank", "No indicator is called 'rank'."),
    ],
)
def test_a_feature_that_cannot_be_is_refused_with_advice(feature, complaint):
    with pytest.raises(ValueError) as caught:
        parse(feature)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("name", INDICATORS)
def test_every_indicator_takes_its_least_period_and_its_longest(name):
    entry = INDICATORS[name]
    for period in (entry.shortest, LONGEST_PERIOD):
        numbers = ",".join([str(period)] * len(entry.periods))
        feature = parse(f"{name}({numbers})" if numbers else name)
        assert feature.indicator is entry
        assert feature.lookback >= 0
        assert feature.warm_up >= 0


def test_every_name_of_a_set_is_written_as_it_is_parsed():
    for names in SETS.values():
        assert [parse(name).name for name in names] == list(names)
        assert len(set(names)) == len(names)


def test_the_default_set_spans_every_kind_and_no_more_than_half_a_year():
    kinds = {parse(name).indicator.kind for name in CLASSIC}
    assert kinds == {"trend", "momentum", "volatility", "volume", "returns"}
    assert max(parse(name).lookback for name in CLASSIC) <= 126


def test_the_set_of_all_holds_every_indicator_once_but_those_of_the_alpha_sets():
    ours = [name for name, entry in INDICATORS.items() if entry.kind != "alpha"]
    assert [parse(name).indicator for name in ALL] == [INDICATORS[name] for name in ours]
    assert all(parse(name).periods == parse(name).indicator.periods for name in ALL)


def test_a_set_expands_and_hands_its_transforms_to_each_of_its_features():
    assert expand("classic") == CLASSIC
    assert expand(" classic |winsor(5)|rank") == tuple(f"{n}|winsor(5)|rank" for n in CLASSIC)
    assert expand("rsi(14)|rank") == ("rsi(14)|rank",)
    assert expand("no_such_set") == ("no_such_set",)


def test_no_set_is_called_like_an_indicator():
    assert not set(INDICATORS) & set(SETS)
