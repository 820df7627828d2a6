"""What a causality proof found, as values that can be written into a bundle."""

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, computed_field

from models.errors import DataError, some_of


class Counterexample(BaseModel):
    """One place where a column broke its claim, and what had been done to the bars.

    Attributes:
        column: the column at fault, or `rows` where rows came or went.
        symbol: whose row it is.
        date: the row's date.
        effect: what the column did there.
        done: what had been done, in words that follow "when".
        others: further columns that the same deed caught.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    symbol: str
    date: date
    effect: Literal["changes", "never changes"]
    done: str
    others: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Returns it in words, without a full stop."""
        also = f" (so does {some_of(self.others)})" if self.others else ""
        return f"{self.column} {self.effect} at {self.symbol} {self.date} when {self.done}{also}"


class Check(BaseModel):
    """One named check: how often it was tried, and the first counter-example if there is one."""

    model_config = ConfigDict(frozen=True)

    name: str
    trials: int
    seconds: float
    counterexample: Counterexample | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def holds(self) -> bool:
        """Returns whether no trial found a counter-example."""
        return self.counterexample is None


class Proof(BaseModel):
    """The verdict of all checks on one sample of a run's bars.

    Attributes:
        seed: what cutoffs, changed bars and names were drawn with.
        symbols: whose bars it was made on.
        first: the sample's first session.
        last: its last session.
        columns: the columns that were judged.
        never_known: those of them without a single value in the sample; of these it says nothing.
        checks: every check in the order it was made; one without trials could not be made.
    """

    model_config = ConfigDict(frozen=True)

    seed: int
    symbols: tuple[str, ...]
    first: date
    last: date
    columns: tuple[str, ...]
    never_known: tuple[str, ...]
    checks: tuple[Check, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def holds(self) -> bool:
        """Returns whether every check holds."""
        return all(check.holds for check in self.checks)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def trials(self) -> int:
        """Returns the trials of all checks."""
        return sum(check.trials for check in self.checks)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def sentence(self) -> str:
        """Returns the verdict in one sentence, with what it could not judge."""
        tried = [check for check in self.checks if check.trials]
        broken = [(c.name, c.counterexample.sentence) for c in tried if c.counterexample]
        said = f"{len(tried)} checks, {self.trials:,} trials, "
        if broken:
            name, found = broken[0]
            said += f"{len(broken)} failed. {name}: {found}"
        else:
            said += "no feature saw the future"
        untried = [check.name for check in self.checks if not check.trials]
        said += f"; could not be tried: {some_of(untried)}" if untried else ""
        said += f"; never known here: {some_of(self.never_known)}" if self.never_known else ""
        return said + "."

    def check(self, name: str) -> Check:
        """Returns the check of this name."""
        return next(check for check in self.checks if check.name == name)

    def certificate(self) -> dict[str, Any]:
        """Returns the proof as JSON-ready values, without seconds: equal inputs give equal ones."""
        return self.model_dump(mode="json", exclude={"checks": {"__all__": {"seconds"}}})


def require_proof(proof: Proof) -> None:
    """Raises DataError, which names the column, the place and the deed, unless the proof holds."""
    if not proof.holds:
        raise DataError(
            f"The causality proof failed (seed {proof.seed}): {proof.sentence} Nothing is trained "
            "or published; mend what makes the column, or take it out of features.features."
        )
