"""The manifest of a bundle: everything that rebuilding or using the model needs."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.lake.artifacts import Artifact, TableRef
from tasks.lake.decision import leaks, untried
from tasks.lake.target_spec import TargetSpec

# Whether it became champion was decided after it was written: the registry says so.
CANDIDATE = "candidate"
NOT_PROVED = "not proved when this model was trained."
NOT_CERTIFIED = "no certificate was made when this model was trained."


def build_manifest(
    model: str,
    recipe: dict[str, Any],
    symbols: Sequence[str],
    refit: dict[str, Any],
    epochs: int,
    known: Sequence[str],
    levels: Mapping[str, Sequence[str]],
    evaluation: Artifact,
    summary: dict[str, Any],
    tables: Sequence[TableRef],
    survivorship: str,
    fingerprint: dict[str, Any],
    causality: Mapping[str, Any],
    certificate: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the manifest as JSON-ready values.

    Args:
        model: The model's id.
        recipe: The run's configuration.
        symbols: The universe it was trained on.
        refit: The refit's entry of the windows artifact: its span, window counts, scaler, and
            the statistics of its features that tell what looks unlike them.
        epochs: Epochs of the refit.
        known: Symbols that the refit learned from, in the order of their codes 1, 2, …
        levels: Words of each covariate that it learned from, in the order of their places.
        evaluation: The evaluation of the procedure that made it, and `summary`, its summary.
        tables: What was read of the lake.
        survivorship: Who is missing from the universe, in plain words.
        fingerprint: What the last bits of the weights depend on.
        causality: The certificate of the proof that no feature saw the future.
        certificate: The causality certificate of features, forecasts, orders and fits.
    """
    span = refit["spans"]["fit"]
    over = " over volatility" if TargetSpec(**recipe["target"]).unit == "log_return" else ""
    calibrated = f"pooled residuals of the folds' test spans{over}"
    return {
        "id": model,
        "created_at": tables[0].known_by.isoformat(),
        "name": recipe["name"],
        "state": CANDIDATE,
        "cutoff": str(tables[0].cutoff),
        "label_end": span["labels_by"],
        "universe": list(symbols),
        "survivorship": survivorship,
        "exchange": recipe["universe"]["exchange"],
        "train_span": {
            "first": span["start"],
            "last": span["end"],
            "rows": refit["windows"]["fit"],
        },
        "target": recipe["target"],
        "features": recipe["features"]["features"],
        "earlier_bars": recipe["features"]["lookback"],
        "lookback": recipe["window"]["lookback"],
        "network": {**recipe["network"], "n_symbols": len(known)},
        "known": list(known),
        "levels": {name: list(words) for name, words in levels.items()},
        "training": {**recipe["training"], "refit_epochs": epochs},
        "seeds": recipe["training"]["seeds"],
        "scaler": refit["scaler"],
        "novelty": refit.get("novelty"),
        "calibration": {
            "offsets": summary["offsets"],
            "further": summary.get("further_offsets", {}),
            "source": calibrated if summary["offsets"] else "the head has no intervals",
        },
        "fingerprint": fingerprint,
        "tables": [t.model_dump(mode="json", exclude={"symbols"}) for t in tables],
        "evaluation": evaluation.model_dump(mode="json"),
        "verdict": summary["verdict"],
        "causality": causality,
        "certificate": certificate,
        "recipe": recipe,
    }


def causality_of(manifest: Mapping[str, Any]) -> str:
    """Returns in one sentence what the causality proof of a model's features found."""
    proof = manifest.get("causality")
    return NOT_PROVED if proof is None else str(proof["sentence"])


def certificate_of(manifest: Mapping[str, Any]) -> str:
    """Returns in one sentence what the causality certificate of a model's run found."""
    certificate = manifest.get("certificate")
    return NOT_CERTIFIED if certificate is None else str(certificate["sentence"])


def leaking(manifest: Mapping[str, Any]) -> bool | None:
    """Returns whether the proof or the certificate of a model failed; None where it has neither."""
    proof, certificate = manifest.get("causality"), manifest.get("certificate")
    if not proof and not certificate:
        return None
    return bool(proof and not proof["holds"]) or bool(certificate and leaks(certificate))


def proved(manifest: Mapping[str, Any]) -> bool:
    """Returns whether every check of a model's certificate, where it has one, could be tried."""
    return not untried(manifest.get("certificate") or {})


def reproducible(training: Mapping[str, Any]) -> str:
    """Returns in a few words whether another run of the same training gives the same bits."""
    seconds = training.get("max_seconds")
    if seconds is None:
        return "to the bit, on the device of this run"
    return f"no: a fit is ended by the clock, after {seconds:g} s (training.max_seconds)"
