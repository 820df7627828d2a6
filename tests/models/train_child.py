"""Fits in a process of its own: `python -m tests.models.train_child THREADS [CHECKPOINT]`.

With a checkpoint it fits one network and prints a line an epoch; without, it fits a network of
every cell, large enough for parallel kernels, and prints the SHA-256 of each one's weights.
"""

import hashlib
import sys
from pathlib import Path

import torch

from models.bundle import FileCheckpoint
from models.fit import fit
from models.networks import CELLS
from tests.models.cases import ends, make_panel, recurrent, settings


def digest(weights):
    content = b"".join(value.numpy().tobytes() for value in weights.values())
    return hashlib.sha256(content).hexdigest()


def run(cell, epochs, checkpoint=None, on_epoch=None):
    panel = make_panel(rows=2000, features=26)
    factory = recurrent(cell, layers=2, hidden=32, dropout=0.2, inputs=26)
    chosen = settings(epochs=epochs, batch_size=512, max_windows_per_epoch=600)
    spans = ends(20, 1400), ends(1450, 1990)
    return fit(factory, panel, *spans, 20, chosen, 7, checkpoint, on_epoch)


def main(threads, path=None):
    torch.set_num_threads(int(threads))
    if path is None:
        for cell in CELLS:
            print(cell, digest(run(cell, epochs=1).weights))  # noqa: T201
    else:
        run("gru", 6, FileCheckpoint(Path(path)), lambda row: print(row.epoch, flush=True))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
