import numpy as np
import pytest

from models.errors import DataError
from models.scaler import CLIP, Scaler, fit_scaler

LOOKBACK = 3


def world(seed=0, rows=40):
    draw = np.random.default_rng(seed)
    return draw.normal(5.0, 2.0, (rows, 2)).astype(np.float32), draw.normal(0, 0.02, rows)


def test_it_is_fitted_on_the_rows_that_the_windows_cover_and_the_target_on_their_ends():
    features, target = world()
    scaler = fit_scaler(features, target, np.array([4, 5, 20]), LOOKBACK)
    covered = features[[2, 3, 4, 5, 18, 19, 20]].astype(np.float64)
    assert scaler.mean == pytest.approx(covered.mean(axis=0), rel=1e-12)
    assert scaler.scale == pytest.approx(covered.std(axis=0), rel=1e-12)
    assert scaler.target_scale == pytest.approx(target[[4, 5, 20]].std(), rel=1e-12)


def test_rows_outside_the_windows_do_not_count():
    features, target = world()
    ends = np.array([10, 11, 12])
    before = fit_scaler(features, target, ends, LOOKBACK)
    features[:8], features[13:] = np.nan, 1e30
    target[:10], target[13:] = np.nan, 1e30
    assert fit_scaler(features, target, ends, LOOKBACK) == before
    features[8] += 1
    assert fit_scaler(features, target, ends, LOOKBACK) != before


def test_transformed_fit_rows_have_mean_0_and_standard_deviation_1():
    features, target = world(rows=500)
    scaler = fit_scaler(features, target, np.arange(2, 500), LOOKBACK)
    scaled = scaler.transform(features)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-4)


def test_extremes_are_clipped_and_masked_values_become_0():
    scaler = Scaler(mean=(1.0, 1.0), scale=(2.0, 2.0), target_scale=1.0)
    scaled = scaler.transform(np.array([[5.0, np.nan], [1e9, -1e9]], np.float32))
    np.testing.assert_array_equal(scaled, [[2.0, 0.0], [CLIP, -CLIP]])


@pytest.mark.parametrize("level", [0.0, 0.1, 1e6])
def test_a_feature_that_never_varies_on_the_fit_rows_tells_nothing(level):
    features, target = world()
    features[:, 1] = level
    scaler = fit_scaler(features, target, np.arange(5, 20), LOOKBACK)
    features[30:, 1] += 100
    scaled = scaler.transform(features)
    np.testing.assert_allclose(scaled[:, 1], 0, atol=1e-6)
    assert np.abs(scaled[:, 0]).max() > 0.5


def test_it_survives_a_bundle():
    import json

    scaler = fit_scaler(*world(), np.arange(5, 20), LOOKBACK)
    loaded = Scaler(**json.loads(json.dumps(scaler.to_dict())))
    features, _ = world(1)
    np.testing.assert_array_equal(loaded.transform(features), scaler.transform(features))


def test_each_horizon_is_scaled_by_itself_and_a_further_one_by_the_rows_that_it_has():
    features, target = world()
    ends = np.arange(5, 30)
    further = 3.0 * target**2
    further[[6, 9, 12]] = np.nan
    scaler = fit_scaler(features, np.column_stack([target, further]), ends, LOOKBACK)
    assert scaler.target_scale == fit_scaler(features, target, ends, LOOKBACK).target_scale
    known = [row for row in ends if row not in (6, 9, 12)]
    assert scaler.also_scales == (pytest.approx(further[known].std(), rel=1e-12),)
    assert scaler.target_scales.tolist() == [scaler.target_scale, *scaler.also_scales]
    with pytest.raises(DataError, match="target of further horizon 1 does not vary over the 0 fit"):
        fit_scaler(features, np.column_stack([target, target * np.nan]), ends, LOOKBACK)


def test_no_row_and_a_target_that_does_not_vary_are_refused():
    features, target = world()
    with pytest.raises(DataError, match="no complete labelled window"):
        fit_scaler(features, target, np.array([], dtype=int), LOOKBACK)
    with pytest.raises(DataError, match="does not vary over the 5 fit rows"):
        fit_scaler(features, np.zeros(40), np.arange(5, 10), LOOKBACK)
    target[7] = np.nan
    with pytest.raises(DataError, match="standard deviation nan"):
        fit_scaler(features, target, np.arange(5, 10), LOOKBACK)
