from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from models.errors import ModelError
from models.fit import fit
from models.networks import CELLS
from models.panel import Panel
from models.predict import predict
from tests.models.cases import CPU, LOOKBACK, ends, make_panel, recurrent, same, settings

FIT, STOP = ends(LOOKBACK, 200), ends(210, 290)


@pytest.mark.parametrize("cell", CELLS)
def test_a_network_overfits_8_windows(cell):
    panel, eight = make_panel(), ends(20, 28)
    chosen = settings(epochs=200, learning_rate=0.03, weight_decay=0.0)
    result = fit(recurrent(cell, hidden=16), panel, eight, None, LOOKBACK, chosen, seed=0)
    assert result.curve[0].fit_loss > 0.05
    assert result.curve[-1].fit_loss < 1e-3
    network = recurrent(cell, hidden=16)()
    network.load_state_dict(result.weights)
    fitted = predict(network, panel, eight, LOOKBACK)
    np.testing.assert_allclose(fitted, panel.labels[20:28].numpy(), atol=0.1)


def test_a_signal_is_learned_and_holds_on_the_stop_span():
    chosen = settings(epochs=15, learning_rate=0.03)
    result = fit(recurrent(), make_panel(), FIT, STOP, LOOKBACK, chosen, seed=0)
    # The labels' variance is 0.26, their noise 0.01.
    assert min(row.stop_loss for row in result.curve) < 0.06


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    def run(seed):
        return fit(recurrent(dropout=0.3), make_panel(), FIT, STOP, LOOKBACK, settings(), seed)

    assert same(run(3).weights, run(3).weights)
    assert run(3).curve == run(3).curve
    assert not same(run(3).weights, run(4).weights)


def test_a_fit_leaves_the_random_state_of_its_caller_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(recurrent(dropout=0.3), make_panel(), FIT, None, LOOKBACK, settings(epochs=1), seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_early_stopping_keeps_the_weights_of_the_best_epoch():
    random = np.random.default_rng(0)
    noise = Panel(random.standard_normal((300, 4)), random.standard_normal(300), CPU)
    chosen = settings(epochs=60, learning_rate=0.03, patience=3)
    result = fit(recurrent(), noise, FIT, STOP, LOOKBACK, chosen, seed=0)
    losses = [row.stop_loss for row in result.curve]
    assert result.best_epoch == int(np.argmin(losses)) + 1
    assert len(losses) == result.best_epoch + 3 < 60
    network = recurrent()()
    network.load_state_dict(result.weights)
    errors = predict(network, noise, STOP, LOOKBACK) - noise.labels.double().numpy()[STOP]
    assert np.mean(errors**2) == pytest.approx(losses[result.best_epoch - 1], rel=1e-12)


def test_without_a_stop_span_the_last_of_all_epochs_is_kept():
    result = fit(recurrent(), make_panel(), FIT, None, LOOKBACK, settings(patience=1), seed=0)
    assert result.best_epoch == len(result.curve) == 4
    assert all(row.stop_loss is None for row in result.curve)
    with_stop = fit(recurrent(), make_panel(), FIT, STOP, LOOKBACK, settings(), seed=0)
    assert with_stop.best_epoch == 4
    assert same(result.weights, with_stop.weights)


class Plain(nn.Module):
    """What a fit asks of a network, without a head of its own."""

    head = SimpleNamespace(kind="mean", levels=())
    why_not_dense = None


class RecordsItsInput(Plain):
    """Sees windows of one bar and one feature: the number of the row."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.epochs = [[]]

    def forward(self, windows, symbols=None, covariates=None):
        self.epochs[-1] += windows[:, 0, 0].int().tolist()
        return windows[:, 0, :1] * self.weight


def drawn(seed, **changes):
    panel = Panel(np.arange(100.0)[:, None], np.zeros(100), CPU)
    network = RecordsItsInput()
    fit(
        lambda: network,
        panel,
        ends(10, 90),
        None,
        1,
        settings(epochs=3, batch_size=16, **changes),
        seed,
        on_epoch=lambda row: network.epochs.append([]),
    )
    return network.epochs[:3]


def test_every_epoch_sees_every_window_once_in_a_new_order():
    epochs = drawn(seed=0)
    assert all(sorted(epoch) == list(range(10, 90)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_capped_epochs_draw_without_replacement_seeded_and_anew():
    epochs = drawn(seed=0, max_windows_per_epoch=20)
    assert all(len(set(epoch)) == len(epoch) == 20 for epoch in epochs)
    assert len({frozenset(epoch) for epoch in epochs}) == 3
    assert drawn(seed=0, max_windows_per_epoch=20) == epochs
    assert drawn(seed=1, max_windows_per_epoch=20) != epochs


def test_the_fit_loss_is_a_mean_over_windows_not_over_batches():
    # A frozen network (no learning rate) and a last batch of 2 windows among batches of 32.
    panel, chosen = make_panel(), settings(epochs=1, learning_rate=0.0)
    result = fit(recurrent(), panel, ends(20, 86), None, LOOKBACK, chosen, seed=0)
    network = recurrent()()
    network.load_state_dict(result.weights)
    errors = predict(network, panel, ends(20, 86), LOOKBACK) - panel.labels[20:86].double().numpy()
    assert result.curve[0].fit_loss == pytest.approx(np.mean(errors**2), rel=1e-5)
    assert result.curve[0].windows == 66


def test_a_constant_target_is_learned():
    panel = Panel(np.random.default_rng(0).standard_normal((300, 4)), np.full(300, 0.7), CPU)
    chosen = settings(epochs=15, learning_rate=0.03)
    result = fit(recurrent(), panel, FIT, STOP, LOOKBACK, chosen, seed=0)
    assert result.curve[-1].stop_loss < 0.01


class LastBarTimesWeights(Plain):
    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.ones(4))

    def forward(self, windows, symbols=None, covariates=None):
        return (windows[:, -1] @ self.weights)[:, None]


def test_a_step_is_adamw_on_the_gradient_clipped_by_its_norm():
    panel, rate, decay, most = make_panel(), 0.02, 0.1, 3.0
    x, y = panel.values[20:60].double().numpy(), panel.labels[20:60, 0].double().numpy()
    weights, first, second, norms = np.ones(4), np.zeros(4), np.zeros(4), []
    for step in range(1, 31):
        gradient = 2 * x.T @ (x @ weights - y) / 40
        norms.append(np.linalg.norm(gradient))
        gradient *= min(1, most / norms[-1])
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        slope = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        weights = weights * (1 - rate * decay) - rate * slope
    assert max(norms) > most > min(norms), "the norm was clipped always or never"
    chosen = settings(
        epochs=30, batch_size=40, learning_rate=rate, weight_decay=decay, clip_norm=most
    )
    result = fit(LastBarTimesWeights, panel, ends(20, 60), None, LOOKBACK, chosen, seed=0)
    np.testing.assert_allclose(result.weights["weights"].numpy(), weights, rtol=1e-4)


class OverflowsAtTheSecondStep(Plain):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, windows, symbols=None, covariates=None):
        return windows[:, -1, :1] * self.weight * (1.0 if self.weight.item() == 1 else 1e30)


def test_a_fit_that_diverges_stops_and_names_epoch_and_step():
    with pytest.raises(ModelError, match=r"diverged in epoch 1, step 2 of 7: loss=inf"):
        fit(OverflowsAtTheSecondStep, make_panel(), FIT, None, LOOKBACK, settings(), seed=0)


@pytest.mark.parametrize(
    ("fit_ends", "stop_ends", "lookback", "message"),
    [
        (ends(0, 0), STOP, LOOKBACK, "the fit span has 0 windows"),
        (FIT, ends(0, 0), LOOKBACK, "the stop span has 0 windows"),
        (FIT, STOP, 301, r"lookback=301 is longer than the panel \(300 rows\)"),
        (ends(295, 301), STOP, LOOKBACK, "windows end on rows 295 to 300"),
    ],
)
def test_windows_that_cannot_be_fitted_are_refused(fit_ends, stop_ends, lookback, message):
    with pytest.raises(ModelError, match=message):
        fit(recurrent(), make_panel(), fit_ends, stop_ends, lookback, settings(), seed=0)


@pytest.mark.parametrize(("row", "span"), [(50, "fit"), (250, "stop")])
def test_a_nan_feature_stops_the_fit_before_it_starts(row, span):
    panel = make_panel()
    panel.values[row, 0] = torch.nan
    with pytest.raises(ModelError, match=f"6 of .* {span} windows see a feature that is NaN"):
        fit(recurrent(), panel, FIT, STOP, LOOKBACK, settings(), seed=0)
