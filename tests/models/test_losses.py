import math

import numpy as np
import pytest
import torch

from models.errors import UsageError
from models.losses import LOSSES, PARTNERS, Objective

H, LEVELS = 2, (0.1, 0.5, 0.9)
TAILS = {"mean": (), "quantiles": (3,), "direction": (3,), "rank": ()}
PAIRS = [(name, head) for name, loss in LOSSES.items() for head in loss.heads]


def objective(name, head):
    """Returns one loss; beside a loss that leaves the level of a mean open stands a tiny one."""
    alone = LOSSES[name].fixes_level or head != "mean"
    beside = [] if alone else [("mse", 1e-30)]
    return Objective([(name, 1.0), *beside], head, LEVELS if head == "quantiles" else ())


def batch(head, rows=12, seed=0):
    random = torch.Generator().manual_seed(seed)
    raw = torch.randn(rows, H, *TAILS[head], generator=random, dtype=torch.float64)
    labels = torch.randn(rows, H, generator=random, dtype=torch.float64).round(decimals=1)
    labels[3, 0] = labels[5, 1] = math.nan
    labels[4] = 0.0
    weights = torch.rand(rows, generator=random, dtype=torch.float64) + 0.1
    return raw, labels, weights, torch.randint(0, 3, (rows,), generator=random)


def mse(raw, label):
    return (raw - label) ** 2


def huber(raw, label):
    error = abs(raw - label)
    return 0.5 * error**2 if error < 1 else error - 0.5


def pinball(raw, label):
    losses = [
        level * (label - q) if label > q else (1 - level) * (q - label)
        for level, q in zip(LEVELS, raw, strict=True)
    ]
    return sum(losses) / len(losses)


def cross_entropy(raw, label):
    chances = np.exp(raw) / np.exp(raw).sum()
    return -math.log(chances[0 if label < 0 else 2 if label > 0 else 1])


def naive_mean(of, raw, labels, weights, dates):
    """Returns the weighted mean of a loss over the labels there are, one after another."""
    known = [(i, h) for i in range(len(raw)) for h in range(H) if not np.isnan(labels[i, h])]
    total = sum(weights[i] * of(raw[i, h], labels[i, h]) for i, h in known)
    return total / sum(weights[i] for i, _ in known)


def naive_pairs(raw, labels, weights, dates):
    total = mass = 0.0
    for h in range(H):
        for i in range(len(raw)):
            for j in range(len(raw)):
                if dates[i] == dates[j] and labels[i, h] > labels[j, h]:
                    weight = weights[i] * weights[j]
                    total += weight * math.log1p(math.exp(raw[j, h] - raw[i, h]))
                    mass += weight
    return total / mass


def naive_ic(raw, labels, weights, dates):
    total = mass = 0.0
    for h in range(H):
        for date in set(dates):
            rows = [i for i in np.flatnonzero(dates == date) if not np.isnan(labels[i, h])]
            if len(rows) < 2 or np.ptp(labels[rows, h]) == 0:
                continue
            w = weights[rows]
            cov = np.cov(raw[rows, h], labels[rows, h], aweights=w)
            total += w.mean() * cov[0, 1] / math.sqrt(cov[0, 0] * cov[1, 1])
            mass += w.mean()
    return -total / mass


NAIVE = {
    "mse": lambda *b: naive_mean(mse, *b),
    "huber": lambda *b: naive_mean(huber, *b),
    "pinball": lambda *b: naive_mean(pinball, *b),
    "cross_entropy": lambda *b: naive_mean(cross_entropy, *b),
    "pairwise_rank": naive_pairs,
    "negative_ic": naive_ic,
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "head"), PAIRS)
def test_a_loss_agrees_with_a_loop_over_the_rows(name, head, seed):
    raw, labels, weights, dates = batch(head, seed=seed)
    by_hand = NAIVE[name](*(part.numpy() for part in (raw, labels, weights, dates)))
    assert objective(name, head)(raw, labels, weights, dates).item() == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("name", "by_hand"), [("mse", (0.25 + 9 + 0) / 3), ("huber", (0.125 + 2.5 + 0) / 3)]
)
def test_losses_agree_with_a_hand_calculation(name, by_hand):
    raw, labels = torch.tensor([[0.5], [3.0], [1.0]]), torch.tensor([[0.0], [0.0], [1.0]])
    assert objective(name, "mean")(raw, labels).item() == pytest.approx(by_hand)


@pytest.mark.parametrize(("name", "head"), PAIRS)
def test_no_weights_weigh_all_rows_the_same_and_no_dates_are_one_date(name, head):
    raw, labels, weights, dates = batch(head)
    given = objective(name, head)(raw, labels, torch.full_like(weights, 7), dates * 0 + 5)
    assert objective(name, head)(raw, labels).item() == pytest.approx(given.item())


@pytest.mark.parametrize(("name", "head"), PAIRS)
def test_a_masked_label_and_a_weight_of_0_are_as_if_the_row_were_not_there(name, head):
    raw, labels, weights, dates = batch(head)
    labels[7], weights[9] = math.nan, 0.0
    raw.requires_grad_()
    kept = [i for i in range(12) if i not in (7, 9)]
    whole = objective(name, head)(raw, labels, weights, dates)
    without = objective(name, head)(raw[kept], labels[kept], weights[kept], dates[kept])
    assert whole.item() == pytest.approx(without.item())
    whole.backward()
    assert not raw.grad[[7, 9]].any()
    assert raw.grad.isfinite().all()


@pytest.mark.parametrize(("name", "head"), PAIRS)
def test_a_loss_hangs_neither_on_the_order_of_rows_nor_on_the_codes_of_dates(name, head):
    raw, labels, weights, dates = batch(head)
    order = torch.randperm(12)
    moved = objective(name, head)(raw[order], labels[order], weights[order], 900 - dates[order])
    still = objective(name, head)(raw, labels, weights, dates)
    assert moved.item() == pytest.approx(still.item())


@pytest.mark.parametrize(("name", "head"), PAIRS)
def test_a_separable_loss_is_the_weighted_mean_of_its_parts(name, head):
    raw, labels, weights, dates = batch(head)
    loss = objective(name, head)
    parts = [loss(*(p[s] for p in (raw, labels, weights, dates))) for s in (slice(5), slice(5, 12))]
    mass = (weights[:, None] * ~labels.isnan()).sum(dim=1)
    mean = (parts[0] * mass[:5].sum() + parts[1] * mass[5:].sum()) / mass.sum()
    equal = loss(raw, labels, weights, dates).item() == pytest.approx(mean.item())
    assert equal == LOSSES[name].separable == loss.separable


@pytest.mark.parametrize(("name", "head"), PAIRS)
def test_a_batch_without_a_label_costs_nothing_and_pulls_at_nothing(name, head):
    raw, labels, weights, dates = batch(head)
    raw.requires_grad_()
    loss = objective(name, head)(raw, torch.full_like(labels, math.nan), weights, dates)
    loss.backward()
    assert loss.item() == 0
    assert not raw.grad.any()


@pytest.mark.parametrize(("name", "head"), PAIRS)
def test_no_loss_needs_a_value_before_the_device_has_computed_it(name, head):
    # A tensor on `meta` has a shape and no values: waiting for one fails.
    parts = [part.to("meta") for part in batch(head)]
    assert objective(name, head)(*parts).shape == ()


@pytest.mark.parametrize(("name", "head"), PAIRS)
def test_half_precision_is_judged_in_float32(name, head):
    raw, labels, weights, dates = batch(head)
    loss = objective(name, head)(raw.bfloat16(), labels.float(), weights.float(), dates)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(
        objective(name, head)(raw, labels, weights, dates).item(), abs=0.05
    )


@pytest.mark.parametrize(("name", "head"), [p for p in PAIRS if not LOSSES[p[0]].separable])
def test_forecasts_that_are_all_the_same_have_a_finite_gradient(name, head):
    raw, labels, weights, dates = batch(head)
    raw = torch.zeros_like(raw).requires_grad_()
    objective(name, head)(raw, labels, weights, dates).backward()
    assert raw.grad.isfinite().all()
    assert raw.grad.any()


@pytest.mark.parametrize(("name", "head"), [p for p in PAIRS if not LOSSES[p[0]].separable])
def test_a_cross_sectional_loss_is_least_for_the_right_order(name, head):
    labels = torch.linspace(-1, 1, 10)[:, None]
    loss = objective(name, head)
    assert loss(labels, labels) < loss(torch.zeros(10, 1), labels) < loss(-labels, labels)


def test_a_large_date_pairs_each_row_with_as_many_others_as_is_said():
    rows = PARTNERS + 40
    labels = torch.arange(rows, dtype=torch.float64)[:, None]
    # Only the first row is out of place: of the pairs, those of it alone cost more than nothing.
    raw = 1e6 * labels
    raw[0] = 1e12
    wrong = PARTNERS
    pairs = sum(min(PARTNERS, rows - 1 - i) for i in range(rows))
    loss = objective("pairwise_rank", "rank")(raw, labels).item()
    assert loss == pytest.approx(sum(1e12 - 1e6 * j for j in range(1, wrong + 1)) / pairs)


def test_a_combination_is_the_weighted_sum():
    raw, labels, weights, dates = batch("mean")
    both = Objective([("mse", 0.3), ("negative_ic", 2.0)], "mean")
    parts = [objective(n, "mean")(raw, labels, weights, dates) for n in ("mse", "negative_ic")]
    expected = 0.3 * parts[0] + 2.0 * parts[1]
    assert both(raw, labels, weights, dates).item() == pytest.approx(expected.item())
    assert not both.separable


@pytest.mark.parametrize(
    ("losses", "head", "message"),
    [
        ([], "mean", "nothing to minimise"),
        ([("hubber", 1.0)], "mean", "Did you mean 'huber'"),
        ([("mse", 0.0)], "mean", "weight 0.0 of loss mse"),
        ([("mse", math.nan)], "mean", "weight nan"),
        ([("mse", 1.0)], "quantiles", "suits the heads mean, .* take one of pinball"),
        ([("mse", 1.0)], "rank", "take one of pairwise_rank, negative_ic"),
        ([("negative_ic", 1.0)], "mean", "add 'mse' or 'huber', or take the head 'rank'"),
        ([("pinball", 1.0)], "quantiles", "give the head's levels"),
    ],
)
def test_what_does_not_go_together_is_refused(losses, head, message):
    with pytest.raises(UsageError, match=message):
        Objective(losses, head)
