"""The causality certificate of a training run: every check in its order."""

from collections.abc import Iterator, Sequence
from itertools import chain

import polars as pl

from flows.certificate.inference import Sample, samples
from flows.certificate.trained import Trained
from flows.certificate.training import Fold, other_folds, refit_leaks
from tasks.evaluation.certificate.inference import inference_checks
from tasks.evaluation.certificate.rules import (
    counting_leaks,
    oldest_bars,
    overlap_leaks,
    purge_leaks,
    stranger_leaks,
    survivor_leaks,
)
from tasks.evaluation.certificate.verdict import Certificate, Check, first_leak
from tasks.features.frame import bars_behind, looks_across
from tasks.features.names import parse


def certify(run: Trained) -> Certificate:
    """Returns the certificate of a run.

    1. `features`, `forecasts`, `orders`: fixed weights, another future after sampled cutoffs.
    2. `fit inputs`, `refit`: everything after a fold's calibrate span is replaced.
    3. `purging`, `membership`, `survivors`, `trial count`, `fill times`: rules of their own.
    """
    seen = samples(run)
    trials = chain.from_iterable(sample.trials() for sample in seen)
    checks = (*inference_checks(trials), *training_checks(run), *rules(run, seen))
    cutoffs = sorted(cutoff for sample in seen for cutoff in sample.cutoffs)
    return Certificate(seed=run.seed, cutoffs=tuple(cutoffs), checks=checks)


def training_checks(run: Trained) -> list[Check]:
    """Returns the checks of what enters the fits, and of one fit."""
    shortest = min(run.walked, key=lambda entry: entry["windows"]["fit"])["fold"]
    kept: list[Fold] = []

    def tried() -> Iterator[str | None]:
        for fold, found in other_folds(run):
            # Only one panel is kept: that of the fold that is fitted again.
            if fold is not None and fold[0] == shortest:
                kept.append(fold)
            yield from found

    inputs = first_leak("fit inputs", tried())
    return [inputs, first_leak("refit", (leak for f in kept for leak in refit_leaks(run, f)))]


def rules(run: Trained, seen: Sequence[Sample]) -> list[Check]:
    """Returns the checks of what no other future reveals."""
    rows = _used_rows(run)
    tested = {e["fold"]: e["tested"] for e in run.plan["folds"] if "tested" in e}
    lost = run.frame.filter(~pl.col("member")).select("symbol", "date")
    return [
        first_leak("purging", chain(purge_leaks(rows, _starts(run)), overlap_leaks(rows, tested))),
        first_leak("membership", stranger_leaks(rows, run.spells)),
        first_leak("survivors", survivor_leaks(pl.concat([run.unread, lost]), run.spells)),
        first_leak(
            "trial count",
            counting_leaks(run.counted, run.fitted, run.began, run.first_counted),
        ),
        first_leak("fill times", chain.from_iterable(sample.fills() for sample in seen)),
    ]


def _used_rows(run: Trained) -> pl.DataFrame:
    """Returns fold, span, symbol, date, label_end, oldest of every row that is used."""
    features = [parse(name) for name in run.features.features]
    behind = bars_behind(features, ("volatility", *run.baselines))
    named = run.frame.select(
        "symbol",
        "date",
        "label_end",
        oldest_bars(run.frame, run.lookback, behind, looks_across(features)),
    ).with_row_index("row")
    return run.rows.join(named.cast({"row": pl.Int64}), on="row", how="left")


def _starts(run: Trained) -> list[dict[str, str]]:
    return [{k: span["start"] for k, span in e["spans"].items()} for e in run.walked]
