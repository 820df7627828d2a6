"""Prefect shell of the causality certificate."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from safetensors.torch import load_file

from flows.certificate.certify import certify
from flows.certificate.trained import Trained, World
from models.bundle import Bundle
from models.device import make_deterministic, resolve_device
from tasks.evaluation.spec import EvaluationSpec
from tasks.features.frame import Exchange
from tasks.features.spec import FeatureSpec
from tasks.features.stage import exchanges_of
from tasks.lake.artifacts import Artifact, TableRef, write_artifact, write_frames
from tasks.lake.membership import Membership, known_membership
from tasks.lake.store import Lake, read_reference
from tasks.lake.target_spec import TargetSpec
from tasks.lake.task import cached_stage, log
from tasks.training.network_spec import NetworkSpec
from tasks.training.orders import torch_threads
from tasks.training.spec import TrainingSpec
from tasks.windows.spec import SplitSpec, WindowSpec


@cached_stage("certificate", run_name="certify {universe} to {bars.cutoff}")
def certify_run(
    root: Path,
    key: str,
    lake: str,
    universe: str,
    members: Membership,
    bars: TableRef,
    actions: TableRef,
    benchmark: TableRef | None,
    features: FeatureSpec,
    target: TargetSpec,
    window: WindowSpec,
    splits: SplitSpec,
    network: NetworkSpec,
    training: TrainingSpec,
    baselines: tuple[str, ...],
    evaluation: EvaluationSpec,
    frame: Artifact,
    windows: Artifact,
    folds: list[Artifact],
    refits: list[Artifact],
    evaluated: Artifact,
    trial: str,
    device: str,
    threads: int,
) -> Artifact:
    """Writes the causality certificate of a run, clean or not; the flow decides what follows."""
    read = World(
        read_reference(lake, bars),
        read_reference(lake, actions),
        None if benchmark is None else read_reference(lake, benchmark),
    )
    exchanges = exchanges_of(members, read.bars, bars.cutoff)
    plan, made = windows.read_json(root), frame.frame(root)
    spells = known_membership(Lake(lake), universe, bars.known_by).frame()
    trials = Lake(lake).every_row("trials")
    rows = trials.filter(trial=trial)
    refit, calibrated = refits[0].read_json(root), evaluated.read_json(root)
    manifest = {
        "features": features.features,
        "earlier_bars": features.lookback,
        "lookback": window.lookback,
        "target": target.model_dump(mode="json"),
        "network": network.model_dump(mode="json"),
        "known": refit["known"],
        "levels": refit["levels"],
        "scaler": plan["refit"]["scaler"],
        "novelty": plan["refit"].get("novelty"),
        "calibration": {
            "offsets": calibrated["offsets"],
            "further": calibrated["further_offsets"],
        },
    }
    weights = [load_file(refit.path(root, "weights.safetensors")) for refit in refits]
    run = Trained(
        world=read,
        exchanges=exchanges,
        members=members,
        features=features,
        target=target,
        lookback=window.lookback,
        splits=splits,
        network=network,
        training=training,
        baselines=baselines,
        evaluation=evaluation,
        cutoff=bars.cutoff,
        frame=made,
        rows=windows.frame(root),
        plan=plan,
        bundle=Bundle(manifest, weights, card="", sha256=""),
        spells=spells,
        unread=_unread(Lake(lake), bars, spells, made, exchanges),
        counted=rows.select("status", "commit", "committed_at"),
        fitted=_fitted(root, folds),
        first_counted=_first_counted(trials, rows),
        began=_began(Lake(lake), rows),
        device=resolve_device(device),
        seed=evaluation.seed,
    )
    make_deterministic()
    with torch_threads(threads):
        certificate = certify(run)
    log(f"certificate {certificate.sentence}")
    parents = (frame.sha256, windows.sha256, *(a.sha256 for a in (*folds, *refits, evaluated)))
    return write_artifact(root, "certificate", key, write_frames({}, certificate.record()), parents)


def _unread(
    lake: Lake,
    bars: TableRef,
    spells: pl.DataFrame,
    frame: pl.DataFrame,
    exchanges: Mapping[str, Exchange],
) -> pl.DataFrame:
    """Returns symbol and date of usable bars in the lake of members that no row is made of."""
    used = set(frame["symbol"].unique())
    listed = dict(spells.select("symbol", "exchange").iter_rows())
    pieces = [frame.clear().select("symbol", "date")]
    for symbol in sorted(set(listed) - used):
        held = lake.read("bars", cutoff=bars.cutoff, known_by=bars.known_by, symbols=[symbol])
        place = exchanges.get(listed[symbol])
        sessions = list(place.sessions) if place else held["date"].to_list()
        usable = held.filter(~pl.col("held"), pl.col("date").is_in(sessions))
        pieces.append(usable.select("symbol", "date"))
    return pl.concat(pieces)


def _first_counted(trials: pl.DataFrame, own: pl.DataFrame) -> datetime | None:
    """Returns when the first trial was counted whose fits can be those of `own`."""
    akin = trials.join(own, on=["spec", "universe", "target"], how="semi")
    first: datetime | None = akin.filter(status="started")["committed_at"].min()  # type: ignore[assignment]
    return first


def _began(lake: Lake, rows: pl.DataFrame) -> datetime | None:
    """Returns when the run that counted a trial had ingested its first bars."""
    runs = rows.filter(status="started").sort("commit")["run"].head(1)
    asked = lake.every_row("fetch_log").filter(pl.col("run").is_in(runs.implode()))
    first: datetime | None = asked["committed_at"].min()  # type: ignore[assignment]
    return first


def _fitted(root: Path, folds: list[Artifact]) -> dict[str, datetime]:
    """Returns when each fit was finished: its weights are written once and never again."""
    found: dict[str, datetime] = {}
    for fold in folds:
        facts: dict[str, Any] = fold.read_json(root)
        written = fold.path(root, "weights.safetensors").stat().st_mtime
        name = f"the fit of fold {facts['fold']} with seed {facts['seed']}"
        found[name] = datetime.fromtimestamp(written, UTC)
    return found
