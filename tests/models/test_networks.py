import pytest
import torch
from torch import nn

from models.errors import UsageError
from models.losses import LOSSES, find_loss
from models.networks import CELLS, NETWORKS, Recurrent, build_network

OPTIONS = {
    "recurrent": [
        {"cell": c, "layers": n, "hidden": 8, "dropout": 0.2} for c in CELLS for n in (1, 2)
    ]
}
MEMBERS = [(kind, options) for kind in NETWORKS for options in OPTIONS[kind]]


def violated(network):
    """Returns the first clause of the contract that a network in evaluation mode breaks."""
    torch.manual_seed(0)
    network.eval()
    windows = torch.randn(9, 5, 3)
    out = network(windows)
    if out.shape != (9,) or out.dtype != torch.float32:
        return "shape"
    if not torch.isfinite(out).all() or not torch.equal(out, network(windows)):
        return "repeatable"
    others = windows.clone()
    others[1:] = 1e3
    if not torch.equal(network(others)[0], out[0]):
        return "one window by itself"
    for row in range(5):
        changed = windows.clone()
        changed[0, row] += 1
        if torch.equal(network(changed)[0], out[0]):
            return "sees every bar"
    return None


@pytest.mark.parametrize(("kind", "options"), MEMBERS)
def test_every_network_keeps_the_contract(kind, options):
    network = build_network(kind, 3, **options)
    assert violated(network) is None
    twin = build_network(kind, 3, **options)
    twin.load_state_dict(network.state_dict())
    windows = torch.randn(4, 5, 3)
    assert torch.equal(network(windows), twin.eval()(windows))


class MixesItsBatch(nn.Module):
    def forward(self, windows):
        return windows.sum(dim=(1, 2)) - windows.mean()


class ForgetsTheFirstBar(nn.Module):
    def forward(self, windows):
        return windows[:, 1:].sum(dim=(1, 2))


@pytest.mark.parametrize(
    ("broken", "clause"),
    [(MixesItsBatch, "one window by itself"), (ForgetsTheFirstBar, "sees every bar")],
)
def test_the_contract_bites(broken, clause):
    assert violated(broken()) == clause


def test_an_rnn_cell_is_elmans():
    network = Recurrent(inputs=2, cell="rnn", layers=1, hidden=3, dropout=0.0)
    windows = torch.randn(1, 4, 2)
    weights = dict(network.rnn.named_parameters())
    state = torch.zeros(3)
    for bar in windows[0]:
        state = torch.tanh(
            weights["weight_ih_l0"] @ bar
            + weights["bias_ih_l0"]
            + weights["weight_hh_l0"] @ state
            + weights["bias_hh_l0"]
        )
    by_hand = network.head.weight[0] @ state + network.head.bias[0]
    torch.testing.assert_close(network(windows)[0], by_hand)


def test_dropout_acts_in_a_network_of_one_layer():
    network = Recurrent(inputs=3, cell="gru", layers=1, hidden=16, dropout=0.5)
    windows = torch.randn(8, 5, 3)
    assert not torch.equal(network(windows), network(windows))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: build_network("recurent", 3), "Did you mean 'recurrent'"),
        (lambda: Recurrent(3, "gruu", 1, 8, 0.0), "Did you mean 'gru'"),
        (lambda: find_loss("hubber"), "Did you mean 'huber'"),
    ],
)
def test_unknown_names_offer_the_near_one(call, message):
    with pytest.raises(UsageError, match=message):
        call()


@pytest.mark.parametrize(
    ("name", "by_hand"), [("mse", (0.25 + 9 + 0) / 3), ("huber", (0.125 + 2.5 + 0) / 3)]
)
def test_losses_agree_with_a_hand_calculation(name, by_hand):
    loss = LOSSES[name](torch.tensor([0.5, 3.0, 1.0]), torch.tensor([0.0, 0.0, 1.0]))
    assert loss.item() == pytest.approx(by_hand)
