import pytest
from pydantic import ValidationError

from tasks.features.spec import CLASSIC, FeatureSpec, parse
from tasks.lake.target_spec import TargetSpec


def test_a_short_lookback_is_refused_with_what_the_feature_needs():
    with pytest.raises(ValidationError) as caught:
        FeatureSpec(features=("rsi(14)",), lookback=3)
    assert (
        "lookback=3 is shorter than rsi(14) needs (14 bars); raise lookback or shorten the period."
        in str(caught.value)
    )


def test_the_default_set_is_checked_against_the_lookback_too():
    with pytest.raises(ValidationError, match=r"lookback=10 is shorter than ema\(50\) needs"):
        FeatureSpec(lookback=10)


@pytest.mark.parametrize(
    ("feature", "complaint"),
    [
        ("rsii(14)", "No indicator is called 'rsii'. Did you mean 'rsi'?"),
        ("rsi(14", "'rsi(14' is not a feature; write a name and periods, such as rsi(14)."),
        ("rsi(,)", "'rsi(,)' has an empty period"),
        ("rsi(14,3)", "rsi(14,3) has 2 periods where rsi takes 1; write rsi(14)."),
        ("overnight_return(3)", "takes 0; write overnight_return."),
        ("realised_volatility(1)", "has a period of 1 bars; choose 2 to 504."),
        ("sma(505)", "has a period of 505 bars; choose 2 to 504."),
    ],
)
def test_a_feature_that_cannot_be_is_refused_with_advice(feature, complaint):
    with pytest.raises(ValidationError) as caught:
        FeatureSpec(features=(feature,))
    assert complaint in str(caught.value)


def test_one_feature_in_two_spellings_is_refused():
    with pytest.raises(ValidationError, match=r"rsi\(14\) is named 2 times; name it once."):
        FeatureSpec(features=("rsi", "rsi( 14 )"))


def test_a_name_without_periods_takes_the_default_ones():
    assert parse("macd").name == "macd(12,26)"
    assert parse("macd").lookback == 25
    assert parse("overnight_return").name == "overnight_return"


def test_the_default_set_spans_every_kind():
    kinds = {parse(name).indicator.kind for name in CLASSIC}
    assert kinds == {"trend", "momentum", "volatility", "volume", "returns"}
    assert FeatureSpec().features == CLASSIC


def test_specs_are_frozen_and_refuse_unknown_fields():
    with pytest.raises(ValidationError):
        FeatureSpec().lookback = 3
    with pytest.raises(ValidationError):
        TargetSpec(horizons=5)
    with pytest.raises(ValidationError):
        TargetSpec(horizon=0)
