"""The peers of the benchmark `training`, run as a script under a Python that has them.

Each trains the same network on the same windows the way its own documentation does.
"""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.random_rows import arguments, rows, window_starts
from tests.benchmarks.random_walks import tell
from tests.benchmarks.training import CELLS, SIZES
from tests.benchmarks.training_clock import Clock
from tests.benchmarks.window_peers import every_window


def build(sizes: Any) -> Any:
    """Returns the network that all torch peers train."""
    from torch import nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            kind = nn.LSTM if sizes.cell == "lstm" else nn.GRU
            self.rnn = kind(sizes.features, sizes.hidden, 2, batch_first=True)
            self.head = nn.Linear(sizes.hidden, 1)

        def forward(self, windows: Any) -> Any:
            return self.head(self.rnn(windows)[0][:, -1]).squeeze(-1)

    return Network()


def run_torch(sizes: Any, loader: Iterable[Any]) -> dict[str, Any]:
    """Times a plain loop over a DataLoader."""
    import torch
    from torch.nn import functional

    network = build(sizes)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    clock = Clock(sizes)
    clock.tick()
    for windows, labels in loader:
        loss = functional.mse_loss(network(windows), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # a loop that reports its loss reads it
        clock.tick()
        if clock.done:
            break
    return clock.tell(sizes)


def copied(sizes: Any) -> Any:
    """Returns a DataLoader over windows that were copied beforehand."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    values, labels = rows(sizes.symbols, sizes.days, sizes.features)
    starts = window_starts(sizes.symbols, sizes.days, sizes.lookback)
    data = TensorDataset(
        torch.from_numpy(every_window(values, sizes)),
        torch.from_numpy(labels[starts + sizes.lookback - 1]),
    )
    return DataLoader(data, batch_size=sizes.batch, shuffle=True, drop_last=True)


def cut(sizes: Any) -> Any:
    """Returns a DataLoader over a dataset that cuts one window a call."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    values, labels = map(torch.from_numpy, rows(sizes.symbols, sizes.days, sizes.features))
    starts = window_starts(sizes.symbols, sizes.days, sizes.lookback)

    class Windows(Dataset):
        def __len__(self) -> int:
            return len(starts)

        def __getitem__(self, number: int) -> Any:
            start = int(starts[number])
            end = start + sizes.lookback
            return values[start:end], labels[end - 1]

    return DataLoader(Windows(), batch_size=sizes.batch, shuffle=True, drop_last=True)


def run_lightning(sizes: Any) -> dict[str, Any]:
    """Times Lightning's trainer."""
    import lightning
    import torch
    from torch.nn import functional

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = build(sizes)

        def training_step(self, batch: Any, number: int) -> Any:
            loss = functional.mse_loss(self.network(batch[0]), batch[1])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), 1e-3)

    clock = Clock(sizes)
    options = trainer_options(sizes, ticking(lightning.Callback, clock))
    trainer = lightning.Trainer(max_epochs=1, enable_checkpointing=False, **options)
    trainer.fit(Module(), cut(sizes))
    return clock.tell(sizes)


def ticking(base: type, clock: Clock) -> Any:
    """Returns a callback of the trainer that drives the clock."""

    class Ticking(base):
        def on_train_batch_start(self, *given: Any, **named: Any) -> None:
            if clock.batch < 0:
                clock.tick()

        def on_train_batch_end(self, *given: Any, **named: Any) -> None:
            clock.tick()

        def __deepcopy__(self, memo: Any) -> Any:
            return self

    return Ticking()


def trainer_options(sizes: Any, callback: Any) -> dict[str, Any]:
    """Returns what Lightning's trainer is told, by itself and under darts."""
    quiet = ("logger", "enable_progress_bar", "enable_model_summary")
    return {
        "limit_train_batches": sizes.warm_up + sizes.batches,
        "accelerator": "cpu",
        "callbacks": [callback],
        **dict.fromkeys(quiet, False),
    }


def run_darts(sizes: Any) -> dict[str, Any]:
    """Times darts' recurrent block model; one of the features is what it forecasts."""
    import pandas as pd
    import pytorch_lightning
    from darts import TimeSeries
    from darts.models import BlockRNNModel

    values, _ = rows(sizes.symbols, sizes.days, sizes.features)
    panel, times = values.reshape(sizes.symbols, sizes.days, -1), pd.RangeIndex(sizes.days)
    clock = Clock(sizes)
    model = BlockRNNModel(
        input_chunk_length=sizes.lookback,
        output_chunk_length=1,
        model=sizes.cell.upper(),
        hidden_dim=sizes.hidden,
        n_rnn_layers=2,
        batch_size=sizes.batch,
        n_epochs=1,
        pl_trainer_kwargs=trainer_options(sizes, ticking(pytorch_lightning.Callback, clock)),
    )
    model.fit(
        [TimeSeries(times=times, values=own[:, :1]) for own in panel],
        past_covariates=[TimeSeries(times=times, values=own[:, 1:]) for own in panel],
    )
    return clock.tell(sizes)


def run_qlib(sizes: Any) -> dict[str, Any]:
    """Times an epoch of qlib's network over its sampler, as its `fit` runs one."""
    import importlib

    import pandas as pd
    from qlib.data.dataset import TSDataSampler
    from qlib.model.utils import ConcatDataset
    from torch.utils.data import DataLoader

    values, labels = rows(sizes.symbols, sizes.days, sizes.features)
    days = pd.date_range("2000-01-03", periods=sizes.days, freq="B")
    symbols = [f"S{i:05d}" for i in range(sizes.symbols)]
    index = pd.MultiIndex.from_product([days, symbols], names=["datetime", "instrument"])
    both = np.concatenate([values, labels[:, None]], axis=1)
    by_day = both.reshape(sizes.symbols, sizes.days, -1).transpose(1, 0, 2).reshape(len(index), -1)
    table = pd.DataFrame(by_day, index=index)
    sampler = TSDataSampler(table, days[sizes.lookback], days[-1], sizes.lookback, dtype=np.float32)
    sampler.config(fillna_type="ffill+bfill")
    module = importlib.import_module(f"qlib.contrib.model.pytorch_{sizes.cell}_ts")
    model = getattr(module, sizes.cell.upper())(
        d_feat=sizes.features,
        hidden_size=sizes.hidden,
        num_layers=2,
        batch_size=sizes.batch,
        n_jobs=0,
        GPU=-1,
    )
    weighted = ConcatDataset(sampler, np.ones(len(sampler)))
    loader = DataLoader(weighted, batch_size=sizes.batch, shuffle=True, drop_last=True)
    clock = Clock(sizes)

    class Limited:
        def __iter__(self) -> Any:
            for batch in loader:
                clock.tick()
                if clock.done:
                    return
                yield batch

    model.train_epoch(Limited())
    return clock.tell(sizes)


def run_keras(sizes: Any) -> dict[str, Any]:
    """Times keras on TensorFlow, over windows that were copied beforehand."""
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(sizes.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    values, labels = rows(sizes.symbols, sizes.days, sizes.features)
    starts = window_starts(sizes.symbols, sizes.days, sizes.lookback)
    windows, labels = every_window(values, sizes), labels[starts + sizes.lookback - 1]
    layer = keras.layers.LSTM if sizes.cell == "lstm" else keras.layers.GRU
    network = keras.Sequential(
        [
            keras.Input((sizes.lookback, sizes.features)),
            layer(sizes.hidden, return_sequences=True),
            layer(sizes.hidden),
            keras.layers.Dense(1),
        ]
    )
    network.compile("adam", "mse")

    def epoch(batches: int) -> None:
        used = sizes.batch * batches
        network.fit(windows[:used], labels[:used], batch_size=sizes.batch, epochs=1, verbose=0)

    epoch(sizes.warm_up)
    clock = Clock(sizes, warm_up=0)
    clock.tick()
    epoch(sizes.batches)
    clock.tick(sizes.batches)
    return clock.tell(sizes)


PEERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "torch": lambda sizes: run_torch(sizes, copied(sizes)),
    "torch_item": lambda sizes: run_torch(sizes, cut(sizes)),
    "lightning": run_lightning,
    "qlib": run_qlib,
    "darts": run_darts,
    "keras": run_keras,
}


def main() -> None:
    """Runs one peer and prints what it measured."""
    chosen = arguments(PEERS, SIZES, {"cell": CELLS})
    warnings.filterwarnings("ignore")
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning", "darts", "qlib"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if chosen.kind != "keras":
        import torch

        torch.set_num_threads(chosen.threads)
        torch.manual_seed(0)
    tell(PEERS[chosen.kind](chosen))


if __name__ == "__main__":
    main()
