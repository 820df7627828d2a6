import json

import numpy as np
import pytest

from models.errors import ModelError
from models.novelty import AXES, LEAST_VARIANCE, Novelty, fit_novelty


def fit_rows(seed=0, rows=5000, width=6):
    """Features that move together, of unit variance, with fat tails."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(width, width)) + 3 * np.eye(width)
    mixed = random.standard_t(5, (rows, width)) @ mixing
    return ((mixed - mixed.mean(axis=0)) / mixed.std(axis=0)).astype(np.float32)


def test_with_few_features_it_is_mahalanobis_distance_in_multiples_of_the_threshold():
    rows = fit_rows()
    found, inverse = fit_novelty(rows), np.linalg.inv(np.cov(rows.T, ddof=0))
    mean = rows.astype(float).mean(axis=0)
    expected = [float(np.sqrt((r - mean) @ inverse @ (r - mean))) for r in rows.astype(float)]
    threshold = sorted(expected)[int(np.ceil(0.999 * (len(rows) - 1)))]
    np.testing.assert_allclose(found.distances(rows), np.array(expected) / threshold, rtol=1e-4)


def test_one_in_a_thousand_of_the_fit_rows_is_novel():
    for width in (6, 50):
        rows = fit_rows(width=width)
        assert 0 < (fit_novelty(rows).distances(rows) > 1).sum() <= len(rows) // 1000


def test_with_many_features_it_is_the_distance_under_axes_and_one_variance_beside_them():
    rows = fit_rows(1, width=50).astype(float)
    centred = rows - rows.mean(axis=0)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(rows))
    beside = max(variances[:-AXES].mean(), LEAST_VARIANCE)
    spread = np.r_[np.full(50 - AXES, beside), variances[-AXES:]]
    covariance = axes @ np.diag(np.maximum(spread, beside)) @ axes.T
    expected = np.sqrt(np.einsum("nf,fg,ng->n", centred, np.linalg.inv(covariance), centred))
    threshold = np.quantile(expected, 0.999, method="higher")
    np.testing.assert_allclose(fit_novelty(rows).distances(rows), expected / threshold, rtol=1e-3)


def test_a_row_of_ordinary_values_that_never_went_together_is_novel():
    random = np.random.default_rng(2)
    first = random.normal(size=4000)
    rows = np.c_[first, first + 0.1 * random.normal(size=4000)]
    found = fit_novelty(rows).distances(np.array([[1.5, 1.5], [1.5, -1.5], [9.0, 9.0]]))
    assert (found > 1).tolist() == [False, True, True]


def test_a_row_gets_the_same_distance_by_a_bit_whatever_stands_beside_it():
    rows = fit_rows(3, width=40)
    found = fit_novelty(rows)
    together = found.distances(rows[:300])
    assert [found.distances(rows[n : n + 1])[0] for n in range(300)] == together.tolist()


def test_statistics_survive_json_bit_for_bit_and_stay_small():
    rows = fit_rows(4, width=158)
    made = fit_novelty(rows)
    text = json.dumps(made.to_dict(), allow_nan=False)
    assert len(text) < 80_000
    back = Novelty(**json.loads(text))
    np.testing.assert_array_equal(back.distances(rows), made.distances(rows))


def test_features_that_repeat_one_another_or_never_vary_are_no_trouble():
    rows = fit_rows(5)
    rows = np.c_[rows, rows[:, 0], np.zeros(len(rows))]
    found = fit_novelty(rows)
    assert 0 < (found.distances(rows) > 1).sum() <= len(rows) // 1000
    other = rows[:1].copy()
    other[0, 6] += 1.0
    assert found.distances(other)[0] > 1
    alike = fit_novelty(np.zeros((30, 3)))
    assert (alike.distances(np.array([[0.0, 0, 0], [0, 1, 0]])) > 1).tolist() == [False, True]


@pytest.mark.parametrize("rows", [np.zeros((0, 3)), np.full((5, 3), np.nan), np.zeros(4)])
def test_rows_that_say_nothing_are_refused(rows):
    with pytest.raises(ModelError, match="novelty cannot be fitted on features of shape"):
        fit_novelty(rows)


def test_rows_of_other_features_are_refused():
    with pytest.raises(ModelError, match=r"fitted on 6 features, but got rows of shape \(2, 5\)"):
        fit_novelty(fit_rows()).distances(np.zeros((2, 5)))
