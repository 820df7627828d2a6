import pytest
import torch
from torch import nn

from models.recurrence import run_cells, suits_cells

KINDS = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN_TANH": nn.RNN}


def both(mode, batch=5, steps=7, inputs=3, hidden=6, scale=1.0, **options):
    """The states by torch and by us, and the gradients of a random sum of each."""
    torch.manual_seed(0)
    rnn = KINDS[mode](inputs, hidden, batch_first=True, **options)
    bars = scale * torch.randn(batch, steps, inputs)
    answers = []
    for run in (
        lambda x: rnn(x)[0],
        lambda x: run_cells(mode, x, rnn.all_weights, bidirectional=rnn.bidirectional),
    ):
        seen = bars.clone().requires_grad_()
        states = run(seen)
        toward = torch.randn(states.shape, generator=torch.Generator().manual_seed(1))
        grads = torch.autograd.grad((states * toward).sum(), [seen, *rnn.parameters()])
        answers.append((states.detach(), grads))
    return answers


def assert_same(answers):
    (states, grads), (ours, our_grads) = answers
    torch.testing.assert_close(ours, states, rtol=0, atol=1e-6)
    for our_grad, grad in zip(our_grads, grads, strict=True):
        near = 1e-5 * max(1.0, grad.abs().max().item())
        torch.testing.assert_close(our_grad, grad, rtol=0, atol=near)


@pytest.mark.parametrize("mode", KINDS)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_states_and_gradients_are_those_of_torch(mode, layers, bidirectional):
    assert_same(both(mode, num_layers=layers, bidirectional=bidirectional))


@pytest.mark.parametrize("mode", ["LSTM", "GRU"])
@pytest.mark.parametrize(
    "shape",
    [
        {"batch": 1},
        {"steps": 1},
        {"inputs": 1, "hidden": 1},
        {"batch": 33, "steps": 60, "inputs": 20, "hidden": 64},
    ],
    ids=str,
)
def test_any_shape_goes_through(mode, shape):
    assert_same(both(mode, **shape))


@pytest.mark.parametrize("mode", ["LSTM", "GRU"])
def test_gates_far_beyond_saturation_keep_states_inside_one(mode):
    (states, _), (ours, grads) = both(mode, scale=1e6)
    assert ours.abs().max() <= 1
    torch.testing.assert_close(ours, states, rtol=0, atol=2e-6)
    assert all(g.isfinite().all() for g in grads)


@pytest.mark.parametrize("mode", ["LSTM", "GRU"])
def test_gradients_are_the_slopes_of_the_states(mode):
    class Again(torch.autograd.Function):
        """Runs forward anew before each way back, since gradcheck goes back many times."""

        @staticmethod
        def forward(ctx, bars, *weights):
            ctx.save_for_backward(bars, *weights)
            return run_cells(mode, bars, [weights[:4], weights[4:]])

        @staticmethod
        def backward(ctx, toward):
            seen = [x.detach().requires_grad_() for x in ctx.saved_tensors]
            with torch.enable_grad():
                states = run_cells(mode, seen[0], [seen[1:5], seen[5:]])
            return torch.autograd.grad(states, seen, toward)

    torch.manual_seed(0)
    rnn = KINDS[mode](2, 3, num_layers=2).double()
    weights = [w.detach().requires_grad_() for one in rnn.all_weights for w in one]
    bars = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Again.apply, (bars, *weights))


@pytest.mark.parametrize("mode", ["LSTM", "GRU"])
def test_a_nan_spoils_later_steps_of_its_window_and_no_others(mode):
    rnn = KINDS[mode](3, 4)
    bars = torch.randn(2, 5, 3)
    bars[1, 2, 0] = torch.nan
    spoilt = run_cells(mode, bars, rnn.all_weights).isnan().all(dim=-1)
    assert spoilt.tolist() == [[False] * 5, [False, False, True, True, True]]


@pytest.mark.parametrize("mode", ["LSTM", "GRU"])
def test_a_gradient_that_fades_over_many_steps_ends_in_zero_and_not_in_nan(mode):
    rnn = KINDS[mode](1, 4)
    bars = torch.randn(2, 600, 1, requires_grad=True)
    run_cells(mode, bars, rnn.all_weights)[:, -1].sum().backward()
    assert bars.grad[:, -1].abs().min() > 0
    assert bars.grad[:, 0].abs().max() < 1e-25


def test_dropout_acts_between_layers_alone():
    rnn = nn.GRU(3, 8, num_layers=2)
    bars = torch.randn(4, 5, 3)
    nothing_passes = run_cells("GRU", bars, rnn.all_weights, dropout=1.0)
    top = run_cells("GRU", torch.zeros(4, 5, 8), rnn.all_weights[1:])
    torch.testing.assert_close(nothing_passes, top)
    single = run_cells("GRU", bars, rnn.all_weights[:1], dropout=1.0)
    torch.testing.assert_close(single, run_cells("GRU", bars, rnn.all_weights[:1]))


def test_a_second_way_back_is_refused():
    rnn = nn.LSTM(3, 4)
    states = run_cells("LSTM", torch.randn(2, 5, 3), rnn.all_weights)
    states.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="run it forward again"):
        states.sum().backward()


def test_cells_are_for_training_on_the_cpu_in_float32():
    rnn, bars = nn.LSTM(3, 4), torch.randn(2, 5, 3)
    assert suits_cells(rnn, bars)
    assert not suits_cells(rnn, bars.double())
    assert not suits_cells(rnn, bars.to("meta"))
    assert not suits_cells(nn.LSTM(3, 4, bias=False), bars)
    with torch.no_grad():
        assert not suits_cells(rnn, bars)
    assert not suits_cells(rnn.eval(), bars)
