from dataclasses import replace

import numpy as np
import pytest
import torch

from tasks.training.inputs import fit_inputs
from tasks.training.spec import TrainingSpec
from tests.training.test_folds import LOOKBACK, market, prepared

CPU = torch.device("cpu")
TRAINING = TrainingSpec()


def digests(panel, rows, training=TRAINING, refit=False):
    return fit_inputs(panel, rows, training, (), CPU, refit).digests(LOOKBACK)


def changed(one, other):
    return {part for part in one if one[part] != other.get(part)}


def touched(panel, row, field):
    values = getattr(panel, field).copy()
    values[row] = values[row] + 1
    return replace(panel, **{field: values})


@pytest.mark.parametrize("field", ["features", "target"])
@pytest.mark.parametrize(
    ("span", "parts"), [("fit", {"fit rows"}), ("stop", {"stop rows"}), ("test", set())]
)
def test_a_digest_tells_which_part_of_a_fit_saw_a_row(field, span, parts):
    panel, rows, _ = prepared(market())
    other = touched(panel, rows.spans[span][0], field)
    assert changed(digests(panel, rows), digests(other, rows)) == parts


def test_a_row_more_or_less_is_another_mask():
    panel, rows, _ = prepared(market())
    fewer = replace(rows, spans={**rows.spans, "fit": rows.spans["fit"][:-1]})
    assert changed(digests(panel, rows), digests(panel, fewer)) == {"fit rows"}


def test_another_scaler_is_told_even_where_its_statistics_alone_changed():
    panel, rows, _ = prepared(market())
    scaler = replace(rows.scaler, mean=tuple(np.add(rows.scaler.mean, 1e-3)))
    found = changed(digests(panel, rows), digests(panel, replace(rows, scaler=scaler)))
    assert found == {"scaler statistics", "fit rows", "stop rows"}


def test_weights_of_the_labels_count():
    panel, rows, _ = prepared(market())
    fading = TRAINING.model_copy(update={"half_life": 20.0})
    assert "fit rows" in changed(digests(panel, rows), digests(panel, rows, fading))


def test_a_refit_has_no_stop_rows():
    panel, rows, _ = prepared(market(), fold=-1)
    assert "stop rows" not in digests(panel, rows, refit=True)
    assert fit_inputs(panel, rows, TRAINING, (), CPU, refit=True).stop_ends is None
