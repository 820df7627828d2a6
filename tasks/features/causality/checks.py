"""Proves of a stage that no row depends on what it must not see.

1. A baseline is built of the bars as they are.
2. `future_*`: at each sampled cutoff the bars after it are cut off (bars and actions, through the
   whole stage), masked, blown up, replaced by another stock's. Rows up to the cutoff stay.
3. `later_*`: actions after a cutoff are put in, the bars following them or not. Rows up to it stay.
4. `past_bar_changes`: one bar is changed. What comes before it and other symbols stay, and every
   column moves at least once: of one that never does the other checks prove nothing.
5. `symbol_*`, `symbols_*`: symbols leave, join, swap names, take new ones. Values stay with theirs.

Staying means to the bit (see `tasks/lake/bits.py`). A check ends at its first counter-example.
"""

from time import perf_counter

import numpy as np

from tasks.features.causality import changes, trials
from tasks.features.causality.case import Case
from tasks.features.causality.proof import Check, Proof
from tasks.features.causality.sampling import sample_cutoffs

# Fewer cutoffs meet later actions: prices that these reach back into are wrong at nearly every one.
_ACTING_SHARE, _LEAST_ACTING = 8, 12
# So many that a column of rare events moves too.
_LEAST_CHANGED_BARS = 12


def prove(case: Case, cutoffs: int, warm_up: int, seed: int) -> Proof:
    """Returns the verdict of every check, each with its trials and its first counter-example.

    Args:
        case: what is on trial: a few symbols and some hundred sessions, see `sample_panel`.
        cutoffs: how many cutoffs each kind of future is tried at.
        warm_up: the longest lookback, in bars.
        seed: of all draws.
    """
    checks = tuple(_run(name, tries) for name, tries in _all(case, cutoffs, warm_up, seed).items())
    days = case.panel.get_column("date")
    return Proof(
        seed=seed,
        symbols=case.symbols,
        first=days.min(),
        last=days.max(),
        columns=case.columns,
        never_known=tuple(name for name in case.columns if name not in case.known),
        checks=checks,
    )


def _all(case: Case, cutoffs: int, warm_up: int, seed: int) -> dict[str, trials.Trials]:
    draw = np.random.default_rng(seed)
    panel = case.panel
    days = sample_cutoffs(panel, cutoffs, warm_up, seed)
    acting = max(_LEAST_ACTING, len(days) // _ACTING_SHARE)
    few = [days[i] for i in sorted(draw.permutation(len(days))[:acting])]
    stock = changes.bars_of_another_stock(panel)
    bars_changed = max(_LEAST_CHANGED_BARS, cutoffs // 8)
    return {
        "future_cut_off": trials.cut_off(case, days),
        "future_masked": trials.replaced(
            case, days, changes.constant_bars(panel, float("nan")), "masked"
        ),
        "future_1e9": trials.replaced(case, days, changes.constant_bars(panel, 1e9), "set to 1e9"),
        "future_of_another_stock": trials.replaced(case, days, stock, "those of another stock"),
        "later_split": trials.acting(case, few, (2.0, 3.0)),
        "later_reverse_split": trials.acting(case, few, (0.1, 1.0 / 7.0)),
        "later_dividend": trials.acting(case, few, (1.0,)),
        "past_bar_changes": trials.past_bars(case, bars_changed, draw),
        "symbol_removed": trials.removed(case),
        "symbol_added": trials.added(case),
        "symbols_permuted": trials.permuted(case),
        "symbols_renamed": trials.renamed(case, draw),
    }


def _run(name: str, tries: trials.Trials) -> Check:
    began, count, found = perf_counter(), 0, None
    for found in tries:
        count += 1
        if found:
            break
    return Check(name=name, trials=count, seconds=perf_counter() - began, counterexample=found)
