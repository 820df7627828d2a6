import itertools
import re

import numpy as np
import pytest
from pydantic import ValidationError

from tasks.lake.target_spec import TargetSpec


def test_the_plain_default_is_what_it_was_and_an_old_manifest_still_means_it():
    spec = TargetSpec()
    assert (spec.kind, spec.horizon, spec.unit) == ("open_to_open", 1, "log_return")
    assert TargetSpec(kind="open_to_open", horizon=5) == TargetSpec(horizon=5)
    assert TargetSpec(horizon=5).definition == "open_to_open"


@pytest.mark.parametrize(
    ("fields", "unit", "name"),
    [
        ({"horizon": 5}, "log_return", "open_to_open(5)"),
        ({"kind": "close_to_close"}, "log_return", "close_to_close(1)"),
        ({"excess": "benchmark"}, "log_return", "open_to_open(1), excess over benchmark"),
        ({"scale": "volatility"}, "log_return / volatility", "open_to_open(1), over volatility"),
        (
            {"horizon": 5, "excess": "universe", "form": "rank"},
            "rank",
            "open_to_open(5), excess over universe, rank",
        ),
        ({"scale": "volatility", "form": "rank"}, "rank", "open_to_open(1), over volatility, rank"),
        ({"form": "direction"}, "direction", "open_to_open(1), direction"),
        (
            {"form": "direction", "dead_zone": 0.005},
            "direction",
            "open_to_open(1), direction beyond 0.005",
        ),
        (
            {"kind": "triple_barrier", "horizon": 10, "barrier_up": 2.0},
            "direction",
            "triple_barrier(10), barriers +2 and -1",
        ),
    ],
)
def test_a_target_has_a_unit_and_a_short_name(fields, unit, name):
    spec = TargetSpec(**fields)
    assert (spec.unit, spec.name) == (unit, name)
    assert spec.definition == re.sub(r"\(\d+\)", "", name)
    assert TargetSpec(**spec.model_dump(mode="json")) == spec
    assert TargetSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"kind": "triple_barrier", "excess": "universe"},
            "excess='universe' means nothing for kind='triple_barrier', whose label is the barrier "
            "touched first; leave it at 'none' or choose a kind that is a return.",
        ),
        ({"kind": "triple_barrier", "scale": "volatility"}, "scale='volatility' means nothing"),
        ({"kind": "triple_barrier", "form": "rank"}, "form='rank' means nothing"),
        ({"kind": "triple_barrier", "dead_zone": 0.1}, "choose a kind that is a return."),
        (
            {"barrier_up": 2},
            "barrier_up=2.0 means nothing for kind='open_to_open', which has no barriers; leave "
            "it at 1.0 or choose kind='triple_barrier'.",
        ),
        ({"kind": "close_to_close", "barrier_down": 0.5}, "barrier_down=0.5 means nothing for"),
        (
            {"dead_zone": 0.01},
            "dead_zone=0.01 means nothing for form='value', as only a direction has values that "
            "count as 0; leave it at 0.0 or choose form='direction'.",
        ),
        ({"form": "rank", "dead_zone": 0.01}, "means nothing for form='rank'"),
        (
            {"kind": "triple_barrier", "also": (5,)},
            "also=(5,) means nothing for kind='triple_barrier', whose barriers belong to one "
            "horizon; leave it at () or choose a kind that is a return.",
        ),
        ({"also": (5, 20, 5)}, "also=(5, 20, 5) names 5 more than once; name it once."),
        (
            {"horizon": 5, "also": (1, 5)},
            "also=(1, 5) names horizon=5, which is forecast anyway; leave it out.",
        ),
    ],
)
def test_what_means_nothing_together_is_refused_with_what_to_do(fields, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        TargetSpec(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"horizon": 0}, {"horizon": 61}, {"kind": "open_to_close"}, {"excess": "sector"},
        {"also": (0,)}, {"also": (5, 61)},
        {"form": "direction", "dead_zone": -0.1}, {"horizons": 5},
        {"kind": "triple_barrier", "barrier_up": 0},
        {"kind": "triple_barrier", "barrier_down": 21},
    ],
)  # fmt: skip
def test_values_out_of_bounds_are_refused(fields):
    with pytest.raises(ValidationError):
        TargetSpec(**fields)


def every_spec():
    kinds = ("open_to_open", "close_to_close")
    for kind, excess, scale, form in itertools.product(
        kinds,
        ("none", "universe", "benchmark"),
        ("none", "volatility"),
        ("value", "rank", "direction"),
    ):
        yield TargetSpec(kind=kind, horizon=3, excess=excess, scale=scale, form=form)
    yield TargetSpec(kind="triple_barrier", horizon=3)


def test_no_two_targets_share_their_name_or_their_meaning():
    specs = list(every_spec())
    assert len({spec.name for spec in specs}) == len(specs)
    assert len({spec.meaning for spec in specs}) == len(specs)
    assert all("3 sessions" in spec.meaning for spec in specs)
    assert "1 session later" in TargetSpec().meaning
    beyond = TargetSpec(form="direction", dead_zone=0.01)
    assert "no further than 0.01 from it" in beyond.meaning


def test_only_a_log_return_errs_as_widely_as_its_symbol_moves():
    volatility = np.array([0.01, 0.03])
    for spec in every_spec():
        expected = volatility if spec.unit == "log_return" else [1.0, 1.0]
        np.testing.assert_array_equal(spec.spread(volatility), expected)


def test_every_field_is_described_and_bounded_for_the_form():
    for name, field in TargetSpec.model_json_schema()["properties"].items():
        assert len(field["description"]) > 20, name
        one = field.get("items", field)
        assert "enum" in one or one["type"] in ("integer", "number"), name
        assert "enum" in one or "maximum" in one, name


def test_a_target_of_several_horizons_is_named_by_its_main_one():
    spec = TargetSpec(horizon=5, also=(1, 20), scale="volatility")
    assert (spec.horizons, spec.longest) == ((5, 1, 20), 20)
    assert spec.columns == ("target", "target_1", "target_20")
    assert spec.name == "open_to_open(5), over volatility"
    assert spec.at(20) == TargetSpec(horizon=20, scale="volatility")
    assert spec.published.also == (1, 20)
    assert TargetSpec.model_validate_json(spec.model_dump_json()) == spec
    alone = TargetSpec(horizon=5)
    assert (alone.horizons, alone.longest, alone.columns) == ((5,), 5, ("target",))
    volatility = np.array([0.01])
    assert spec.at(20).to_published(np.ones(1), volatility) == pytest.approx(0.01 * 20**0.5)


@pytest.mark.parametrize(
    ("fields", "limits"),
    [
        ({}, (-np.inf, np.inf)),
        ({"scale": "volatility"}, (-np.inf, np.inf)),
        ({"form": "rank"}, (-0.5, 0.5)),
        ({"form": "direction", "dead_zone": 0.01}, (-1.0, 1.0)),
        ({"kind": "triple_barrier"}, (-1.0, 1.0)),
    ],
)
def test_a_target_knows_what_it_cannot_lie_beyond(fields, limits):
    assert TargetSpec(**fields).limits == limits


def test_a_return_over_volatility_is_published_as_a_return_and_all_else_as_it_is():
    scaled = TargetSpec(scale="volatility", horizon=4, excess="universe")
    assert scaled.published == TargetSpec(horizon=4, excess="universe")
    assert scaled.published.unit == "log_return"
    volatility = np.array([0.01, 0.03])
    np.testing.assert_allclose(
        scaled.to_published(np.array([2.0, -1.0]), volatility), [0.04, -0.06]
    )
    quantiles = scaled.to_published(np.array([[1.0, 2.0], [3.0, 4.0]]), volatility)
    np.testing.assert_allclose(quantiles, [[0.02, 0.04], [0.18, 0.24]])
    for fields in ({}, {"scale": "volatility", "form": "rank"}, {"kind": "triple_barrier"}):
        spec, given = TargetSpec(**fields), np.array([0.5, -0.5])
        assert spec.published == spec
        assert spec.to_published(given, volatility) is given


@pytest.mark.parametrize(
    ("head", "fields", "expected"),
    [
        ("mean", {}, True),
        ("mean", {"form": "rank"}, True),
        ("quantiles", {}, False),
        ("rank", {"form": "rank"}, False),
        ("direction", {}, False),
        ("direction", {"form": "direction"}, True),
        ("direction", {"kind": "triple_barrier"}, True),
    ],
)
def test_a_score_is_a_mean_only_in_the_unit_of_the_target(head, fields, expected):
    assert TargetSpec(**fields).has_mean(head) is expected
