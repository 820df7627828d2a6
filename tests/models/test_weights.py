import numpy as np
import pytest

from models.errors import UsageError
from models.weights import time_decay, uniqueness


def naive_uniqueness(first, last, symbols):
    """Average uniqueness, session by session and label by label."""
    found, labels = [], list(zip(first, last, symbols, strict=True))
    for begin, end, symbol in labels:
        shares = [
            1 / sum(f <= t <= e and s == symbol for f, e, s in labels)
            for t in range(begin, end + 1)
        ]
        found.append(np.mean(shares))
    return np.array(found)


def test_weights_halve_with_every_half_life():
    found = time_decay(np.array([30, 10, 20, 30]), half_life=10)
    assert found / found[0] == pytest.approx([1, 0.25, 0.5, 1])
    assert found.mean() == pytest.approx(1)


@pytest.mark.parametrize("half_life", [0, -3, float("nan")])
def test_a_half_life_of_0_or_less_is_refused(half_life):
    with pytest.raises(UsageError, match=r"half-life of .* makes no weights"):
        time_decay(np.array([1, 2]), half_life)


def test_uniqueness_of_three_labels_by_hand():
    # Sessions 1-3, 3-4 and 6: only session 3 is shared, so the labels are unique by
    # (1 + 1 + 1/2) / 3, (1/2 + 1) / 2 and 1.
    found = uniqueness(np.array([1, 3, 6]), np.array([3, 4, 6]), np.array([0, 0, 0]))
    by_hand = np.array([2.5 / 3, 0.75, 1.0])
    assert found == pytest.approx(by_hand / by_hand.mean())


def test_labels_of_other_symbols_do_not_overlap():
    first, last = np.array([5, 5, 5]), np.array([9, 9, 9])
    found = uniqueness(first, last, np.array([7, 7, 2]))
    assert found == pytest.approx(np.array([0.5, 0.5, 1.0]) * 1.5)


@pytest.mark.parametrize("seed", range(20))
def test_uniqueness_is_that_of_a_loop_over_labels_and_sessions(seed):
    random = np.random.default_rng(seed)
    first = random.integers(100, 140, 60)
    last = first + random.integers(0, 12, 60)
    symbols = random.choice([3, 11, 90], 60)
    expected = naive_uniqueness(first, last, symbols)
    found = uniqueness(first, last, symbols)
    assert found == pytest.approx(expected / expected.mean(), rel=1e-12)
    assert found.mean() == pytest.approx(1)


def test_daily_labels_of_5_sessions_are_unique_by_a_fifth_away_from_the_edges():
    first = np.arange(50)
    found = uniqueness(first, first + 4, np.zeros(50, int))
    assert found[4:-4] == pytest.approx(np.full(42, found[25]))
    assert found[25] / found[0] == pytest.approx(0.2 / np.mean([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]))


def test_a_label_that_ends_before_it_begins_is_refused():
    with pytest.raises(UsageError, match=r"1 of 2 labels end .* from session 5 to 4"):
        uniqueness(np.array([1, 5]), np.array([2, 4]), np.array([0, 0]))


def test_no_labels_have_no_weights():
    none = np.array([], dtype=np.int64)
    assert time_decay(none, 5).shape == uniqueness(none, none, none).shape == (0,)
