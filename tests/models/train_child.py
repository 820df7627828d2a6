"""Fits in a process of its own: `python -m tests.models.train_child THREADS [CHECKPOINT]`.

Without a checkpoint it fits a network of every cell, large enough for parallel kernels, and prints
the SHA-256 of each one's weights, and its curve. With one it fits a network again and again in a
child of its own that it kills after a random time, then to the end, and prints as JSON how far each
child came and the SHA-256 of the weights, after the kills and of a straight run.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from models.bundle import FileCheckpoint
from models.fit import fit
from models.networks import CELLS
from tests.models.cases import ends, make_panel, recurrent, settings

EPOCHS = 20


def digest(weights):
    content = b"".join(weights[name].numpy().tobytes() for name in sorted(weights))
    return hashlib.sha256(content).hexdigest()


def run(cell, epochs, checkpoint=None, hidden=32):
    panel = make_panel(rows=2000, features=26)
    factory = recurrent(cell, layers=2, hidden=hidden, dropout=0.2, inputs=26)
    chosen = settings(epochs=epochs, batch_size=512, max_windows_per_epoch=600)
    spans = ends(20, 1400), ends(1450, 1990)
    return fit(factory, panel, *spans, 20, chosen, 7, checkpoint)


def killed(path, kills):
    """Fits in children that are killed at random moments; returns the epochs they had saved."""
    random, reached = np.random.default_rng(0), []
    run("gru", 1)  # compiles what the children will find compiled
    began = time.monotonic()
    run("gru", EPOCHS, FileCheckpoint(path.with_name("straight")))
    whole = time.monotonic() - began
    for _ in range(kills):
        child = os.fork()
        if not child:
            run("gru", EPOCHS, FileCheckpoint(path))
            os._exit(0)
        time.sleep(random.uniform(0.02, 2 * whole / kills))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        state = FileCheckpoint(path).load()
        reached.append(0 if state is None else state.record["progress"]["epoch"])
    return reached


def main(threads, path=None):
    torch.set_num_threads(int(threads))
    if path is None:
        for cell in CELLS:
            # Norms of more than 32,768 weights are sums that torch would split among its threads.
            result = run(cell, epochs=1, hidden=192)
            print(cell, digest(result.weights), result.curve)  # noqa: T201
        return
    answer = {"reached": killed(Path(path), 10)}
    answer["resumed"] = digest(run("gru", EPOCHS, FileCheckpoint(Path(path))).weights)
    answer["straight"] = digest(run("gru", EPOCHS).weights)
    print(json.dumps(answer))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
