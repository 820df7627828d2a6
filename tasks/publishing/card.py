"""The model card: what a bundle is, what it was made from, how good the procedure is, in Markdown.

The manifest is the bundle's. These keys are read; others are left alone:

    key          holds                                                          without it
    id           the model's name                                               an error
    state        "candidate", or "ungated" from before there was a gate         an error
    target       mapping: the fields of a TargetSpec                            an error
    features     list of feature names                                          an error
    lookback     earlier bars a window holds                                    an error
    network      mapping: kind and its options                                  an error
    training     mapping: settings; `max_windows_per_epoch` None = all          an error
    seeds        list, one set of weights each                                  an error
    created_at   when the bundle was made, text                                 "–"
    universe     text, a list of symbols, or a mapping                          "–"
    train_span   mapping: first, last (dates of labels), rows                   "–"
    fingerprint  mapping: versions and device of the fit                        "–"
    tables       list of mappings: table, cutoff, known_by, digest              "–"
    causality    mapping: sentence, holds                                       "not proved"
    certificate  mapping: sentence, holds                                       "no certificate"

Texts from data are escaped, so that no symbol can change the page.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from models.errors import ModelError
from tasks.lake.target_spec import TargetSpec
from tasks.publishing.formats import UNKNOWN, decimal, estimate, percent
from tasks.publishing.manifest import causality_of, certificate_of, reproducible
from tasks.publishing.measures import Measure, in_basis_points

REQUIRED = ("id", "state", "target", "features", "lookback", "network", "training", "seeds")
# A universe of 500 symbols would bury the card.
LISTED = 30


def write_card(manifest: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """Returns the model card as Markdown.

    Args:
        manifest: the bundle's manifest, see the top of this file.
        summary: the evaluation's summary of the procedure that made the bundle.

    Raises:
        ModelError: a key that a card cannot do without is missing.
    """
    missing = [key for key in REQUIRED if key not in manifest]
    if missing:
        raise ModelError(
            f"The manifest lacks {', '.join(missing)}; it has {', '.join(sorted(manifest))}. "
            "Write these keys into the bundle's manifest before its card."
        )
    target = TargetSpec.model_validate(manifest["target"])
    parts = [_head(manifest, summary), _made_from(manifest, target), _training(manifest)]
    head = manifest["network"].get("head", "mean")
    parts += [_metrics(summary, in_basis_points(target.unit))]
    # Evaluations were once written without it.
    parts += [_significance(summary["significance"])] if "significance" in summary else []
    parts += [_rule(summary["rule"])] if "rule" in summary else []
    parts += [_intervals(target, head)]
    parts += [_limits(summary), _rebuild(manifest)]
    return "\n\n".join(parts) + "\n"


def _head(manifest: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    return f"""# Model card: {_text(manifest["id"])}

{_text(summary["verdict"]["sentence"])}

{_text(summary["pays"]["sentence"])}

- State when made: {_text(manifest["state"])}; `nightcast models` says what became of it
- Made: {_text(manifest.get("created_at"))}
- Causality: {_text(causality_of(manifest))}
- Certificate: {_text(certificate_of(manifest))}"""


def _made_from(manifest: Mapping[str, Any], target: TargetSpec) -> str:
    features = manifest["features"]
    also = ", ".join(map(str, target.also))
    further = f"- Further horizons, by the same network: {also} sessions\n" if also else ""
    return f"""## Data, target and features

- Universe: {_text(manifest.get("universe"))}
- Training span: {_text(manifest.get("train_span"))}
- Target: {_text(target.name)}: {_text(target.meaning)}; traded at the next open at the earliest
{further}- Unit of forecasts and errors: {_text(target.unit)}
- Lookback: {_text(manifest["lookback"])} bars
- Features ({len(features)}): {", ".join(f"`{_code(name)}`" for name in features)}"""


def _training(manifest: Mapping[str, Any]) -> str:
    training = manifest["training"]
    if "max_windows_per_epoch" not in training:
        sampling = "Whether an epoch sees all windows is not recorded."
    elif training["max_windows_per_epoch"] is None:
        sampling = "Every epoch sees every window: there is no sub-sampling."
    else:
        drawn = decimal(training["max_windows_per_epoch"], 0)
        sampling = f"Sub-sampling: an epoch sees at most {drawn} windows, drawn at random."
    return f"""## Network and training

- Network: {_text(manifest["network"])}
- Training: {_text(training)}
- {sampling}
- Reproducible: {reproducible(training)}
- Seeds: {_text(manifest["seeds"])}; the forecast is the mean over one set of weights a seed
- These weights are a refit up to the training cutoff, without a stop span, for the median best \
epoch of the folds."""


def _metrics(summary: Mapping[str, Any], measure: Measure) -> str:
    span = summary["span"]
    kind = "ts_ic" if summary["ic_kind"] == "ts_ic" else "IC"
    head = ["Model", kind, f"Rank {kind}", "Squared error / zero", "Absolute error / zero",
            "Right direction", "Inside 90 % band", "Pinball loss"]  # fmt: skip
    rows = [
        [
            _text(row["name"]) + (" (**suspected leak**)" if row["suspected_leak"] else ""),
            estimate(row["ic"], decimal, digits=4, signed=True),
            estimate(row["rank_ic"], decimal, digits=4, signed=True),
            estimate(row["mse_ratio"], decimal, digits=4),
            estimate(row["mae_ratio"], decimal, digits=4),
            estimate(row["directional_accuracy"], percent),
            estimate(row["coverage_90"], percent),
            estimate(row["pinball"], measure.text, signed=False),
        ]
        for row in summary["models"]
    ]
    table = _table(head, rows)
    return f"""## Metrics

**The metrics belong to the procedure, not to these weights**: they were measured out of sample on \
the test spans of {_text(span["folds"])} walk-forward folds, {_text(span["first"])} to \
{_text(span["last"])} ({decimal(span["dates"], 0)} dates, {decimal(span["symbols"], 0)} symbols), \
with other weights than the ones published here. Intervals in brackets are bootstrapped over dates.

{table}{_horizons(summary, kind)}"""


def _horizons(summary: Mapping[str, Any], kind: str) -> str:
    rows = [
        [
            str(row["horizon"]) + (" (**suspected leak**)" if row["suspected_leak"] else ""),
            estimate(row["ic"], decimal, digits=4, signed=True),
            estimate(row["rank_ic"], decimal, digits=4, signed=True),
            estimate(row["coverage_90"], percent),
        ]
        for row in summary.get("horizons", [])
    ]
    if not rows:
        return ""
    table = _table(["Horizon", kind, f"Rank {kind}", "Inside 90 % band"], rows)
    return f"""

The further horizons of the same network on the same dates; they have no part in the verdict:

{table}"""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _significance(found: Mapping[str, Any]) -> str:
    said = [*found["sentences"], found["trials"]["sentence"]]
    said += [row["sentence"] for row in found["sharpe"]] + [found["overfitting"]["sentence"]]
    return "\n".join(["## Significance", "", *(f"- {_text(sentence)}" for sentence in said)])


def _rule(rule: Mapping[str, str]) -> str:
    said = (f"- {_text(name)}: {_text(text)}" for name, text in rule.items())
    return "\n".join(["## Portfolios", "", *said])


def _intervals(target: TargetSpec, head: str) -> str:
    title = "## Where the intervals come from"
    own = head == "quantiles"
    if not own and not target.has_mean(head):
        return f"""{title}

There are none: a score of the head `{_code(head)}` orders symbols and is in no unit."""
    centre = "its own quantile of the same level" if own else "its forecast"
    method = "conformalized quantile regression" if own else "split-conformal"
    if target.unit == "log_return":
        made = f"""Residuals of the folds' test spans, each divided by its row's volatility, are \
pooled; their quantiles times a symbol's volatility tonight are added to {centre} ({method}, \
normalised)."""
    else:
        equal = "moved equally far" if own else "equally wide"
        made = f"""Residuals of the folds' test spans are pooled and their quantiles added to \
{centre} ({method}). The unit is free of volatility, so all intervals are {equal}."""
    if target.published != target:
        made += """ Forecast and interval are then multiplied by the volatility of the target's \
span that was known at the cutoff: what is published is a log return."""
    return f"""{title}

{made} The coverage holds on average over dates and symbols, not for each one."""


def _limits(summary: Mapping[str, Any]) -> str:
    told = [*summary["warnings"], summary.get("benchmark_limit")]
    warnings = "".join(f"\n- {_text(warning)}" for warning in told if warning)
    return f"""## Limits

- {_text(summary["power"]["sentence"])}
- History that was loaded after the fact is point-in-time in its dates only: later restatements \
are already in it.
- A universe chosen today leaves out the names that vanished before; that flatters the results.
- Portfolios assume fills at the open and the stated costs; slippage follows a law, not a market.\
{warnings}"""


def _rebuild(manifest: Mapping[str, Any]) -> str:
    tables = manifest.get("tables") or []
    read = "".join(f"\n- {_text(table)}" for table in tables) or f"\n- {UNKNOWN}"
    return f"""## How to rebuild

Train again with the features, target, network, training settings and seeds above, reading these \
tables with their recorded cutoff and `known_by`:
{read}

Fingerprint: {_text(manifest.get("fingerprint"))}

With the same fingerprint the weights come out bit-identical; with another one, forecasts agree \
within 1e-5 relative and in rank order."""


def _text(value: Any) -> str:
    """Returns any JSON value as one line of escaped Markdown."""
    if value is None:
        return UNKNOWN
    if isinstance(value, Mapping):
        return ", ".join(f"{_text(key)} = {_text(entry)}" for key, entry in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = ", ".join(_text(entry) for entry in value[:LISTED])
        return shown if len(value) <= LISTED else f"{shown} and {len(value) - LISTED} more"
    line = " ".join(str(value).split())
    # An underscore inside a word is no emphasis, and settings read better without backslashes.
    return re.sub(r"[\\`*\[\]<>|~]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", line)


def _code(name: str) -> str:
    """Returns a name that can stand between backticks."""
    return " ".join(name.split()).replace("`", "'")
