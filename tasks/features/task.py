"""Prefect shells of the features stage."""

from pathlib import Path

from models.errors import DataError
from tasks.features.causality.proof import require_proof
from tasks.features.frame import masked_rows
from tasks.features.prove import feature_proof
from tasks.features.spec import FeatureSpec
from tasks.features.stage import exchanges_of, stage_frames
from tasks.lake.artifacts import Artifact, TableRef, write_artifact, write_frames
from tasks.lake.factors import index_prices
from tasks.lake.membership import Membership
from tasks.lake.store import read_reference
from tasks.lake.target_spec import TargetSpec
from tasks.lake.task import cached_stage, log


@cached_stage("features", run_name="features to {bars.cutoff}")
def build_features(
    root: Path,
    key: str,
    lake: str,
    bars: TableRef,
    actions: TableRef,
    benchmark: TableRef | None,
    features: FeatureSpec,
    target: TargetSpec,
    members: Membership,
    newest: int | None,
) -> Artifact:
    """Writes the adjusted bars with `dividend_factor` as `panel`, features and targets as `frame`.

    Rows outside a symbol's membership are there for the windows to look back on, with `member`
    false. With `newest`, only that many rows of each symbol are made, the last ones, without a
    target. The summary counts the rows that are masked although there is history enough, by
    feature, those that have a target, and the bars on no session of their exchange, left out.

    Raises:
        DataError: there is no bar, no target, or a feature that is masked throughout.
    """
    traded, acted = read_reference(lake, bars), read_reference(lake, actions)
    if traded.is_empty():
        raise DataError(f"The lake holds no bar up to {bars.cutoff}; ingest the universe first.")
    index = None if benchmark is None else index_prices(read_reference(lake, benchmark), acted)
    if index is not None and index.is_empty():
        raise DataError(
            f"The lake holds no bar of the benchmark up to {bars.cutoff}, and target.excess is "
            "'benchmark'; ingest it, or choose another target."
        )
    panel, frame = stage_frames(
        traded,
        acted,
        exchanges_of(members, traded, bars.cutoff),
        members,
        features,
        target,
        index,
        newest,
    )
    masked = masked_rows(frame, features.features, features.lookback)
    labelled = frame["target"].count()
    if newest is None and not labelled:
        raise DataError(
            f"None of the {frame.height} rows has a target ({target.name}): too few bars, members "
            "or benchmark bars on the same sessions; look at these, or choose another target."
        )
    strays = panel.height - frame.height if newest is None else None
    most = max(masked, key=lambda name: masked[name])
    named = f" most={masked[most]} of {most}" if masked[most] else ""
    log(
        f"features={len(masked)} masked={sum(masked.values())}{named} labelled={labelled} "
        f"off_session={strays}"
    )
    summary = {
        "rows": frame.height,
        "newest": newest,
        "masked": masked,
        "labelled": labelled,
        "off_session": strays,
    }
    fill = write_frames({"panel": panel, "frame": frame}, summary)
    parents = (bars.digest, actions.digest, *([benchmark.digest] if benchmark else []))
    return write_artifact(root, "features", key, fill, parents)


@cached_stage("proof", run_name="prove features to {bars.cutoff}")
def prove_features(
    root: Path,
    key: str,
    lake: str,
    bars: TableRef,
    actions: TableRef,
    features: FeatureSpec,
    members: Membership,
    seed: int,
) -> Artifact:
    """Writes the certificate that no feature saw the future; without one the run stops here.

    Raises:
        DataError: a feature hangs on what it must not see.
    """
    traded, acted = read_reference(lake, bars), read_reference(lake, actions)
    if traded.is_empty():
        raise DataError(f"The lake holds no bar up to {bars.cutoff}; ingest the universe first.")
    days = exchanges_of(members, traded, bars.cutoff)
    proof = feature_proof(traded, acted, days, members, features, seed)
    log(f"proof {proof.sentence}")
    require_proof(proof)
    fill = write_frames({}, proof.certificate())
    return write_artifact(root, "proof", key, fill, (bars.digest, actions.digest))
