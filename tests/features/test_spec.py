import pytest
from pydantic import ValidationError

from tasks.features.names import parse
from tasks.features.sets import ALL, CLASSIC, SETS
from tasks.features.spec import FeatureSpec
from tasks.lake.target_spec import TargetSpec
from tests.features.registry import every_feature


def complaints(**fields) -> str:
    with pytest.raises(ValidationError) as caught:
        FeatureSpec(**fields)
    return str(caught.value)


def test_a_short_lookback_is_refused_with_what_the_feature_needs():
    assert (
        "lookback=3 is shorter than rsi(14) needs (14 bars); raise lookback or shorten the period."
        in complaints(features=("rsi(14)",), lookback=3)
    )


def test_what_a_transform_needs_counts_too():
    # 14 bars for the first value, 29 more for the first window of them.
    assert "lookback=42 is shorter than rsi(14)|robust(30) needs (43 bars)" in complaints(
        features=("rsi(14)|robust(30)",), lookback=42
    )
    FeatureSpec(features=("rsi(14)|robust(30)",), lookback=43)


def test_the_default_set_is_checked_against_the_lookback_too():
    assert "lookback=10 is shorter than log_return(60) needs (60 bars)" in complaints(lookback=10)


@pytest.mark.parametrize(
    ("feature", "complaint"),
    [
        ("rsii(14)", "No indicator is called 'rsii'. Did you mean 'rsi'?"),
        ("rsi(14)|rnk", "No transform is called 'rnk'. Did you mean 'rank'?"),
        ("rsi(14,3)", "rsi(14,3) has 2 periods where rsi takes 1; write rsi(14)."),
        ("classic|winsor(99)", "winsor(99) has 99; choose 1 to 49."),
        (7, "valid string"),
    ],
)
def test_a_feature_that_cannot_be_is_refused_with_advice(feature, complaint):
    assert complaint in complaints(features=(feature,))


def test_a_set_that_is_not_there_names_a_near_one():
    said = complaints(features=("clasic",))
    assert "'clasic'" in said
    assert "Did you mean 'classic'?" in said


@pytest.mark.parametrize(
    ("features", "named"),
    [
        (("rsi", "rsi( 14 )"), "rsi(14) is named 2 times; name it once."),
        (("classic", "ema(50)"), "ema(50) is named 2 times; name it once."),
        ("classic|rank, rsi", "is not"),
    ],
)
def test_one_feature_in_two_spellings_is_refused(features, named):
    assert named in complaints(features=features)


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ("classic", CLASSIC),
        (["classic"], CLASSIC),
        ("rsi", ("rsi(14)",)),
        ("classic|rank", tuple(f"{name}|rank" for name in CLASSIC)),
        (["classic", "classic|rank"], (*CLASSIC, *(f"{name}|rank" for name in CLASSIC))),
        (["kama", "classic", "mom|rank"], ("kama(10,2,30)", *CLASSIC, "mom(10)|rank")),
        ("all", ALL),
        *((name, members) for name, members in SETS.items()),
    ],
)
def test_sets_and_features_may_be_mixed_and_come_in_their_order(features, expected):
    assert FeatureSpec(features=features, lookback=504).features == expected


def test_no_features_and_too_many_are_refused():
    assert "No feature is named; name one, or a set" in complaints(features=())
    many = [f"sma({n})" for n in range(2, 505)] + [f"ema({n})" for n in range(2, 505)]
    assert "at most 1000 items" in complaints(features=many, lookback=504)


def test_the_defaults_are_the_classic_set():
    assert FeatureSpec().features == CLASSIC
    assert FeatureSpec().lookback == 126


@pytest.mark.parametrize("chosen", ["all", "classic|winsor(2)|rank", "rsi|robust(99)", "alpha158"])
def test_a_spec_survives_a_json_round_trip(chosen):
    spec = FeatureSpec(features=chosen, lookback=504)
    assert FeatureSpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_spec_of_every_feature_survives_a_json_round_trip_with_its_names():
    names = tuple(feature.name for feature in every_feature())
    spec = FeatureSpec(features=names, lookback=2520)
    again = FeatureSpec.model_validate_json(spec.model_dump_json())
    assert again == spec
    assert [parse(name) for name in again.features] == every_feature()


def test_specs_are_frozen_and_refuse_unknown_fields():
    with pytest.raises(ValidationError):
        FeatureSpec().lookback = 3
    with pytest.raises(ValidationError):
        TargetSpec(horizons=5)
    with pytest.raises(ValidationError):
        TargetSpec(horizon=0)


def test_a_wrong_transform_behind_a_set_is_told_once():
    assert complaints(features="classic|rnk").count("No transform is called 'rnk'") == 1


def test_the_longest_need_is_told_first():
    assert "lookback=20 is shorter than high_distance(252) needs (251 bars)" in complaints(
        features=("sma(60)", "high_distance(252)", "rsi(50)"), lookback=20
    )
