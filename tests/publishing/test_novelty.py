import polars as pl

from tasks.publishing.novelty import unlike_training, with_novelty


def looks(count, far):
    symbols = [f"S{n:02d}" for n in range(count)]
    return pl.DataFrame({"symbol": symbols, "distance": 0.5}).with_columns(
        distance=pl.when(pl.int_range(pl.len()) < far).then(1.5).otherwise("distance"),
        novel=pl.int_range(pl.len()) < far,
    )


def test_a_long_list_is_cut_with_its_count():
    said = unlike_training(looks(30, 12))
    assert said.startswith("12 of 30 symbols look unlike anything in training: S00 (1.5), S01")
    assert "S09 (1.5) and 2 more." in said
    assert "S10" not in said


def test_a_night_gets_the_looks_of_its_own_symbols_in_its_own_order():
    night = pl.DataFrame({"symbol": ["S01", "OLD", "S00"], "rank": [1, 2, 3]})
    joined = with_novelty(night, looks(2, 1))
    assert joined["symbol"].to_list() == ["S01", "OLD", "S00"]
    assert joined["distance"].to_list() == [0.5, None, 1.5]
    assert joined["novel"].to_list() == [False, None, True]
    assert unlike_training(joined).startswith("1 of 3 symbols")


def test_a_symbol_counts_once_whatever_the_horizons():
    both = pl.concat([looks(3, 1), looks(3, 1)]).with_columns(horizon=pl.Series([5] * 3 + [1] * 3))
    assert unlike_training(both).startswith("1 of 3 symbols")
    night = both.select("symbol", "horizon")
    assert with_novelty(night, both).equals(both.select("symbol", "horizon", "distance", "novel"))


def test_a_bundle_that_cannot_tell_says_nothing():
    blank = looks(3, 1).with_columns(novel=pl.lit(None, pl.Boolean))
    assert unlike_training(blank) is None
    assert unlike_training(blank.drop("novel")) is None
