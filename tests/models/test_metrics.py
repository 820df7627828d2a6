import numpy as np
import pytest
import torch
from scipy import stats

from models.errors import ModelError
from models.metrics import group_correlation, group_ranks, score

RANDOM = np.random.default_rng(0)
DATES = np.repeat(np.arange(12), 25)
SYMBOLS = np.tile(np.arange(25), 12)
LABELS = RANDOM.standard_normal((300, 2))
RAW = LABELS + RANDOM.standard_normal((300, 2)).round(1)


def naive(correlate, groups):
    """Mean over groups, at the main horizon, by scipy."""
    return np.mean(
        [
            correlate(RAW[groups == g, 0], LABELS[groups == g, 0]).statistic
            for g in np.unique(groups)
        ]
    )


@pytest.mark.parametrize(
    ("metric", "correlate"), [("ic", stats.pearsonr), ("rank_ic", stats.spearmanr)]
)
def test_the_correlation_is_taken_per_date(metric, correlate):
    found = score(metric, "mean", RAW, LABELS, torch.tensor(DATES), torch.tensor(SYMBOLS))
    assert found == pytest.approx(-naive(correlate, DATES), rel=1e-12)


def test_with_few_names_a_date_it_is_taken_per_symbol():
    dates = np.repeat(np.arange(60), 5)
    symbols = np.tile(np.arange(5), 60)
    found = score("ic", "mean", RAW, LABELS, torch.tensor(dates), torch.tensor(symbols))
    assert found == pytest.approx(-naive(stats.pearsonr, symbols), rel=1e-12)


def test_a_symbol_weighs_as_many_rows_as_it_has():
    # All symbols but the first have 12 rows.
    kept = (SYMBOLS > 0) | (DATES < 3)
    dates = torch.tensor(np.arange(kept.sum()))
    made = score("ic", "mean", RAW[kept], LABELS[kept], dates, torch.tensor(SYMBOLS[kept]))
    each = [
        stats.pearsonr(RAW[rows, 0], LABELS[rows, 0]).statistic
        for symbol in range(25)
        for rows in [kept & (symbol == SYMBOLS)]
    ]
    assert made == pytest.approx(-np.average(each, weights=[3] + [12] * 24), rel=1e-12)


def test_a_further_horizon_has_no_part_in_a_correlation():
    other = np.column_stack([LABELS[:, 0], np.full(300, np.nan)])
    one, both = (
        score("rank_ic", "mean", RAW, labels, torch.tensor(DATES), torch.tensor(SYMBOLS))
        for labels in (LABELS, other)
    )
    assert one == both


def test_mse_leaves_out_labels_that_are_missing():
    labels = LABELS.copy()
    labels[::3, 1] = np.nan
    found = score("mse", "mean", RAW, labels, None, None)
    assert found == pytest.approx(np.nanmean((RAW - labels) ** 2))


def test_correlations_need_dates():
    with pytest.raises(ModelError, match="the panel has no dates"):
        score("ic", "mean", RAW, LABELS, None, None)


def test_a_constant_forecast_has_no_correlation():
    assert group_correlation(np.full(300, 0.1), LABELS[:, 0], DATES, by_rows=False) == 0.0


def test_ties_share_their_mean_rank():
    values = np.array([3.0, 1.0, 1.0, 2.0, 5.0, 5.0])
    groups = np.array([0, 0, 0, 0, 1, 1])
    assert group_ranks(values, groups).tolist() == [3.0, 0.5, 0.5, 2.0, 4.5, 4.5]
