"""One contract for every network, its options from its specification, all heads and losses.

A network that is registered is covered here as it is: its options are taken from the bounds and
words of its specification, so that each two values of two options meet in some member.
"""

import random
from itertools import combinations
from types import UnionType
from typing import Literal, Union, get_args, get_origin

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from models.errors import UsageError
from models.heads import HEADS
from models.losses import LOSSES, Objective
from models.networks import NETWORKS, Network, build_network
from tasks.lake.tables import QUANTILES
from tasks.training.network_spec import NetworkSpec

F, L, H, N, S = 3, 6, 2, 4, 2
BURN_IN = 3
# What `make` gives a network by itself.
APART = {"kind", "head", "covariates"}


def specs(annotation=NetworkSpec):
    """Returns the specification of each kind of network."""
    if get_origin(annotation) in (Union, UnionType):
        return {kind: spec for part in get_args(annotation) for kind, spec in specs(part).items()}
    if isinstance(annotation, type):
        return {annotation.model_fields["kind"].default: annotation}
    return specs(get_args(annotation)[0])


def values(field):
    """Returns the values of an option that are tried: words, or the default and its neighbours."""
    if get_origin(field.annotation) is Literal:
        return list(get_args(field.annotation))
    if field.annotation is bool:
        return [False, True]
    least = next(m.ge for m in field.metadata if hasattr(m, "ge"))
    if field.annotation is float:
        return [least, 0.5]
    return sorted({least, field.default, field.default + 1})


def pairwise(kind, spec, wanted):
    """Yields options such that each two values of two options occur together, where wanted."""

    def suits(options):
        try:
            chosen = spec(**options).model_dump(exclude=APART)
        except ValueError:
            return False
        return wanted(make(kind, chosen, "mean"))

    tried = {k: values(f) for k, f in spec.model_fields.items() if k not in APART}
    missing = {
        pair
        for a, b in combinations(tried, 2)
        for pair in (((a, x), (b, y)) for x in tried[a] for y in tried[b])
        if suits(dict(pair))
    }
    dice = random.Random(0)
    while missing:
        first = dict(min(missing, key=str))
        drawn = [{k: first.get(k, dice.choice(v)) for k, v in tried.items()} for _ in range(50)]
        drawn = [d for d in drawn if suits(d)] or [{**spec().model_dump(include={*tried}), **first}]
        best = max(drawn, key=lambda d: sum(d.items() >= set(pair) for pair in missing))
        missing = {pair for pair in missing if not best.items() >= set(pair)}
        yield best


def make(kind, options, head):
    """Returns a network that also reads covariates where it has an embedding."""
    context = {"n_symbols": N, "covariates": S} if options["embedding"] else {}
    levels = QUANTILES if head == "quantiles" else ()
    return build_network(kind, F, head=head, horizons=H, levels=levels, **context, **options)


# Once whatever the network, once such that dense supervision takes it.
MEMBERS = [
    (kind, options)
    for kind in NETWORKS
    for wanted in (lambda network: True, lambda network: network.why_not_dense is None)
    for options in pairwise(kind, specs()[kind], wanted)
]


def known(network, rows):
    """Returns what a network reads beside the windows."""
    symbols = torch.arange(rows) % (N + 1) if network.embedding is not None else None
    return symbols, torch.randn(rows, S) if network.covariates else None


def objectives(head):
    """Returns each loss that suits the head, with another one where it may not stand alone."""
    for name, loss in LOSSES.items():
        if head.kind in loss.heads:
            pair = (
                [(name, 1.0)]
                if loss.fixes_level or head.kind != "mean"
                else [(name, 1.0), ("mse", 0.5)]
            )
            yield Objective(pair, head.kind, head.levels)


def violated(build):
    """Returns the first clause of the contract that a network breaks, or None."""
    torch.manual_seed(0)
    network = build().eval()
    windows, beside = torch.randn(9, L, F), known(network, 9)
    with torch.no_grad():
        raw = network(windows, *beside)
        tail = () if network.head.per_horizon is None else (network.head.per_horizon,)
        if raw.shape != (9, H, *tail) or raw.dtype != torch.float32:
            return "shape"
        if not raw.isfinite().all() or not torch.equal(raw, network(windows, *beside)):
            return "repeatable"
        others = torch.cat([windows[:1], torch.full_like(windows[1:], 1e3)])
        if not torch.equal(network(others, *beside)[0], raw[0]):
            return "one window by itself"
        for row in range(L):
            changed = windows.clone()
            changed[:, row] += torch.randn(9, F)
            if torch.equal(network(changed, *beside), raw):
                return "sees every bar"
        if clause := _violated_causality(network, windows, beside):
            return clause
        torch.manual_seed(1)
        twin = build().eval()
        twin.load_state_dict(load(save(network.state_dict())))
        if not torch.equal(twin(windows, *beside), raw):
            return "the same after save and load"
    return _violated_gradients(network)


def _violated_causality(network, windows, beside):
    if network.why_not_dense is not None:
        with pytest.raises(UsageError, match=network.why_not_dense):
            network.unroll(windows, BURN_IN, *beside)
        return None
    steps = network.unroll(windows, BURN_IN, *beside)
    if steps.shape[1] != L - BURN_IN + 1:
        return "a label at every step"
    for k in range(steps.shape[1]):
        end = BURN_IN + k
        later = windows.clone()
        later[:, end:] = 1e3
        if not torch.equal(network.unroll(later, BURN_IN, *beside)[:, : k + 1], steps[:, : k + 1]):
            return "causal inside the window"
        alone = network(windows[:, :end], *beside)
        if not torch.allclose(steps[:, k], alone, rtol=1e-5, atol=1e-6):
            return "unrolled as alone"
    return None


def _violated_gradients(network):
    network.train()
    dates = torch.arange(64) % 4
    for objective in objectives(network.head):
        network.zero_grad()
        for _ in range(8):  # dropout may shut a way off at one time, not at each
            raw = network(torch.randn(64, L, F), *known(network, 64))
            objective(raw, torch.randn(64, H), torch.rand(64), dates).backward()
            gradients = [p.grad for p in network.parameters()]
            reached = all(g is not None and g.any() for g in gradients)
            if reached:
                break
        if not reached:
            return "gradients reach every parameter"
        if not all(g.isfinite().all() for g in gradients):
            return "finite gradients"
    return None


by_member = pytest.mark.parametrize(
    ("kind", "options"), MEMBERS, ids=[f"{n}-{kind}" for n, (kind, _) in enumerate(MEMBERS)]
)


def test_every_network_has_a_specification():
    assert set(NETWORKS) == set(specs())


@pytest.mark.parametrize("head", HEADS)
@by_member
def test_every_network_keeps_the_contract(kind, options, head):
    assert violated(lambda: make(kind, options, head)) is None


@by_member
def test_a_network_takes_1_window_and_10000(kind, options):
    network = make(kind, options, "quantiles").eval()
    windows, beside = torch.randn(10_000, L, F), known(network, 10_000)
    with torch.no_grad():
        many = network(windows, *beside)
        alone = network(windows[:1], *[b if b is None else b[:1] for b in beside])
    assert many.shape == (10_000, H, len(QUANTILES))
    assert many.isfinite().all()
    torch.testing.assert_close(many[:1], alone, rtol=1e-5, atol=1e-6)


class Sound(Network):
    """Keeps the contract: a mean over time that any step may be read from."""

    def __init__(self):
        super().__init__(width=F, dropout=0.0, horizons=H)
        self.layer = nn.Linear(F, F)

    def encode(self, windows):
        return self.encode_steps(windows)[:, -1]

    def encode_steps(self, chunks):
        counts = torch.arange(1, chunks.shape[1] + 1)[:, None]
        return self.layer(chunks).cumsum(dim=1) / counts


class MixesItsBatch(Sound):
    def encode(self, windows):
        return super().encode(windows) - windows.mean()


class ForgetsTheFirstBar(Sound):
    why_not_dense = "it is broken"

    def encode(self, windows):
        return super().encode(windows[:, 1:])


class LooksAhead(Sound):
    def encode_steps(self, chunks):
        return super().encode_steps(chunks) + chunks.sum(dim=1, keepdim=True)


class UnrollsDifferently(Sound):
    def encode(self, windows):
        return 2 * super().encode(windows)


class KeepsAWeightToItself(Sound):
    def __init__(self):
        super().__init__()
        self.secret = torch.rand(F)

    def encode_steps(self, chunks):
        return super().encode_steps(chunks) * self.secret


class LeavesALayerOut(Sound):
    def __init__(self):
        super().__init__()
        self.idle = nn.Linear(F, F)


@pytest.mark.parametrize(
    ("broken", "clause"),
    [
        (Sound, None),
        (MixesItsBatch, "one window by itself"),
        (ForgetsTheFirstBar, "sees every bar"),
        (LooksAhead, "causal inside the window"),
        (UnrollsDifferently, "unrolled as alone"),
        (KeepsAWeightToItself, "the same after save and load"),
        (LeavesALayerOut, "gradients reach every parameter"),
    ],
)
def test_the_contract_bites(broken, clause):
    assert violated(broken) == clause
