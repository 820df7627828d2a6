import math
from datetime import timedelta

import polars as pl
import pytest

from models.errors import DataError, UsageError
from tasks.evaluation.evaluate import evaluate
from tasks.lake.target_spec import TargetSpec
from tests.evaluation.worlds import SPEC, START, run


def test_a_forecast_without_target_is_traded_and_not_scored(few):
    predictions, panel, benchmark = few
    last = START + timedelta(days=239)
    unknown = pl.when(pl.col("date") < last).then(pl.col("target"))
    result = run(predictions.with_columns(unknown.alias("target")), panel, benchmark)
    assert result.summary["span"]["dates"] == 239
    assert result.equity.equals(run(*few).equity)
    assert any(w.startswith("5 forecasts have no target") for w in result.summary["warnings"])


def test_wrong_predictions_are_refused(few):
    predictions, panel, benchmark = few
    with pytest.raises(UsageError, match=r"lack the columns \['target'\]"):
        run(predictions.drop("target"), panel, benchmark)
    with pytest.raises(UsageError, match=r"No predictions of a model 'grue'.*Did you mean 'gru'"):
        evaluate(predictions, panel, benchmark, TargetSpec(), SPEC, "grue")
    nan = pl.when(pl.col("date") > START).then(pl.col("mean")).otherwise(math.nan).alias("mean")
    with pytest.raises(DataError, match="15 forecasts are not finite"):
        run(predictions.with_columns(nan), panel, benchmark)
    missing = pl.when(pl.col("date") > START).then(pl.col("score")).alias("score")
    with pytest.raises(DataError, match=r"15 forecasts are not finite, first .* score None"):
        run(predictions.with_columns(missing), panel, benchmark)
    with pytest.raises(DataError, match="not forecast exactly once"):
        run(pl.concat([predictions, predictions.head(1)]), panel, benchmark)
    with pytest.raises(DataError, match="not forecast exactly once"):
        run(predictions[:-1], panel, benchmark)
    with pytest.raises(DataError, match="5 forecasts have no bar"):
        run(predictions, panel.filter(pl.col("date") > START), benchmark)
    with pytest.raises(DataError, match="2 out-of-sample dates are too few"):
        run(predictions.filter(pl.col("date") < START + timedelta(days=2)), panel, benchmark)
    torn = pl.when(pl.col("symbol") == "S000").then(0).otherwise("fold").alias("fold")
    with pytest.raises(DataError, match="more than one fold"):
        run(predictions.with_columns(torn), panel, benchmark)
