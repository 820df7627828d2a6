"""The canaries that no certificate can notice: the best of many trials, judged as if it were alone.

One world tells nothing: a portfolio without skill may be lucky. So many worlds are searched, each
for the best of trials that are noise, and its Sharpe ratio is judged by the project's own code. At
a level of 5 % more than that share of worlds, and two binomial standard errors of it, may not be
called significant. Worlds are those of the seeds 0 to WORLDS - 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from flows.config import RunConfig
from tasks.evaluation.metrics import FloatArray
from tasks.evaluation.spec import EvaluationSpec
from tasks.evaluation.trials import against_trials, others_of
from tasks.lake.tables import TRIALS
from tasks.lake.trials import TrialsRef
from tasks.training.trials import describe_trial

WORLDS, SESSIONS, LEVEL = 400, 150, 0.05
ALLOWED = LEVEL + 2 * math.sqrt(LEVEL * (1 - LEVEL) / WORLDS)
NAMES = 12
# Names bought and sessions between two rebalances.
SETTINGS = [(top, every) for top in (1, 2, 3, 4, 5) for every in (1, 2, 5, 10)]
_REFERENCE = TrialsRef(
    trial="the best", universe="u", first=date(2015, 1, 5), last=date(2015, 8, 3),
    known_by=datetime(2016, 1, 4, tzinfo=UTC), others=0, digest="0",
)  # fmt: skip


@dataclass(frozen=True)
class Search:
    """A way to search for the best of many, and the defect that lets it go unseen.

    Attributes:
        best_of: what is searched, in words.
        defect: plants the defect.
        forgetting: the defect in words.
        trials: the trial as which each of the many is counted.
        world: draws daily returns without skill of all that is tried [T, N] by a world's seed.
    """

    best_of: str
    defect: Callable[[object], None]
    forgetting: str
    trials: Callable[[], list[str]]
    world: Callable[[int], FloatArray]

    def share_called_significant(self) -> float:
        """Returns the share of the worlds in which a search finds something significant."""
        trials = self.trials()
        return sum(_significant(self.world(seed), trials) for seed in range(WORLDS)) / WORLDS


def best_of_many_without_deflation(patch):
    """The hurdle of the deflated Sharpe ratio forgets how many trials there were."""
    patch.setattr("tasks.evaluation.trials.hurdle_of", lambda trials, sharpes, sessions: 0.0)


def portfolio_settings_are_no_trials(patch):
    """A trial is known by what shapes the forecasts, whatever portfolio trades them."""
    patch.setattr("tasks.training.trials._searched", lambda recipe: {})


def _significant(tried: FloatArray, trials: list[str]) -> bool:
    """Tells whether the best of a world, the others counted, is called significant."""
    best = int((tried.mean(axis=0) / tried.std(axis=0)).argmax())
    # As in the lake, a trial that comes again replaces its row.
    others = {trial: n for n, trial in enumerate(trials) if trial != trials[best]}
    rows = [
        dict.fromkeys(TRIALS.content)
        | {"trial": trial, "universe": "u", "status": "completed", "returns": list(tried[:, n])}
        | {"first": _REFERENCE.first, "last": _REFERENCE.last}
        for trial, n in others.items()
    ]
    schema = {name: TRIALS.columns[name] for name in TRIALS.content}
    known = others_of(pl.DataFrame(rows, schema=schema, orient="row"), _REFERENCE, SESSIONS)
    # What all names held equally earn is taken off already, or is nothing.
    found = against_trials(tried[:, best], np.zeros(SESSIONS), known, 1.0 - LEVEL)
    return any(row["significant"] for row in found["sharpe"])


def _strategies(seed: int) -> FloatArray:
    return 0.01 * np.random.default_rng(seed).standard_t(5, (SESSIONS, len(SETTINGS)))


def _portfolios(seed: int) -> FloatArray:
    """One set of forecasts of noise, traded by every setting, in excess of all names."""
    draw = np.random.default_rng(seed)
    returns = 0.01 * draw.standard_t(5, (SESSIONS, NAMES))
    order = np.argsort(draw.normal(size=(SESSIONS, NAMES)), axis=1)
    days = np.arange(SESSIONS)
    tried = [
        np.take_along_axis(returns, order[days - days % every, :top], axis=1).mean(axis=1)
        for top, every in SETTINGS
    ]
    return np.column_stack(tried) - returns.mean(axis=1, keepdims=True)


def _settings() -> list[str]:
    spans = {"test": {"start": str(_REFERENCE.first), "end": str(_REFERENCE.last)}}
    portfolios = [{"top_count": top, "rebalance_every": every} for top, every in SETTINGS]
    recipes = [
        RunConfig(evaluation=EvaluationSpec(portfolio=chosen)).recipe() for chosen in portfolios
    ]
    return [describe_trial(r, ("A", "B"), {"folds": [{"spans": spans}]})["trial"] for r in recipes]


SEARCHES = (
    Search(
        "trials of noise",
        best_of_many_without_deflation,
        "the count of trials is forgotten",
        lambda: [str(n) for n in range(len(SETTINGS))],
        _strategies,
    ),
    Search(
        "portfolio settings on forecasts of noise",
        portfolio_settings_are_no_trials,
        "settings are no trials",
        _settings,
        _portfolios,
    ),
)
