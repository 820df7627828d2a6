"""The peers of the benchmark `windows`, run as a script under a Python that has them.

Each makes batches of the same windows as ours in an order of its own shuffling.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.meter import Meter
from tests.benchmarks.random_rows import arguments, rows, window_starts
from tests.benchmarks.random_walks import tell
from tests.benchmarks.windows import SIZES


def materialised(values: np.ndarray, sizes: Any) -> Iterable[Any]:
    """Copies every window beforehand, then shuffles them in a DataLoader."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(torch.from_numpy(every_window(values, sizes)))
    return DataLoader(data, batch_size=sizes.batch, shuffle=True)


def every_window(values: np.ndarray, sizes: Any) -> np.ndarray:
    """Returns all windows [N, L, F], copied."""
    panel = values.reshape(sizes.symbols, sizes.days, sizes.features)
    view = np.lib.stride_tricks.sliding_window_view(panel, sizes.lookback, axis=1)
    # The view has the window's rows last.
    used = view[:, : sizes.days - sizes.lookback].transpose(0, 1, 3, 2)
    return np.ascontiguousarray(used).reshape(-1, sizes.lookback, sizes.features)


def item(values: np.ndarray, sizes: Any) -> Iterable[Any]:
    """Cuts one window a call of the dataset."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    panel = torch.from_numpy(values)
    starts = window_starts(sizes.symbols, sizes.days, sizes.lookback)

    class Windows(Dataset):
        def __len__(self) -> int:
            return len(starts)

        def __getitem__(self, number: int) -> Any:
            start = starts[number]
            return panel[start : start + sizes.lookback], panel[start + sizes.lookback, 0]

    return DataLoader(Windows(), batch_size=sizes.batch, shuffle=True)


def qlib_sampler(values: np.ndarray, sizes: Any) -> Any:
    """Returns qlib's sampler over the panel, one window a row that has enough before it."""
    import pandas as pd
    from qlib.data.dataset import TSDataSampler

    days = pd.date_range("2000-01-03", periods=sizes.days, freq="B")
    symbols = [f"S{i:05d}" for i in range(sizes.symbols)]
    index = pd.MultiIndex.from_product([days, symbols], names=["datetime", "instrument"])
    by_day = values.reshape(sizes.symbols, sizes.days, -1).transpose(1, 0, 2)
    table = pd.DataFrame(by_day.reshape(len(index), -1), index=index)
    return TSDataSampler(table, days[sizes.lookback], days[-1], sizes.lookback, dtype=np.float32)


def qlib_batch(values: np.ndarray, sizes: Any) -> Iterable[Any]:
    """Asks qlib's sampler for a batch at a time."""
    sampler = qlib_sampler(values, sizes)

    def batches() -> Iterator[Any]:
        order = np.random.default_rng(0).permutation(len(sampler))
        for first in range(0, len(order), sizes.batch):
            yield sampler[list(order[first : first + sizes.batch])]

    return batches()


def qlib_item(values: np.ndarray, sizes: Any) -> Iterable[Any]:
    """Asks qlib's sampler for one window at a time, as its models do."""
    from torch.utils.data import DataLoader

    return DataLoader(qlib_sampler(values, sizes), batch_size=sizes.batch, shuffle=True)


def darts(values: np.ndarray, sizes: Any) -> Iterable[Any]:
    """Takes the windows from the dataset that darts trains its networks with."""
    import pandas as pd
    from darts import TimeSeries
    from darts.utils.data import SequentialTorchTrainingDataset
    from torch.utils.data import DataLoader

    panel = values.reshape(sizes.symbols, sizes.days, -1)
    times = pd.RangeIndex(sizes.days)
    data = SequentialTorchTrainingDataset(
        series=[TimeSeries(times=times, values=own[:, :1]) for own in panel],
        past_covariates=[TimeSeries(times=times, values=own) for own in panel],
        input_chunk_length=sizes.lookback,
        output_chunk_length=1,
    )

    def stack(batch: Any) -> Any:
        # A sample is a tuple: past target, past covariates, and more that is not asked for here.
        return np.stack([sample[1] for sample in batch])

    return DataLoader(data, batch_size=sizes.batch, shuffle=True, collate_fn=stack)


def keras(values: np.ndarray, sizes: Any) -> Iterable[Any]:
    """Draws from one time-series dataset a symbol, shuffled in a buffer."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(sizes.threads)
    panel = values.reshape(sizes.symbols, sizes.days, -1)
    own = [
        tf.keras.utils.timeseries_dataset_from_array(
            one, one[sizes.lookback :, 0], sizes.lookback, batch_size=None, shuffle=False
        )
        for one in panel
    ]
    mixed = tf.data.Dataset.sample_from_datasets(own)
    return mixed.shuffle(10_000).batch(sizes.batch).prefetch(2)


def measure(name: str, sizes: Any) -> dict[str, Any]:
    """Returns set-up and pass of one peer."""
    values, _ = rows(sizes.symbols, sizes.days, sizes.features)
    if name != "keras":
        import torch

        torch.set_num_threads(sizes.threads)
    meter, seen = Meter(), 0
    with meter("setup"):
        batches = PEERS[name](values, sizes)
    with meter("pass"):
        for number, batch in enumerate(batches, start=1):
            seen += len(batch[0] if isinstance(batch, (list, tuple)) else batch)
            if number == sizes.batches:
                break
    made = meter.result()
    start, peak = made["setup"]["start_mb"], made["peak_mb"]
    speed = round(seen / made["pass"]["seconds"])
    over = None if peak is None else peak - start
    return {**made, "windows": seen, "windows_a_second": speed, "over_input_mb": over}


PEERS = {
    "materialised": materialised,
    "item": item,
    "qlib_batch": qlib_batch,
    "qlib_item": qlib_item,
    "darts": darts,
    "keras": keras,
}

if __name__ == "__main__":
    asked = arguments(PEERS, SIZES)
    tell(measure(asked.kind, asked))
