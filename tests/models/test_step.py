import pytest
import torch
from torch import nn
from torch.nn import functional

from models.errors import ModelError
from models.losses import Objective
from models.networks import build_network
from models.panel import Batch
from models.recurrence import run_cells
from models.step import backward, cut

MSE = Objective([("mse", 1.0)], "mean")
TOGETHER = Objective([("mse", 1.0), ("negative_ic", 0.5)], "mean")


class Small(nn.Module):
    """Two layers of cells and a head, as plain as can be."""

    def __init__(self, mode="GRU", dropout=0.0):
        super().__init__()
        torch.manual_seed(3)
        kind = {"GRU": nn.GRU, "LSTM": nn.LSTM}[mode]
        self.mode, self.share = mode, dropout
        self.rnn, self.head = kind(4, 8, num_layers=2), nn.Linear(8, 2)

    def forward(self, windows, symbols=None, covariates=None):
        return self.unroll(windows, windows.shape[1])[:, 0]

    def unroll(self, chunks, burn_in, symbols=None, covariates=None):
        states = run_cells(self.mode, chunks, self.rnn.all_weights, self.share)
        return self.head(functional.dropout(states[:, burn_in - 1 :], self.share, self.training))


def make_batch(size=50, steps=6, labels=None, seed=0):
    """Windows, or chunks of `labels` labels; some labels are masked, and rows have weights."""
    torch.manual_seed(seed)
    shape = (size,) if labels is None else (size, labels)
    targets = torch.randn(*shape, 2)
    targets[torch.rand(targets.shape) < 0.2] = torch.nan
    return Batch(
        windows=torch.randn(size, steps + (labels or 1) - 1, 4),
        labels=targets,
        rows=torch.arange(targets[..., 0].numel()).view(shape),
        burn_in=None if labels is None else steps,
        weights=torch.rand(shape) + 0.5,
        dates=torch.randint(0, 4, shape),
    )


def step(network, objective, batch, seed=7, **options):
    network.train().zero_grad()
    torch.manual_seed(seed)
    loss = backward(network, objective, batch, **options)
    return [loss, *(p.grad.clone() for p in network.parameters())]


def in_one_piece(network, objective, batch, share=1.0):
    network.train().zero_grad()
    raw = network(batch.windows) if batch.burn_in is None else None
    if raw is None:
        raw = network.unroll(batch.windows, batch.burn_in).reshape(-1, 2)
    loss = objective(
        raw, batch.labels.reshape(-1, 2), batch.weights.reshape(-1), batch.dates.reshape(-1)
    )
    (share * loss).backward()
    return [loss.detach(), *(p.grad.clone() for p in network.parameters())]


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("objective", [MSE, TOGETHER], ids=["separable", "together"])
@pytest.mark.parametrize("labels", [None, 3], ids=["last", "dense"])
def test_loss_and_gradients_are_those_of_the_whole_batch(objective, labels):
    network, batch = Small(), make_batch(labels=labels)
    ours = step(network, objective, batch, micro=8, share=0.25)
    theirs = in_one_piece(network, objective, batch, share=0.25)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("objective", [MSE, TOGETHER], ids=["separable", "together"])
@pytest.mark.parametrize("labels", [None, 3], ids=["last", "dense"])
@pytest.mark.parametrize("mode", ["LSTM", "GRU"])
def test_no_bit_depends_on_the_threads(mode, objective, labels):
    network, batch = Small(mode, dropout=0.3), make_batch(labels=labels)
    alone = step(network, objective, batch, micro=8, threads=1)
    for threads in (2, 3, 2):
        assert same(step(network, objective, batch, micro=8, threads=threads), alone)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("recurrent", {"cell": "gru", "layers": 1, "hidden": 48, "dropout": 0.2}),
        ("transformer", {"layers": 1, "hidden": 16, "attention_heads": 2, "dropout": 0.2}),
    ],
)
def test_networks_of_the_house_give_the_same_bits_on_one_thread_and_two(kind, options):
    torch.manual_seed(0)
    network = build_network(kind, 4, horizons=2, **options)
    batch = make_batch(300, steps=20)
    torch_threads = torch.get_num_threads()
    answers = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            answers.append(step(network, MSE, batch))
    finally:
        torch.set_num_threads(torch_threads)
    assert same(*answers)


def test_dropout_follows_the_seed_and_differs_between_micro_batches():
    network = Small(dropout=0.5)
    batch = make_batch(8)
    first, again, other = (step(network, MSE, batch, seed=s) for s in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)
    seen = []

    class Watch(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))

        def forward(self, windows, symbols, covariates):
            seen.append(nn.Dropout(0.25)(torch.ones(10_000)))
            return windows[:, -1, :2] * self.scale

    step(Watch(), MSE, batch, micro=4, threads=1)
    assert len(seen) == 2
    assert not torch.equal(*seen)
    kept = torch.stack(seen)
    assert kept.unique().tolist() == pytest.approx([0.0, 4 / 3])
    # 20,000 draws: two standard errors of a share of 3/4 are 0.006.
    assert kept.mean().item() == pytest.approx(1.0, abs=0.01)


def test_a_network_that_draws_from_the_common_stream_is_refused():
    class Noisy(Small):
        def forward(self, windows, symbols=None, covariates=None):
            return super().forward(windows) + torch.rand(2)

    with pytest.raises(ModelError, match="Noisy drew random numbers from torch's common stream"):
        step(Noisy(), MSE, make_batch())


def test_gradients_of_several_batches_add_up():
    network, one, two = Small(), make_batch(seed=1), make_batch(seed=2)
    expected = [
        a + b
        for a, b in zip(
            in_one_piece(network, MSE, one, 0.75),
            in_one_piece(network, MSE, two, 0.25),
            strict=True,
        )
    ]
    network.zero_grad()
    backward(network, MSE, one, 0.75)
    backward(network, MSE, two, 0.25)
    for parameter, gradient in zip(network.parameters(), expected[1:], strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-5, atol=1e-6)
        assert parameter.grad.is_contiguous()


@pytest.mark.parametrize("objective", [MSE, TOGETHER], ids=["separable", "together"])
def test_parameters_without_a_part_in_the_loss_get_no_gradient(objective):
    network = Small()
    network.spare = nn.Parameter(torch.ones(3))
    network.head.weight.requires_grad_(False)
    backward(network.train(), objective, make_batch())
    assert network.spare.grad is None
    assert network.head.weight.grad is None
    assert network.head.bias.grad.abs().min() > 0


@pytest.mark.parametrize("objective", [MSE, TOGETHER], ids=["separable", "together"])
def test_a_batch_without_a_label_has_no_loss_and_no_gradient(objective):
    batch = make_batch()
    batch.labels.fill_(torch.nan)
    loss, *gradients = step(Small(), objective, batch, micro=8)
    assert loss == 0
    assert all(g.abs().max() == 0 for g in gradients)


def test_torch_keeps_its_number_of_threads_even_after_an_error():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        step(Small(), MSE, make_batch())
        assert torch.get_num_threads() == 3
        broken = make_batch()
        broken.windows.resize_(50, 6, 3)
        with pytest.raises(RuntimeError, match="shape"):
            backward(Small(), MSE, broken)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("size", "sizes"),
    [(1, [1]), (2, [1, 1]), (128, [64, 64]), (800, [400] * 2), (1100, [275] * 4)],
)
def test_micro_batches_are_even_in_number_and_about_equal(size, sizes):
    batch = Batch(torch.zeros(size, 1, 1), torch.zeros(size, 1), torch.arange(size))
    parts = cut(batch)
    assert [len(p.windows) for p in parts] == sizes
    assert torch.equal(torch.cat([p.rows for p in parts]), batch.rows)
