from itertools import pairwise

import numpy as np
import pytest
import torch

from models.errors import ModelError, UsageError
from models.sampling import Chunks, batches, chunk_batches, date_blocks


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def market(seed=0, symbols=5, sessions=60, lookback=4, kept=0.8):
    """A panel of symbols one after the other, each with gaps; ends have complete windows."""
    random = np.random.default_rng(seed)
    dates, codes, ends, row = [], [], [], 0
    for symbol in random.permutation(symbols) + 1:
        own = np.flatnonzero(random.random(sessions) < kept)
        dates.append(own)
        codes.append(np.full(len(own), symbol))
        labelled = np.arange(row + lookback - 1, row + len(own))
        ends.append(labelled[random.random(len(labelled)) < 0.85])
        row += len(own)
    return np.concatenate(dates), np.concatenate(codes), np.concatenate(ends)


def sizes(found):
    return [len(batch) for batch in found]


class TestWindows:
    """One by one, in random order."""

    def test_the_order_is_the_permutation_of_the_generator_cut_to_most(self):
        ends = np.arange(100, 200)
        found = batches(ends, 32, "window", 70, seeded(4))
        expected = torch.tensor(ends)[torch.randperm(100, generator=seeded(4))[:70]]
        assert sizes(found) == [32, 32, 6]
        assert torch.equal(torch.cat(found), expected)

    def test_all_are_seen_without_a_cap(self):
        ends = np.arange(100, 200)
        assert sorted(torch.cat(batches(ends, 7, "window", None, seeded())).tolist()) == [*ends]


@pytest.mark.parametrize("sampling", ["date", "symbol"])
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("batch_size", [1, 3, 10, 40, 1000])
class TestGroups:
    """Windows of one date or one symbol together."""

    def draw(self, sampling, kind, batch_size, seed=0, most=None):
        dates, symbols, ends = market()
        found = batches(ends, batch_size, sampling, most, seeded(seed), kind(dates), kind(symbols))
        return ends, (dates if sampling == "date" else symbols), [b.numpy() for b in found]

    def test_each_window_is_seen_once(self, sampling, kind, batch_size):
        ends, _, found = self.draw(sampling, kind, batch_size)
        assert sorted(np.concatenate(found)) == [*ends]
        assert all(sizes(found))

    def test_the_seed_decides(self, sampling, kind, batch_size):
        one, same, other = (
            [b.tolist() for b in self.draw(sampling, kind, batch_size, seed)[2]]
            for seed in (1, 1, 2)
        )
        assert one == same
        assert one != other

    def test_a_cap_takes_whole_groups(self, sampling, kind, batch_size):
        ends, group, found = self.draw(sampling, kind, batch_size, most=60)
        seen = np.concatenate(found)
        assert len(seen) <= 60
        assert len(np.unique(seen)) == len(seen)
        if sampling == "date" or batch_size == 1000:
            for code in np.unique(group[seen]):
                assert np.isin(ends[group[ends] == code], seen).all()

    def test_a_cap_below_any_group_takes_one(self, sampling, kind, batch_size):
        _, group, found = self.draw(sampling, kind, batch_size, most=1)
        assert len(found) == 1
        assert len(set(group[found[0]])) == 1


def test_a_date_is_never_split_and_batches_come_as_near_as_whole_dates_do():
    for seed in range(20):
        dates, symbols, ends = market(seed, symbols=9)
        on_date = np.bincount(dates[ends], minlength=60)
        for batch_size in (1, 5, 20, 33):
            found = batches(ends, batch_size, "date", None, seeded(seed), dates, symbols)
            days = [[int(d) for d in dict.fromkeys(dates[b.numpy()])] for b in found]
            assert sorted(day for own in days for day in own) == sorted(set(dates[ends]))
            assert [sum(on_date[one]) for one in days] == sizes(found)
            for own, following in pairwise(days):
                count, more = sum(on_date[own]), on_date[following[0]]
                assert abs(count - batch_size) < abs(count + more - batch_size)
                if len(own) > 1:
                    without = count - on_date[own[-1]]
                    assert abs(count - batch_size) <= abs(without - batch_size)


def test_a_symbol_fills_batches_of_its_own_at_random_and_only_its_rests_meet_others():
    symbols = np.repeat([4, 1, 2], [25, 12, 3])
    ends = np.arange(40)
    found = [b.numpy() for b in batches(ends, 10, "symbol", None, seeded(), None, symbols)]
    whole = [b for b in found if len(b) == 10 and len(set(symbols[b])) == 1]
    assert sorted(symbols[b[0]] for b in whole) == [1, 4, 4]
    assert max(sizes(found)) <= 15
    assert any((np.diff(b) < 0).any() for b in whole)


def test_an_unknown_sampling_is_refused_with_the_near_name():
    with pytest.raises(UsageError, match=r"'dates' is unknown\. Did you mean 'date'\?"):
        batches(np.arange(3), 2, "dates", None, seeded())


@pytest.mark.parametrize("sampling", ["date", "symbol"])
def test_a_sampling_needs_what_it_groups_by(sampling):
    with pytest.raises(ModelError, match=f"needs the {sampling} of every row"):
        batches(np.arange(3), 2, sampling, None, seeded())


def naive_runs(ends, symbols):
    """Returns the runs of consecutive rows of one symbol, grown row by row."""
    runs = []
    for end in ends.tolist():
        if runs and end == runs[-1][-1] + 1 and symbols[end] == symbols[end - 1]:
            runs[-1].append(end)
        else:
            runs.append([end])
    return runs


def pieces(found):
    """Returns rows and counted rows of every chunk of an epoch."""
    told = []
    for batch in found:
        rows, counted = batch.rows(), batch.counted()
        for one, mask in zip(rows, counted, strict=True):
            told.append((one.tolist(), one[batch.lookback - 1 :][mask].tolist()))
    return told


CASES = [
    (seed, lookback, size, kept)
    for seed in range(8)
    for lookback in (1, 2, 4)
    for size in (1, 2, 5, 30, 200)
    for kept in (0.8, 1.0)
]


@pytest.mark.parametrize(("seed", "lookback", "size", "kept"), CASES)
def test_chunks_show_each_label_once_and_stay_inside_their_run(seed, lookback, size, kept):
    _, symbols, ends = market(seed, lookback=lookback, kept=kept)
    runs = naive_runs(ends, symbols)
    run_of = {end: run for run in runs for end in run}
    found = chunk_batches(ends, lookback, size, 3, None, seeded(seed), symbols)
    seen = []
    for rows, counted in pieces(found):
        run = run_of[counted[0]]
        assert len(rows) == lookback + size - 1
        assert counted == list(range(counted[0], counted[0] + len(counted)))
        assert set(counted) <= set(run)
        # Naive rows: from the burn-in of the first label on, the run's last row repeated.
        start = counted[0] - lookback + 1
        assert rows == [min(start + step, run[-1]) for step in range(len(rows))]
        assert rows[0] >= run[0] - lookback + 1
        assert len(set(symbols[rows])) == 1
        seen += counted
    assert sorted(seen) == ends.tolist()
    for batch in found:
        assert batch.labels == int(batch.counted().sum())
    assert all(len(batch.starts) == 3 for batch in found[:-1])


def test_all_chunks_of_a_run_but_its_first_and_last_are_full():
    ends = np.arange(9, 509)
    for seed in range(30):
        found = pieces(chunk_batches(ends, 10, 60, 4, None, seeded(seed)))
        counts = [len(counted) for _, counted in sorted(found)]
        assert counts[1:-1] == [60] * (len(counts) - 2)
        assert sum(counts) == 500


def test_each_phase_is_drawn_and_the_seed_decides_about_it_and_the_order():
    ends = np.arange(9, 509)

    def epoch(seed):
        return pieces(chunk_batches(ends, 10, 6, 4, None, seeded(seed)))

    assert epoch(1) == epoch(1)
    assert epoch(1) != epoch(2)
    assert {len(min(epoch(seed))[1]) for seed in range(60)} == {1, 2, 3, 4, 5, 6}
    firsts = [rows[0] for rows, _ in epoch(1)]
    assert firsts != sorted(firsts)


def test_runs_have_phases_of_their_own():
    symbols = np.repeat(np.arange(1, 21), 50)
    ends = np.concatenate([np.arange(s * 50 + 3, s * 50 + 50) for s in range(20)])
    found = sorted(pieces(chunk_batches(ends, 4, 9, 5, None, seeded(), symbols)))
    phases = {len(counted) for rows, counted in found if rows[0] % 50 == 0}
    assert len(phases) > 4


@pytest.mark.parametrize("most", [1, 5, 17, 100, 10_000])
def test_a_cap_takes_as_many_whole_chunks_of_the_order_as_fit(most):
    _, symbols, ends = market()
    every = pieces(chunk_batches(ends, 4, 6, 5, None, seeded(3), symbols))
    found = pieces(chunk_batches(ends, 4, 6, 5, most, seeded(3), symbols))
    assert found == every[: len(found)]
    total = sum(len(counted) for _, counted in found)
    assert total <= most or len(found) == 1
    if len(found) < len(every):
        assert total + len(every[len(found)][1]) > most
    else:
        assert most >= len(ends)


def test_no_ends_give_no_chunks_and_no_blocks():
    none = np.array([], dtype=np.int64)
    assert chunk_batches(none, 4, 6, 5, None, seeded()) == []
    assert date_blocks(none, none, 4, none, 10) == []


def test_symbols_side_by_side_are_two_runs_even_with_a_lookback_of_1():
    symbols = np.array([1, 1, 2, 2])
    found = pieces(chunk_batches(np.arange(4), 1, 9, 9, None, seeded(), symbols))
    assert {symbols[row] for rows, _ in found for row in rows} == {1, 2}
    assert all(len(set(symbols[rows])) == 1 for rows, _ in found)


def test_a_chunk_is_written_out_where_its_numbers_lie():
    starts, counts, last = torch.tensor([2, 20]), torch.tensor([3, 1]), torch.tensor([9, 22])
    chunks = Chunks(starts, counts, last, 3, 3, 4)
    assert chunks.rows().tolist() == [[2, 3, 4, 5, 6], [20, 21, 22, 22, 22]]
    assert chunks.counted().tolist() == [[True, True, True], [True, False, False]]
    assert chunks.rows().dtype == torch.int64


def naive_rows(ends, lookback):
    return sorted({row for end in ends for row in range(end - lookback + 1, end + 1)})


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("lookback", [1, 2, 4, 11])
@pytest.mark.parametrize("most_rows", [60, 75, 130, 10_000])
def test_blocks_of_dates_are_as_long_as_a_loop_over_dates_makes_them(seed, lookback, most_rows):
    dates, symbols, ends = market(seed, lookback=lookback)
    expected, begin = [], 0
    days = sorted(set(dates[ends]))
    while begin < len(days):
        end = begin + 1
        while end < len(days):
            tried = ends[np.isin(dates[ends], days[begin : end + 1])]
            if len(naive_rows(tried, lookback)) > most_rows:
                break
            end += 1
        expected.append(ends[np.isin(dates[ends], days[begin:end])])
        begin = end
    found = date_blocks(ends, dates, lookback, symbols, most_rows)
    assert len(found) == len(expected)
    for (rows, local), own in zip(found, expected, strict=True):
        assert len(rows) <= most_rows
        assert rows.tolist() == naive_rows(own, lookback)
        assert rows[local].tolist() == own.tolist()
        for end in local:  # a window of the part is that of the panel
            window = rows[end - lookback + 1 : end + 1]
            assert window.tolist() == list(range(rows[end] - lookback + 1, rows[end] + 1))
    if most_rows == 10_000:
        assert len(found) == 1


def test_a_date_that_does_not_fit_is_refused():
    dates, symbols, ends = market()
    with pytest.raises(ModelError, match=r"see \d+ rows, but 10 fit .* shorten lookback=4"):
        date_blocks(ends, dates, 4, symbols, 10)


def test_blocks_do_not_hang_on_the_order_of_the_ends():
    dates, symbols, ends = market(3)
    mixed = np.random.default_rng(0).permutation(ends)
    expected = date_blocks(ends, dates, 4, symbols, 75)
    found = date_blocks(mixed, dates, 4, symbols, 75)
    assert len(expected) > 1
    assert [[*map(list, block)] for block in found] == [[*map(list, block)] for block in expected]
