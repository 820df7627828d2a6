import numpy as np
import pytest
import torch

from models.errors import UsageError
from models.heads import HEADS, build_head, point

LEVELS = (0.1, 0.5, 0.8, 0.9)


def head(kind, horizons=2, levels=LEVELS):
    torch.manual_seed(0)
    return build_head(kind, 3, horizons, levels)


@pytest.mark.parametrize(
    ("kind", "tail"), [("mean", ()), ("quantiles", (4,)), ("direction", (3,)), ("rank", ())]
)
@pytest.mark.parametrize("horizons", [1, 2])
def test_a_head_gives_its_numbers_for_each_horizon(kind, tail, horizons):
    assert head(kind, horizons)(torch.randn(5, 3)).shape == (5, horizons, *tail)
    assert head(kind, horizons)(torch.randn(5, 7, 3)).shape == (5, 7, horizons, *tail)
    assert head(kind).kind == kind


def test_every_head_is_registered_under_its_kind():
    assert {kind: head(kind).kind for kind in HEADS} == {kind: kind for kind in HEADS}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6])
def test_quantiles_never_cross(dtype, size):
    quantiles = head("quantiles").to(dtype)((size * torch.randn(1_000, 3)).to(dtype))
    assert (quantiles.diff(dim=-1) >= 0).all()
    assert quantiles.isfinite().all()


def test_quantiles_are_the_lowest_and_softplus_steps():
    one = head("quantiles", horizons=1)
    states = torch.randn(1, 3)
    raw = (one.weight @ states[0] + one.bias).tolist()
    by_hand = [raw[0]]
    for step in raw[1:]:
        by_hand.append(by_hand[-1] + np.log1p(np.exp(step)))
    assert one(states)[0, 0].tolist() == pytest.approx(by_hand, rel=1e-5)


def test_the_point_of_a_mean_and_of_a_rank_is_itself():
    raw = torch.randn(4, 2)
    assert torch.equal(point("mean", raw), raw)
    assert torch.equal(point("rank", raw), raw)


def test_the_point_of_quantiles_is_the_median():
    raw = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    assert point("quantiles", raw, LEVELS).item() == 2
    assert point("quantiles", raw[..., :3]).item() == 2


def test_the_point_of_a_direction_is_the_chance_of_up_less_that_of_down():
    raw = np.log([[[0.2, 0.3, 0.5]]])
    assert point("direction", raw).item() == pytest.approx(0.3)


@pytest.mark.parametrize(
    "levels", [(), (0.1, 0.9), (0.5, 0.1), (0.1, 0.5, 0.5), (0.0, 0.5), (0.5, 1.0)]
)
def test_levels_that_are_no_quantiles_are_refused(levels):
    with pytest.raises(UsageError, match="must ascend inside"):
        head("quantiles", levels=levels)


def test_a_head_without_a_horizon_is_refused():
    with pytest.raises(UsageError, match="horizons=0"):
        head("mean", horizons=0)


def test_an_unknown_head_offers_the_near_one():
    with pytest.raises(UsageError, match="Did you mean 'rank'"):
        head("ranks")


def test_what_tells_two_heads_apart_is_shown():
    assert repr(head("quantiles")) != repr(head("quantiles", levels=(0.2, 0.5, 0.8, 0.9)))
