import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.panel import (
    Panel,
    check_ends,
    check_finite,
    chunk_batch,
    digest_windows,
    gather,
    window_batch,
)
from tests.models.cases import CPU


def panel_of(rows=50, features=3, seed=1):
    random = np.random.default_rng(seed)
    return Panel(random.standard_normal((rows, features)), random.standard_normal(rows), CPU)


@pytest.mark.parametrize("lookback", [1, 2, 7, 50])
def test_gather_equals_naive_slicing(lookback):
    panel = panel_of()
    ends = torch.randperm(50 - lookback + 1)[:20] + lookback - 1
    naive = torch.stack([panel.values[end - lookback + 1 : end + 1] for end in ends])
    assert torch.equal(gather(panel, ends, lookback), naive)


def test_a_label_comes_with_the_covariates_of_its_own_row():
    panel = Panel(np.zeros((20, 1)), np.zeros(20), CPU, covariates=np.arange(40.0).reshape(20, 2))
    ends = torch.tensor([7, 12])
    assert torch.equal(window_batch(panel, ends, 4).covariates, panel.covariates[ends])
    rows = torch.stack([torch.arange(2, 8), torch.arange(11, 17)])
    chunk = chunk_batch(panel, rows, torch.ones(2, 3, dtype=torch.bool), 4)
    assert torch.equal(chunk.covariates, panel.covariates[rows[:, 3:]])


def test_gather_takes_no_more_memory_than_its_batch():
    panel = panel_of(rows=1000, features=8)
    windows = gather(panel, torch.arange(500, 510), lookback=100)
    assert windows.untyped_storage().nbytes() == 10 * 100 * 8 * 4


def test_a_panel_copies_read_only_columns_of_a_frame():
    values = np.asfortranarray(np.arange(6.0).reshape(3, 2))
    values.flags.writeable = False
    panel = Panel(values, np.array([1.0, np.nan, 2.0]), CPU)
    assert panel.values.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert panel.values.dtype == panel.labels.dtype == torch.float32


def test_labels_of_another_length_are_refused():
    with pytest.raises(ModelError, match=r"one label a row"):
        Panel(np.zeros((3, 2)), np.zeros(4), CPU)


@pytest.mark.parametrize(
    ("ends", "lookback", "message"),
    [
        ([10], 51, r"lookback=51 is longer than the panel \(50 rows\)"),
        ([10], 0, "lookback=0 holds no bar"),
        ([3, 20], 5, "windows end on rows 3 to 20"),
        ([20, 50], 5, "windows end on rows 20 to 50"),
    ],
)
def test_windows_outside_the_panel_are_refused(ends, lookback, message):
    with pytest.raises(ModelError, match=message):
        check_ends(panel_of(), np.array(ends), lookback)


def test_every_window_that_touches_a_broken_row_is_counted():
    panel = panel_of()
    panel.values[20, 1] = torch.nan
    panel.values[30, 0] = torch.inf
    ends = np.arange(4, 50)
    naive = sum(not np.isfinite(panel.values[e - 4 : e + 1].numpy()).all() for e in ends)
    assert naive == 10
    with pytest.raises(ModelError, match="10 of 46 fit windows see a feature that is NaN"):
        check_finite(panel, ends, 5, "fit")
    check_finite(panel, np.array([19, 25, 29, 35]), 5, "fit")


def test_a_window_without_a_label_is_refused():
    panel = panel_of()
    panel.labels[7] = torch.nan
    with pytest.raises(ModelError, match="1 of 2 stop windows have no finite label"):
        check_finite(panel, np.array([7, 8]), 5, "stop")


def test_the_digest_ignores_rows_that_no_window_sees():
    panel, ends = panel_of(), np.array([10, 11, 30])
    digest = digest_windows(panel, ends, 5)
    panel.values[31:] = torch.nan
    panel.values[12:26] = 1e9
    panel.labels[:10] = 7
    assert digest_windows(panel, ends, 5) == digest
    longer = Panel(
        np.vstack([np.zeros((9, 3)), panel.values]), np.append(np.ones(9), panel.labels), CPU
    )
    assert digest_windows(longer, ends + 9, 5) == digest


@pytest.mark.parametrize("row", [6, 11, 26, 30])
def test_the_digest_sees_every_feature_of_every_window(row):
    panel, ends = panel_of(), np.array([10, 11, 30])
    digest = digest_windows(panel, ends, 5)
    panel.values[row, 2] += 1e-3
    assert digest_windows(panel, ends, 5) != digest


def test_the_digest_sees_labels_lookback_and_order():
    panel, ends = panel_of(), np.array([10, 11, 30])
    digests = {digest_windows(panel, ends, 5), digest_windows(panel, ends, 4)}
    digests.add(digest_windows(panel, ends[::-1], 5))
    panel.labels[30] += 1e-3
    digests.add(digest_windows(panel, ends, 5))
    assert len(digests) == 4
