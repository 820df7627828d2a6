from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats

from models.augment import AUGMENTATIONS, augment, check_augmentation
from models.errors import UsageError

B, L, F, H = 64, 20, 3, 2
STRENGTH = 0.4
TIMED = ["warp", "slice"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(seed=0, steps=L):
    random = seeded(seed)
    windows = torch.randn((B, steps, F), generator=random)
    return windows, torch.randn((B, H), generator=random)


def clock(steps=L):
    """Returns windows whose only feature is the number of the bar."""
    return torch.arange(steps, dtype=torch.float32).expand(B, steps)[:, :, None].contiguous()


def naive_read(window, places):
    """Reads a window [L, F] at places between its bars, one after the other."""
    rows = []
    for place in places.tolist():
        left = min(int(place), len(window) - 2)
        share = place - left
        rows.append((1 - share) * window[left] + share * window[left + 1])
    return torch.stack(rows)


@pytest.mark.parametrize("name", AUGMENTATIONS)
class TestEveryAugmentation:
    """What holds for each of them."""

    def test_it_keeps_shape_and_type_and_leaves_its_input_alone(self, name):
        windows, labels = batch()
        before = windows.clone(), labels.clone()
        seen, told = augment(windows, labels, [(name, STRENGTH)], seeded())
        assert (seen.shape, seen.dtype) == (windows.shape, torch.float32)
        assert (told.shape, told.dtype) == (labels.shape, torch.float32)
        assert torch.equal(windows, before[0])
        assert torch.equal(labels, before[1])
        assert seen.isfinite().all()
        assert not torch.equal(seen, windows)

    def test_the_seed_decides(self, name):
        one, same, other = (
            augment(*batch(), [(name, STRENGTH)], seeded(seed))[0] for seed in (1, 1, 2)
        )
        assert torch.equal(one, same)
        assert not torch.equal(one, other)

    def test_one_window_of_one_bar_goes_through(self, name):
        seen, told = augment(torch.ones(1, 1, F), torch.ones(1, H), [(name, STRENGTH)], seeded())
        assert seen.shape == (1, 1, F)
        assert seen.isfinite().all()
        assert torch.equal(told, torch.ones(1, H))

    def test_labels_that_are_lacking_stay_lacking_and_no_other_goes(self, name):
        windows, labels = batch()
        labels[::3, 0] = torch.nan
        told = augment(windows, labels, [(name, STRENGTH)], seeded())[1]
        assert torch.equal(told.isnan(), labels.isnan())

    @pytest.mark.parametrize("strength", [0.0, -1.0, float("nan"), float("inf")])
    def test_a_strength_out_of_range_is_refused(self, name, strength):
        with pytest.raises(UsageError, match=f"{name}={strength} is out of range"):
            augment(*batch(), [(name, strength)], seeded())


def test_nothing_asked_for_changes_nothing():
    windows, labels = batch()
    seen, told = augment(windows, labels, [], seeded())
    assert seen is windows
    assert told is labels


def test_several_are_done_one_after_the_other():
    windows, labels = batch()
    random = seeded(5)
    step = augment(windows, labels, [("scaling", 0.2)], random)
    expected = augment(*step, [("jitter", 0.1)], random)
    found = augment(windows, labels, [("scaling", 0.2), ("jitter", 0.1)], seeded(5))
    assert torch.equal(found[0], expected[0])


def test_jitter_adds_noise_of_that_standard_deviation_to_every_number():
    windows = torch.zeros(500, L, F)
    noise = augment(windows, torch.zeros(500, H), [("jitter", 0.3)], seeded())[0]
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.std()) == pytest.approx(0.3, rel=0.02)
    assert noise.unique().numel() > 0.99 * noise.numel()


def test_scaling_multiplies_a_feature_of_a_window_by_one_number():
    windows = torch.rand(2000, L, F) + 1
    factors = augment(windows, torch.zeros(2000, H), [("scaling", 0.2)], seeded())[0] / windows
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors))
    assert float(factors[:, 0].mean()) == pytest.approx(1, abs=0.01)
    assert float(factors[:, 0].std()) == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize("name", TIMED)
@pytest.mark.parametrize("steps", [2, 5, L, 61])
def test_bars_keep_their_order_and_the_last_stays_the_last(name, steps):
    windows = clock(steps)
    places = augment(windows, torch.zeros(B, H), [(name, 0.9)], seeded())[0][:, :, 0]
    assert torch.equal(places[:, -1], windows[:, -1, 0])
    assert (places.diff(dim=1) > 0).all()
    assert (places >= 0).all()


@pytest.mark.parametrize("name", TIMED)
def test_features_are_read_linearly_between_their_bars(name):
    # The same draws applied to a clock tell where each output bar was read.
    windows, labels = batch()
    places = augment(clock(), labels, [(name, STRENGTH)], seeded(3))[0][:, :, 0]
    seen, told = augment(windows, labels, [(name, STRENGTH)], seeded(3))
    for one in range(B):
        torch.testing.assert_close(
            seen[one], naive_read(windows[one], places[one]), atol=2e-5, rtol=0
        )
    assert torch.equal(seen[:, -1], windows[:, -1])
    assert told is labels


def test_warp_runs_one_part_of_each_window_at_another_speed():
    steps, strength = 400, 1.0
    places = augment(clock(steps), torch.zeros(B, H), [("warp", strength)], seeded())[0][:, :, 0]
    assert torch.equal(places[:, 0], torch.zeros(B))
    paces = places.diff(dim=1)
    fastest, slowest = paces.amax(dim=1), paces.amin(dim=1)
    whole = (fastest / slowest) > 1.9  # but for parts too short, or all of the window
    assert whole.sum() > 0.9 * B
    assert float((fastest / slowest).max()) == pytest.approx(1 + strength, rel=1e-2)
    for pace in paces[whole]:
        inside = ((pace > pace.mean() * 1.001) != (pace[0] > pace.mean())).int()
        assert int(inside.diff().abs().sum()) <= 2  # one stretch
    middle = paces[:, steps // 2]
    assert (middle > 1.01).any()
    assert (middle < 0.99).any()


def test_slice_cuts_off_up_to_its_share_of_the_beginning_and_stretches_evenly():
    places = augment(clock(), torch.zeros(B, H), [("slice", 0.3)], seeded())[0][:, :, 0]
    cut = places[:, 0] / (L - 1)
    assert (cut >= 0).all()
    assert (cut <= 0.3).all()
    assert float(cut.max()) > 0.27
    assert float(cut.min()) < 0.03
    paces = places.diff(dim=1)
    torch.testing.assert_close(paces, paces.mean(dim=1, keepdim=True).expand_as(paces))


def one_hot():
    """Returns windows and labels that tell which row of the batch they came from."""
    rows = torch.eye(B)
    return rows[:, None, :].expand(B, L, B).contiguous(), rows.clone()


def test_mixup_mixes_window_and_labels_with_one_partner_by_the_same_share():
    windows, labels = one_hot()
    seen, told = augment(windows, labels, [("mixup", 0.4)], seeded())
    torch.testing.assert_close(seen, told[:, None, :].expand_as(seen))
    torch.testing.assert_close(told.sum(dim=1), torch.ones(B))
    assert ((told > 0).sum(dim=1) <= 2).all()
    own = told.diagonal()
    assert (own >= 0.5).all()
    assert (own < 1).sum() > B / 2


@pytest.mark.parametrize("strength", [0.05, 0.4, 1.0, 3.0])
def test_shares_of_mixup_are_those_of_the_beta_distribution(strength):
    many = 20_000
    labels, windows = torch.zeros(many, 1), torch.zeros(many, 1, 1)
    labels[: many // 2] = windows[: many // 2, 0] = 1.0
    told = augment(windows, labels, [("mixup", strength)], seeded())[1][:, 0]
    # Windows of the first half that met one of the second, or the other way round, or none.
    foreign = torch.minimum(told, 1 - told)
    drawn = stats.beta(strength, strength).rvs(many, random_state=0)
    expected = np.where(np.arange(many) % 2, np.minimum(drawn, 1 - drawn), 0)
    # float32 has no numbers between 1 - 6e-8 and 1.
    found, expected = (np.where(part < 1e-6, 0, part) for part in (foreign.numpy(), expected))
    assert stats.ks_2samp(found, expected, method="asymp").statistic < 0.02


def test_a_window_is_not_mixed_with_one_that_lacks_a_label():
    windows, labels = one_hot()
    labels = torch.stack([torch.arange(B) * 1.0, torch.ones(B)], dim=1)
    lacking = torch.arange(B) % 2 == 0
    labels[lacking, 1] = torch.nan
    seen = augment(windows, labels, [("mixup", 5.0)], seeded())[0][:, 0]
    foreign = seen * (1 - torch.eye(B))
    assert (foreign[:, lacking] == 0).all()
    assert (foreign[:, ~lacking] > 0).any()


def test_a_tiny_strength_of_mixup_mixes_nothing_and_breaks_nothing():
    windows, labels = batch()
    seen, told = augment(windows, labels, [("mixup", 1e-5)], seeded())
    torch.testing.assert_close(seen, windows)
    torch.testing.assert_close(told, labels)


@pytest.mark.parametrize("name", ["jitter", "scaling"])
def test_chunks_with_labels_at_every_step_go_through(name):
    chunks, labels = torch.randn(8, 79, F), torch.randn(8, 60, H)
    seen, told = augment(chunks, labels, [(name, STRENGTH)], seeded())
    assert seen.shape == chunks.shape
    assert told is labels


def test_what_moves_steps_is_refused_with_dense_supervision():
    check_augmentation(["jitter", "scaling"], "dense")
    check_augmentation([*AUGMENTATIONS], "last")
    for name in ("warp", "slice", "mixup"):
        with pytest.raises(UsageError, match=f"augment={name} does not suit supervision='dense'"):
            check_augmentation(["jitter", name], "dense")


def test_a_slice_of_the_whole_window_is_refused():
    with pytest.raises(UsageError, match=r"slice=1\.0 is out of range; .* below 1"):
        augment(*batch(), [("slice", 1.0)], seeded())


def test_an_unknown_name_is_refused_with_the_near_one():
    with pytest.raises(UsageError, match=r"'jiter' is unknown\. Did you mean 'jitter'"):
        check_augmentation(["jiter"], "last")


def test_starting_paces_differ_between_windows():
    places = augment(clock(), torch.zeros(B, H), [("warp", 1.0)], seeded())[0][:, :, 0]
    assert all(not torch.equal(one, other) for one, other in pairwise(places))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_gpu_is_not_asked_for_a_value(name):
    cuda = torch.device("cuda")
    windows, labels = (part.to(cuda) for part in batch())
    random = torch.Generator(cuda).manual_seed(0)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        seen, _ = augment(windows, labels, [(name, STRENGTH)], random)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert seen.isfinite().all()
