"""The machine judged as a whole, on markets whose truth is known: no edge where there is none,
and the whole of a signal where there is one.

The seeds are 0 … N − 1, as were fixed before the first run. A share of worlds may miss its nominal
level by two binomial standard errors.
"""

import math

import numpy as np
import polars as pl
import pytest

from tasks.training.folds import OUT_OF_FIT, forecast_frame
from tests.training.worlds_market import (
    JUDGED,
    block_shuffled,
    edges_in_random_walks,
    judged,
    network,
    planted,
    random_walks,
    ridge,
)

MEMORY = 0.2
MODELS = {"ridge": ridge, "gru": network("gru"), "lstm": network("lstm")}


def most_of(worlds, share):
    """Worlds of `worlds` that may be found with a true share of `share`."""
    return math.floor(worlds * share + 2 * math.sqrt(worlds * share * (1 - share)))


def test_the_bounds_are_those_that_were_agreed():
    assert (most_of(400, 0.05), most_of(50, 0.05)) == (28, 5)


@pytest.mark.parametrize(
    ("model", "worlds"),
    [
        ("ridge", 40),
        ("gru", 3),
        pytest.param("ridge", 400, marks=pytest.mark.slow),
        pytest.param("gru", 50, marks=pytest.mark.slow),
    ],
)
def test_random_walks_rarely_give_an_edge(model, worlds):
    assert edges_in_random_walks(range(worlds), MODELS[model]) <= most_of(worlds, 0.05)


def knows_all(world, rows):
    """Forecasts what the world was made by."""
    last = world.panel.features[:, world.panel.names.index("log_return(1)")]
    return pl.concat(
        forecast_frame(span, ends, "mean", MEMORY * last[ends], 1.0)
        for span, ends in rows.spans.items()
        if span in OUT_OF_FIT
    )


@pytest.mark.parametrize("worlds", [1, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("model", ["knows_all", *MODELS])
def test_a_planted_signal_is_recovered_within_its_interval(model, worlds):
    chosen = MODELS.get(model, knows_all)
    found = [judged(planted(seed, MEMORY), chosen, seed) for seed in range(worlds)]
    assert {one.label for one in found} == {"edge"}
    missed = sum(not one.ic.low <= MEMORY <= one.ic.high for one in found)
    assert missed <= most_of(worlds, 1 - JUDGED.confidence), [one.ic for one in found]


@pytest.mark.parametrize(
    ("model", "worlds"),
    [
        ("ridge", 1),
        ("gru", 1),
        *(pytest.param(name, 20, marks=pytest.mark.slow) for name in MODELS),
    ],
)
def test_block_shuffled_labels_leave_nothing_to_find(model, worlds):
    found = [
        judged(block_shuffled(planted(seed, MEMORY), seed), MODELS[model], seed)
        for seed in range(worlds)
    ]
    mean = np.mean([one.ic.value for one in found])
    error = math.sqrt(sum(one.ic_error**2 for one in found)) / worlds
    assert abs(mean) <= 3 * error


def test_shuffling_moves_every_block_and_keeps_all_labels_of_it():
    world = planted(0, MEMORY)
    moved = block_shuffled(world, 0)
    days, place = np.unique(world.panel.dates, return_inverse=True)
    labels = []
    for panel in (world.panel, moved.panel):
        matrix = np.full((len(days), len(panel.symbols)), np.nan)
        matrix[place, panel.symbol] = panel.target
        labels.append(np.sort(matrix[:-2], axis=1))  # the last two have no label yet
    origin = [int(np.flatnonzero((labels[0] == row).all(axis=1))[0]) for row in labels[1]]
    assert sorted(origin) == list(range(len(days) - 2))
    assert not any(day == came for day, came in enumerate(origin))
    together = np.mean(np.diff(origin) == 1)
    assert 0.88 <= together <= 0.92, "blocks of ten sessions stay whole"


def test_a_random_walk_has_no_drift_and_remembers_nothing():
    # What would be an edge in truth must not count as a false one. Each world counts alike: pooled,
    # the few of a high volatility would decide.
    worlds = 20
    drift, memory = np.empty(worlds), np.empty(worlds)
    for seed in range(worlds):
        panel = random_walks(seed).panel
        last = panel.features[:, panel.names.index("log_return(1)")]
        seen = np.isfinite(panel.target) & np.isfinite(last)
        target = panel.target[seen]
        drift[seed] = target.mean() / target.std()
        memory[seed] = np.corrcoef(target, last[seen])[0, 1]
    for found in (drift, memory):
        assert abs(found.mean()) <= 3 * found.std(ddof=1) / math.sqrt(worlds)
