"""What the gate decided about a model: evaluation makes it, publishing keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["first", "refresh", "challenger", "past"]


@dataclass(frozen=True)
class Decision:
    """Whether a candidate becomes champion.

    Attributes:
        promoted: Whether it does.
        kind: What it was to the champion. `first`: there was none; `refresh`: the same
            specification on later data; `challenger`: another specification; `past`: trained to an
            earlier cutoff, so that it forecasts only nights for which there was no champion.
        reason: Why, in plain words with the figures.
        figures: The same as JSON values.
    """

    promoted: bool
    kind: Kind
    reason: str
    figures: Mapping[str, Any] = field(default_factory=dict)


def not_certified(manifest: Mapping[str, Any]) -> str | None:
    """Returns why a model's certificate bars it from becoming champion, or None."""
    certificate = manifest.get("certificate")
    if certificate is None:
        return (
            f"{manifest['id']} carries no causality certificate, as it was made before there were "
            "any; train it again."
        )
    unclean = not_clean(certificate)
    return unclean and f"its causality certificate is {unclean}"


def not_clean(certificate: Mapping[str, Any]) -> str | None:
    """Returns why a certificate's record is not clean and what to do about it, or None."""
    if certificate["holds"] and not untried(certificate):
        return None
    mend = "Mend the leak"
    if not leaks(certificate):
        mend = "Loosen what keeps that from being tried, such as filters that let nothing be traded"
    return f"not clean: {certificate['sentence']} {mend}, and train again."


def untried(certificate: Mapping[str, Any]) -> list[str]:
    """Returns the checks that a certificate's record has no trial of.

    Records from before this counted said that they hold all the same.
    """
    return [check["name"] for check in certificate.get("checks", ()) if not check["trials"]]


def leaks(certificate: Mapping[str, Any]) -> bool:
    """Returns whether a certificate's record names a leak, or does not say why it does not hold."""
    checks = certificate.get("checks", ())
    return any(check["leak"] for check in checks) if checks else not certificate["holds"]
