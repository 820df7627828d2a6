import math
from functools import partial

import numpy as np
import pytest
import torch

from models.errors import ModelError, UsageError
from models.fit import fit
from models.panel import Panel
from models.predict import predict
from models.schedule import learning_rate_at
from tests.models.cases import CPU, LOOKBACK, ends, recurrent, same, settings

SYMBOLS, DAYS = 24, 90
HALF = {"epochs": 3, "batch_size": 128}


def market(signal=0.5, most_bytes=None, seed=0, **fields):
    """A label is `signal` × the row's first feature and noise; one symbol follows the other."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((SYMBOLS * DAYS, 4)).astype(np.float32)
    labels = signal * values[:, 0] + random.standard_normal(len(values))
    return Panel(
        values,
        labels,
        CPU,
        dates=np.tile(np.arange(DAYS), SYMBOLS),
        symbols=np.repeat(np.arange(SYMBOLS) + 1, DAYS),
        names=("open", "high", "low", "close"),
        most_bytes=most_bytes,
        **fields,
    )


def span(first, last):
    days = np.tile(np.arange(DAYS), SYMBOLS)
    return np.flatnonzero((days >= first) & (days < last))


FIT, STOP = span(LOOKBACK - 1, 60), span(65, 85)


def run(panel=None, factory=None, **changes):
    chosen = settings(**HALF | changes)
    panel = panel or market()
    return fit(factory or recurrent(), panel, FIT, STOP, LOOKBACK, chosen, seed=0)


@pytest.mark.parametrize(
    "changes",
    [
        {"supervision": "dense", "chunk": 15, "batch_size": 8},
        {"sampling": "date", "losses": (("mse", 1.0), ("negative_ic", 0.5))},
        {"sampling": "symbol"},
        {"accumulate": 3, "batch_size": 50},
        {"augment": (("jitter", 0.1), ("mixup", 0.2))},
        {"schedule": "cosine", "warmup": 0.2},
        {"l1": 1e-4},
        {"metric": "ic"},
        {"metric": "rank_ic"},
    ],
    ids=str,
)
def test_a_signal_is_learned_under_every_option(changes):
    changes = {"epochs": 8, "learning_rate": 0.03} | changes
    result = run(**changes)
    network = recurrent()()
    network.load_state_dict(result.weights)
    panel = market()
    forecasts = predict(network, panel, STOP, LOOKBACK)[:, 0]
    ic = np.corrcoef(forecasts, panel.labels.numpy()[STOP, 0])[0, 1]
    assert ic > 0.3  # the signal's own is .45
    assert same(result.weights, run(**changes).weights)


def test_dense_counts_every_label_of_the_span_once_an_epoch():
    result = run(supervision="dense", chunk=7, batch_size=10)
    assert [row.windows for row in result.curve] == [len(FIT)] * 3


def test_accumulated_batches_make_the_step_of_one_large_batch():
    whole = run(epochs=1, batch_size=300)
    parts = run(epochs=1, batch_size=100, accumulate=3)
    for name, value in whole.weights.items():
        torch.testing.assert_close(parts.weights[name], value, rtol=1e-3, atol=1e-5)
    assert parts.curve[0].fit_loss == pytest.approx(whole.curve[0].fit_loss, rel=1e-5)


def test_l1_shrinks_the_weights():
    def size(result):
        return sum(float(value.abs().sum()) for value in result.weights.values())

    assert size(run(l1=0.05)) < 0.9 * size(run())


def test_the_learning_rate_follows_its_schedule_to_the_last_step():
    rates = [row.learning_rate for row in run(schedule="linear", warmup=0.1).curve]
    steps = math.ceil(len(FIT) / 128)
    expected = [
        0.01 * learning_rate_at("linear", 0.1, epoch * steps - 1, 3 * steps) for epoch in (1, 2, 3)
    ]
    assert rates == pytest.approx(expected)
    assert rates[2] < rates[1]


def test_weights_change_what_is_learned_and_a_label_of_weight_0_does_not_count():
    weights = np.ones(SYMBOLS * DAYS)
    weights[FIT[::2]] = 0.0
    panel = market(weights=weights)
    panel.labels[torch.tensor(FIT[::2])] = 1e3
    assert run(panel).curve[0].fit_loss < 5
    assert not same(run(market(weights=weights)).weights, run().weights)


def test_the_metric_chooses_the_epoch():
    by_loss, by_ic = (
        run(learning_rate=0.05, epochs=6),
        run(learning_rate=0.05, epochs=6, metric="ic"),
    )
    assert all(row.stop_score == row.stop_loss for row in by_loss.curve)
    scores = [row.stop_score for row in by_ic.curve]
    assert by_ic.best_epoch == int(np.argmin(scores)) + 1
    assert [row.stop_loss for row in by_ic.curve] == [row.stop_loss for row in by_loss.curve]


def test_a_fit_out_of_time_keeps_what_it_has_and_says_so():
    seconds = iter(range(0, 1000, 10))
    chosen = settings(epochs=50, batch_size=128, max_seconds=45.0)
    result = fit(
        recurrent(), market(), FIT, STOP, LOOKBACK, chosen, seed=0, clock=lambda: next(seconds)
    )
    assert result.out_of_time
    assert 1 <= len(result.curve) < 50
    assert not run().out_of_time


@pytest.mark.parametrize("supervision", ["last", "dense"])
def test_a_panel_in_blocks_is_learned_and_forecast_like_a_whole_one(supervision, caplog):
    changes = {"supervision": supervision, "chunk": 10, "batch_size": 32, "epochs": 6}
    blocks = market(most_bytes=SYMBOLS * 30 * 36)
    assert not blocks.resident
    result = run(blocks, learning_rate=0.03, **changes)
    assert "they go there every epoch in 3 blocks of dates" in caplog.text
    network = recurrent()()
    network.load_state_dict(result.weights)
    whole = predict(network, market(), STOP[::-1], LOOKBACK)
    assert (predict(network, blocks, STOP[::-1], LOOKBACK) == whole).all()
    assert [row.windows for row in result.curve] == [len(FIT)] * 6
    ic = np.corrcoef(whole[:, 0], market().labels.numpy()[STOP[::-1], 0])[0, 1]
    assert ic > 0.3


def test_blocks_need_dates_and_symbols():
    panel = Panel(np.zeros((300, 4)), np.zeros(300), CPU, most_bytes=1600)
    with pytest.raises(ModelError, match="without dates and symbols it cannot be cut"):
        fit(recurrent(), panel, ends(10, 200), None, LOOKBACK, settings(), seed=0)


def test_a_date_that_does_not_fit_is_refused():
    with pytest.raises(ModelError, match="shorten lookback=6"):
        run(market(most_bytes=SYMBOLS * 2 * 36))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "bf16"}, "set precision='float32'"),
        ({"supervision": "densely"}, "use one of last, dense"),
        ({"supervision": "dense", "sampling": "date"}, "set sampling='window'"),
        ({"metric": "mce"}, "Did you mean 'mse'"),
        ({"losses": (("msee", 1.0),)}, "Did you mean 'mse'"),
        ({"augment": (("jiter", 0.1),)}, "Did you mean 'jitter'"),
        ({"supervision": "dense", "augment": (("warp", 0.1),)}, "warp"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"sampling": "dates"}, "Did you mean 'date'"),
    ],
    ids=str,
)
def test_settings_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        run(**changes)


def test_dense_is_refused_where_a_step_would_see_a_later_one():

    factory = partial(
        recurrent().func, *recurrent().args, **recurrent().keywords, bidirectional=True
    )
    with pytest.raises(UsageError, match="bidirectional=true reads the window from its end"):
        run(factory=factory, supervision="dense")


def test_the_error_of_a_diverged_fit_names_the_feature():
    panel = market()
    panel.values[FIT[5], 2] = -1e9
    panel.labels[FIT[5]] = 1e30
    with pytest.raises(ModelError, match=r"diverged in epoch 1, step .* furthest from 0 is low"):
        run(panel)


def test_a_nan_feature_is_named_with_its_row():
    panel = market()
    panel.values[FIT[5], 3] = torch.nan
    with pytest.raises(ModelError, match=f"the first in row {FIT[5]}: close is nan"):
        run(panel)


class OutOfMemory(torch.nn.Module):
    """A network that takes at most `most` windows at once."""

    def __init__(self, most):
        super().__init__()
        self.inner, self.most = recurrent()(), most
        self.head, self.why_not_dense = self.inner.head, None

    def forward(self, windows, symbols=None, covariates=None):
        if len(windows) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.inner(windows)


def test_too_little_memory_names_the_batch_size_that_fits():
    with pytest.raises(ModelError, match=r"batch_size=128 .*; batch_size=64 fits.* 2 times"):
        run(factory=lambda: OutOfMemory(33))
    with pytest.raises(ModelError, match="even for one window"):
        run(factory=lambda: OutOfMemory(0))
