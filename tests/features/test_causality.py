"""The proof catches every kind of leak by name, and lets what is sound pass."""

import json

import polars as pl
import pytest

from models.errors import DataError
from tasks.features.causality.case import Case
from tasks.features.causality.checks import prove
from tasks.features.causality.proof import Proof, require_proof
from tasks.lake.factors import back_adjusted
from tests.features import broken

FUTURES = {"future_cut_off", "future_masked", "future_1e9", "future_of_another_stock"}
ACTIONS = {"later_split", "later_reverse_split", "later_dividend"}
SYMBOLS = {"symbol_removed", "symbol_added", "symbols_permuted", "symbols_renamed"}
CHECKS = [
    "future_cut_off", "future_masked", "future_1e9", "future_of_another_stock",
    "later_split", "later_reverse_split", "later_dividend", "past_bar_changes",
    "symbol_removed", "symbol_added", "symbols_permuted", "symbols_renamed",
]  # fmt: skip
AHEAD = FUTURES | ACTIONS | {"past_bar_changes"}


def blames(proof: Proof, name: str) -> bool:
    """Whether every counter-example is of this column, and of no other."""
    found = [check.counterexample for check in proof.checks if check.counterexample]
    return all((one.column, one.others) == (name, ()) for one in found)


@pytest.fixture(scope="module")
def sound() -> Proof:
    return broken.tried(broken.stage(broken.price_level))


def test_what_is_sound_passes_every_check(sound):
    assert [check.name for check in sound.checks] == CHECKS
    assert sound.holds
    assert all(check.trials for check in sound.checks)
    require_proof(sound)


@pytest.mark.parametrize(
    ("column", "caught"),
    [
        (broken.centred_window, AHEAD),
        (broken.full_sample_normalisation, AHEAD),
        (broken.back_fill, AHEAD),
        # One changed bar seldom falls into a short warm-up.
        (broken.back_filled_warm_up, FUTURES | ACTIONS),
        (broken.negative_shift, AHEAD),
        (broken.whole_sample_rank, AHEAD),
        (broken.sign_of_tomorrows_zero, AHEAD),
        (broken.dead, {"past_bar_changes"}),
        (broken.dead_but_for_masks, {"past_bar_changes"}),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_broken_indicator_is_caught_by_name(column, caught):
    proof = broken.tried(broken.stage(column))
    assert broken.failed(proof) == caught
    assert blames(proof, column.__name__)


@pytest.mark.parametrize(
    ("column", "caught"),
    [
        (broken.over_the_border, AHEAD | SYMBOLS),
        (broken.place_among_symbols, SYMBOLS),
        (broken.others_mean, {"past_bar_changes"} | SYMBOLS),
    ],
)
def test_a_column_that_hangs_on_other_symbols_is_caught_by_name(column, caught):
    proof = broken.tried(broken.stage(whole=[column]))
    assert broken.failed(proof) == caught
    assert blames(proof, column.__name__)


@pytest.mark.parametrize(
    ("column", "caught"),
    [
        (broken.rank_of_members, set()),
        (broken.rank_of_all, {"symbol_added"}),
        (broken.ties_by_name, {"symbols_permuted", "symbols_renamed"}),
        # A sum of floats hangs on the order of its terms.
        (broken.others_mean, {"symbol_added", "symbols_permuted", "symbols_renamed"}),
    ],
)
def test_a_cross_section_may_look_at_members_only_and_not_at_their_order(column, caught):
    build = broken.stage(whole=[column])
    proof = broken.tried(build, cross_sectional=(column.__name__,))
    assert broken.failed(proof) == caught
    assert blames(proof, column.__name__)


def test_back_adjusted_prices_are_caught_though_the_feature_is_scale_free():
    proof = broken.tried(broken.stage(), adjusted=back_adjusted)
    assert broken.failed(proof) >= ACTIONS
    assert proof.check("later_dividend").counterexample.column == "five_bar_return"


def test_back_adjusted_levels_are_caught_by_the_cut_off_alone():
    proof = broken.tried(broken.stage(broken.price_level), adjusted=back_adjusted)
    assert broken.failed(proof) == ACTIONS | {"future_cut_off"}


def test_rows_that_hang_on_the_future_are_caught():
    def dearest(panel: pl.DataFrame) -> pl.DataFrame:
        return broken.stage()(panel).filter(panel["close"] > panel["close"].median())

    assert broken.tried(dearest).check("future_cut_off").counterexample.column == "rows"


def test_columns_that_hang_on_the_future_are_caught():
    def counted(panel: pl.DataFrame) -> pl.DataFrame:
        return broken.stage()(panel).with_columns(pl.lit(1.0).alias(f"of_{panel.height}"))

    found = broken.tried(counted).check("future_cut_off").counterexample
    assert found.column.startswith("of_")


def test_a_column_that_no_bar_decides_is_exempt_where_it_is_named():
    build = broken.stage(broken.bars_seen)
    assert broken.failed(broken.tried(build)) == {"past_bar_changes"}
    assert broken.tried(build, calendar=("bars_seen",)).holds


def test_a_column_without_any_value_is_told_and_not_called_dead():
    proof = broken.tried(broken.stage(broken.never_known))
    assert proof.holds
    assert proof.never_known == ("never_known",)
    assert proof.sentence.endswith("no feature saw the future; never known here: never_known.")


def test_a_panel_of_one_symbol_says_what_could_not_be_tried():
    bars, acting = broken.market(60, 1)
    case = Case(broken.stage(), bars.filter(pl.col("symbol") == "S0"), acting)
    proof = prove(case, 10, warm_up=10, seed=0)
    assert proof.holds
    assert "10 checks, " in proof.sentence
    assert "could not be tried: symbol_removed, symbols_permuted" in proof.sentence
    leaking = Case(broken.stage(broken.negative_shift), case.bars, acting)
    assert broken.failed(prove(leaking, 10, warm_up=10, seed=0)) >= FUTURES


def test_a_failed_proof_stops_a_run_and_says_what_where_and_why():
    proof = broken.tried(broken.stage(broken.negative_shift))
    found = proof.checks[0].counterexample
    assert found is not None
    with pytest.raises(DataError) as stopped:
        require_proof(proof)
    for told in ("negative_shift", found.symbol, str(found.date), found.done, "seed 0"):
        assert told in str(stopped.value)
    assert proof.sentence.startswith("12 checks, ")
    assert "8 failed. future_cut_off: negative_shift changes at S0 2020-01-" in proof.sentence


def test_all_columns_at_fault_in_a_trial_are_named():
    proof = broken.tried(broken.stage(broken.negative_shift, broken.whole_sample_rank))
    found = proof.check("future_1e9").counterexample
    assert {found.column, *found.others} == {"negative_shift", "whole_sample_rank"}


def test_a_proof_survives_json_and_its_certificate_repeats_itself(sound):
    assert Proof.model_validate_json(sound.model_dump_json()) == sound
    again = broken.tried(broken.stage(broken.price_level)).certificate()
    assert json.dumps(again) == json.dumps(sound.certificate())
    assert again["holds"] is True
    assert again["trials"] == sum(check.trials for check in sound.checks)
    assert "seconds" not in json.dumps(again)
