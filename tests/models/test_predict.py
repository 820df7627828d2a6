import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.networks import CELLS
from models.panel import gather
from models.predict import predict, predict_ensemble
from tests.models.cases import LOOKBACK, ends, make_panel, recurrent

ALL = ends(LOOKBACK - 1, 300)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("hidden", [8, 21, 64])
def test_a_row_gets_the_same_bits_whatever_is_asked_beside_it(cell, hidden):
    torch.manual_seed(0)
    panel, network = make_panel(), recurrent(cell, layers=2, hidden=hidden)()
    whole = predict(network, panel, ALL, LOOKBACK, block=128)
    random = np.random.default_rng(0)
    for count in (1, 2, 7, 127, 128, 129, len(ALL)):
        places = random.permutation(len(ALL))[:count]
        assert (predict(network, panel, ALL[places], LOOKBACK, block=128) == whole[places]).all()


@pytest.mark.parametrize("cell", CELLS)
def test_no_bit_depends_on_the_threads(cell):
    panel, network = make_panel(), recurrent(cell, layers=2, hidden=64)()
    one, two = (
        predict(network, panel, ALL, LOOKBACK, block=128, threads=threads) for threads in (1, 2)
    )
    assert (one == two).all()


def test_forecasts_are_the_networks_raw_output_without_dropout():
    panel, network = make_panel(), recurrent(dropout=0.5)()
    forecasts = predict(network, panel, ALL[:50], LOOKBACK)
    assert forecasts.dtype == np.float64
    with torch.no_grad():
        direct = network.eval()(gather(panel, torch.from_numpy(ALL[:50]), LOOKBACK))
    np.testing.assert_allclose(forecasts, direct.numpy(), atol=1e-6)


def test_no_rows_give_no_forecasts():
    assert predict(recurrent()(), make_panel(), ends(9, 9), LOOKBACK).shape == (0, 1)


def test_a_nan_forecast_is_an_error():
    panel = make_panel()
    panel.values[50] = torch.nan
    with pytest.raises(ModelError, match="6 of 295 forecasts are NaN"):
        predict(recurrent()(), panel, ALL, LOOKBACK)


def test_a_lookback_longer_than_the_panel_is_refused():
    with pytest.raises(ModelError, match="lookback=301 is longer"):
        predict(recurrent()(), make_panel(), ALL, 301)


def test_an_ensemble_is_the_mean_over_its_weight_sets():
    panel, networks = make_panel(), [recurrent()() for _ in range(3)]
    alone = [predict(network, panel, ALL, LOOKBACK) for network in networks]
    weights = [network.state_dict() for network in networks]
    mean = predict_ensemble(recurrent()(), weights, panel, ALL, LOOKBACK)
    np.testing.assert_allclose(mean, (alone[0] + alone[1] + alone[2]) / 3, rtol=1e-14)


def test_an_ensemble_needs_weights_that_fit():
    panel = make_panel()
    with pytest.raises(ModelError, match="0 weight sets"):
        predict_ensemble(recurrent()(), [], panel, ALL, LOOKBACK)
    with pytest.raises(ModelError, match="weight set 0 does not fit the network"):
        predict_ensemble(recurrent()(), [recurrent(hidden=9)().state_dict()], panel, ALL, LOOKBACK)
