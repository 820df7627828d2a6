"""What the causality certificate of a run found, as values that can be written into a bundle."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, computed_field

from models.errors import DataError
from tasks.lake.decision import not_clean

# All of them apply to every run: one that was not tried proves nothing.
CHECKS = (
    *("features", "forecasts", "orders", "fit inputs", "refit"),
    *("purging", "membership", "survivors", "trial count", "fill times"),
)


class Check(BaseModel):
    """One named check: how often it was tried, and the first leak that it met, in words."""

    model_config = ConfigDict(frozen=True)

    name: str
    trials: int
    leak: str | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def holds(self) -> bool:
        """Returns whether no trial met a leak."""
        return self.leak is None


class Certificate(BaseModel):
    """The verdict of all checks on one training run.

    Attributes:
        seed: of cutoffs, sampled symbols and made-up bars.
        cutoffs: at which the future of the fixed weights was replaced.
        checks: in the order they were made; one without trials could not be made. Portfolios that
            trade nothing leave `orders` and `fill times` without any.
    """

    model_config = ConfigDict(frozen=True)

    seed: int
    cutoffs: tuple[date, ...]
    checks: tuple[Check, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def holds(self) -> bool:
        """Returns whether every one of CHECKS was tried, and no check met a leak."""
        return not self.untried and all(check.holds for check in self.checks)

    @property
    def untried(self) -> tuple[str, ...]:
        """Returns those of CHECKS that could not be tried."""
        tried = {check.name for check in self.checks if check.trials}
        return tuple(name for name in CHECKS if name not in tried)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def sentence(self) -> str:
        """Returns the verdict in one sentence, which names the first leak."""
        tried = [check for check in self.checks if check.trials]
        said = f"{len(tried)} checks, {sum(check.trials for check in tried):,} trials, "
        broken = [check for check in tried if not check.holds]
        if broken:
            said += f"{len(broken)} failed. {broken[0].name}: {broken[0].leak}"
        elif self.untried:
            said += "no leak was met, but not everything is proved"
        else:
            said += "nothing of features, forecasts, orders or fits came from the future"
        return said + (f"; could not be tried: {', '.join(self.untried)}." if self.untried else ".")

    def record(self) -> dict[str, Any]:
        """Returns the certificate as JSON-ready values; equal runs give equal ones."""
        return self.model_dump(mode="json")


def first_leak(name: str, trials: Iterable[str | None]) -> Check:
    """Returns the check of trials that each say what leaked, or None; it ends at the first leak."""
    count, leak = 0, None
    for leak in trials:
        count += 1
        if leak:
            break
    return Check(name=name, trials=count, leak=leak)


def require_clean(record: Mapping[str, Any], model: str) -> None:
    """Raises DataError, which names the leak or what was not tried, unless a record is clean."""
    if unclean := not_clean(record):
        raise DataError(
            f"The causality certificate of {model} is {unclean} The model, its evaluation and its "
            "report are kept, and nothing is promoted."
        )
