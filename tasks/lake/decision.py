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
    if not certificate["holds"]:
        return (
            f"its causality certificate is not clean: {certificate['sentence']} Mend the leak and "
            "train again."
        )
    return None
