"""A small panel with something to learn, and settings that learn it fast."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from models.checkpoint import FitState
from models.fit import FitSettings
from models.networks import build_network
from models.panel import Panel

LOOKBACK = 6
FEATURES = 4
CPU = torch.device("cpu")
SETTINGS = FitSettings(
    epochs=4,
    batch_size=32,
    learning_rate=0.01,
    weight_decay=0.01,
    clip_norm=1.0,
    patience=10,
)


def settings(**changes):
    return replace(SETTINGS, **changes)


def make_panel(rows=300, features=FEATURES, seed=0):
    random = np.random.default_rng(seed)
    values = random.standard_normal((rows, features))
    return Panel(values, 0.5 * values[:, 0] + 0.1 * random.standard_normal(rows), CPU)


def recurrent(cell="gru", layers=1, hidden=8, dropout=0.0, inputs=FEATURES):
    return partial(
        build_network, "recurrent", inputs, cell=cell, layers=layers, hidden=hidden, dropout=dropout
    )


def ends(first, last):
    return np.arange(first, last)


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


class MemoryCheckpoint:
    """Keeps every state of a fit; `after(epoch)` is what a fit cut off there leaves behind."""

    def __init__(self):
        self.states: list[FitState] = []

    def load(self):
        return self.states[-1] if self.states else None

    def save(self, state):
        self.states.append(state)

    def after(self, epoch):
        kept = MemoryCheckpoint()
        kept.states = self.states[:epoch]
        return kept
