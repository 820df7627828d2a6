"""The canaries: defects that are put into the project's own code, and what has to notice each.

Each takes a monkeypatch and changes one thing, as a careless change of the code would.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from models.fit import fit
from models.scaler import fit_scaler
from tasks.evaluation.liquidity import with_liquidity
from tasks.evaluation.portfolio import simulate
from tasks.features.frame import base_columns
from tasks.features.indicators import INDICATORS
from tasks.features.indicators.entry import Indicator
from tasks.features.spec import FeatureSpec
from tasks.lake.factors import back_adjusted
from tasks.lake.membership import Membership
from tasks.lake.panel import PanelArrays
from tasks.training.inputs import FoldRows
from tasks.windows.spec import SplitSpec
from tests.faults.canaries import market


@dataclass(frozen=True)
class Canary:
    """A defect, the check that it is meant for, and the features that it needs."""

    plant: Callable
    check: str
    features: tuple[str, ...] = market.FEATURES.features
    splits: SplitSpec = market.SPLITS

    @property
    def spec(self):
        return FeatureSpec(features=self.features, lookback=market.FEATURES.lookback)


def scaler_over_all_rows(patch):
    def over_all(features, target, rows, lookback):
        seen = np.isfinite(features).all(axis=1)
        every = np.arange(lookback - 1, seen.sum())
        return fit_scaler(features[seen], np.nan_to_num(target[seen]), every, lookback)

    patch.setattr("tasks.windows.plan.fit_scaler", over_all)


def centred_window(patch):
    def centred(panel, features, scheduled):
        own = pl.col("log_return(1)")
        mean = (own.shift(1) + own + own.shift(-1)).over("symbol") / 3
        return base_columns(panel, features, scheduled).with_columns(
            mean.fill_null(own).alias("log_return(1)")
        )

    patch.setattr("tasks.features.frame.base_columns", centred)


def back_fill(patch):
    def filled(panel, features, scheduled):
        made = base_columns(panel, features, scheduled)
        return made.with_columns(
            pl.col(f.name).fill_nan(None).backward_fill().over("symbol").fill_null(float("nan"))
            for f in features
        )

    patch.setattr("tasks.features.frame.base_columns", filled)


def unpurged_labels(patch):
    purged = PanelArrays.rows

    def unpurged(panel, start, end, labels_known_by=None):
        rows = purged(panel, start, end)
        return rows if labels_known_by is None else rows[np.isfinite(panel.target[rows])]

    patch.setattr(PanelArrays, "rows", unpurged)


def features_that_remember_a_test(patch):
    def forgetful(panel, lookback, behind, across):
        return panel.dates

    patch.setattr("tasks.windows.plan.first_seen", forgetful)


def fill_at_the_close_of_the_signal(patch):
    def at_the_close(signal, bars, *others):
        opens = np.vstack([bars.open[:1], bars.close[:-1]])
        return simulate(signal, replace(bars, open=opens), *others)

    patch.setattr("tasks.evaluation.trading.simulate", at_the_close)


def fill_ahead_of_the_signal(patch):
    def ahead(signal, bars, *others):
        return simulate(np.vstack([signal[1:], signal[-1:]]), bars, *others)

    patch.setattr("tasks.evaluation.trading.simulate", ahead)


def _liquidity_of_the_next_session(patch, *columns):
    def ahead(panel):
        return with_liquidity(panel).with_columns(pl.col(columns).shift(-1).over("symbol"))

    patch.setattr("tasks.evaluation.aligned.with_liquidity", ahead)


def volume_of_the_next_session(patch):
    _liquidity_of_the_next_session(patch, "dollar_volume")


def volatility_of_the_next_session(patch):
    _liquidity_of_the_next_session(patch, "volatility")


def future_split_in_the_prices(patch):
    def back(bars, actions):
        return back_adjusted(bars, actions).with_columns(dividend_factor=1.0)

    patch.setattr("tasks.features.stage.panel_with_dividends", back)


def future_split_in_a_feature(patch):
    future_split_in_the_prices(patch)


def survivors_alone_are_read(patch):
    patch.setattr(Membership, "symbols", Membership.on)


def todays_members_always_were(patch):
    def always(spells, frame):
        standing = spells.filter(pl.col("to").is_null())["symbol"]
        return frame.select(member=pl.col("symbol").is_in(standing.implode()))["member"]

    patch.setattr("tasks.features.frame.member_rows", always)


def early_stopping_on_the_test_span(patch):
    read = FoldRows.read.__func__

    def stopping_by_test(cls, plan, entry):
        rows = read(cls, plan, entry)
        if "test" in rows.spans:
            rows.spans["stop"] = rows.spans["test"]
        return rows

    patch.setattr(FoldRows, "read", classmethod(stopping_by_test))


def early_stopping_behind_the_inputs(patch):
    def stopping_by_the_future(factory, panel, fit_ends, stop_ends, lookback, *others):
        if stop_ends is not None:
            dates, labels = panel.dates.numpy(), panel.labels.numpy()[:, 0]
            later = np.isfinite(labels) & (dates > dates[stop_ends].max() + 60)
            stop_ends = np.flatnonzero(later & (np.arange(len(later)) >= lookback))
        return fit(factory, panel, fit_ends, stop_ends, lookback, *others)

    patch.setattr("tasks.training.folds.fit", stopping_by_the_future)


def trial_that_is_not_counted(patch):
    patch.setattr("tests.faults.canaries.market.count_trial", lambda lake, trial, now: 0)


def trial_counted_when_all_is_fitted(patch):
    complete, count = market.complete_trial, market.count_trial

    def both(lake, trial, scored, now):
        count(lake, trial, now)
        return complete(lake, trial, scored, now)

    patch.setattr("tests.faults.canaries.market.count_trial", lambda lake, trial, now: 0)
    patch.setattr("tests.faults.canaries.market.complete_trial", both)


def with_levels(patch):
    """No defect: a feature of the price's level, which a future split would show in."""
    patch.setitem(INDICATORS, "level", Indicator("trend", np.log, ("close",), (), lambda: 0))


_LEVEL = (*market.FEATURES.features, "level")
# What follows a test span must not go for good, as it does with the long memory of `rsi`.
_SHORT = ("log_return(1)", "log_return(5)", "realised_volatility(20)")

CANARIES = {
    plant.__name__: Canary(plant, *told)
    for plant, *told in (
        (scaler_over_all_rows, "fit inputs"),
        (centred_window, "features"),
        (back_fill, "features"),
        (unpurged_labels, "purging"),
        (features_that_remember_a_test, "purging", _SHORT, market.CROSSED),
        (fill_at_the_close_of_the_signal, "fill times"),
        (fill_ahead_of_the_signal, "fill times"),
        (volume_of_the_next_session, "orders"),
        (volatility_of_the_next_session, "orders"),
        (future_split_in_the_prices, "orders"),
        (future_split_in_a_feature, "features", _LEVEL),
        (survivors_alone_are_read, "survivors"),
        (todays_members_always_were, "survivors"),
        (early_stopping_on_the_test_span, "fit inputs"),
        (early_stopping_behind_the_inputs, "refit"),
        (trial_that_is_not_counted, "trial count"),
        (trial_counted_when_all_is_fitted, "trial count"),
    )
}
