"""Tells a move of the price that the tape bears out from one that it does not.

Along each symbol's bars a *reference* is carried: the last bar that is not held. A bar's move is
the log of its total return since then, splits and cash of the days between included.

1. A move within `max(jump_floor, jump_sigmas × σ)` is taken, and its bar is the next reference. σ
   is 1.4826 × the median of the last 20 absolute moves; with fewer than 10 the bound is ln 2.
2. A bar at 100 times or 1/100 of the reference (± 20 %) is in another unit. It and all that follow
   are held until one is nearer to the reference than to that level. It is
   not released by lasting, but by a person.
3. Any other move beyond the bound is a jump. The next bar within 5 sessions decides: nearer to the
   new level, the jump is a large move, and taken; nearer to the old, the jump stays held. Without
   such a bar it is held on its own session, and taken once a later one has passed.
4. A jump that no action explains, by a small rational (close or open, ± 2 %), opening at its new
   level and on no unusual volume, looks like a split left out. It is held with what follows
   at that level until 5 sessions have passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks.ingest.actions import like_split
from tasks.ingest.spec import QualitySpec

WAIT = 5
"""Sessions after a move until which its verdict may still change."""

_MOVES, _FEWEST_MOVES, _REACH = 20, 10, 60
_ROBUST = 1.4826
_FIRST_BOUND = float(np.log(2.0))
_UNIT, _UNIT_BAND = float(np.log(100.0)), float(np.log(1.2))
_SPLIT_BAND = 0.02
_UNUSUAL_VOLUME = 2.0


@dataclass(frozen=True)
class Levels:
    """All bars as [N] columns, sorted by symbol and date.

    `place` is the session's number, `first` a symbol's first bar, `split` and `cash` what acts on
    the bar. `apart` bars are held for another reason and stand outside the account, though one that
    is merely `not_final` may bear a move out; `let_pass` bars are released by a person;
    `stored_hold` is the rule by which the lake holds a bar; it counts before the first reference.
    """

    close: np.ndarray
    open: np.ndarray
    volume: np.ndarray
    split: np.ndarray
    cash: np.ndarray
    place: np.ndarray
    first: np.ndarray
    apart: np.ndarray
    not_final: np.ndarray
    let_pass: np.ndarray
    stored_hold: np.ndarray


def weigh(bars: Levels, end: int, spec: QualitySpec) -> Mapping[str, np.ndarray]:
    """Returns the row numbers of `jump`, `unexplained_split`, `unit_error_level`, `large_move`.

    Args:
        bars: The bars.
        end: Number of the newest session.
        spec: `jump_floor` and `jump_sigmas`.
    """
    found: dict[str, list[int]] = {
        rule: [] for rule in ("jump", "unexplained_split", "unit_error_level", "large_move")
    }
    if not len(bars.close):
        return {rule: np.empty(0, dtype=np.int64) for rule in found}
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (bars.close + bars.cash) * bars.split
        moves = np.log(value) - np.log(np.roll(bars.close, 1))
    moves[bars.first] = np.nan
    # A symbol without a large move, or a bar set apart, has nothing to weigh.
    eventful = (np.abs(moves) > spec.jump_floor) | bars.apart | (bars.stored_hold != "")
    starts = np.flatnonzero(bars.first)
    ends = np.append(starts[1:], len(bars.close))
    for start, stop in zip(starts, ends, strict=True):
        if not eventful[start:stop].any():
            continue
        events = start + np.flatnonzero(eventful[start:stop])
        _Account(bars, moves, (int(start), int(stop)), end, spec, found).settle(events)
    return {rule: np.array(rows, dtype=np.int64) for rule, rows in found.items()}


class _Account:
    """One symbol's bars being weighed, in order of their dates."""

    def __init__(
        self,
        bars: Levels,
        moves: np.ndarray,
        span: tuple[int, int],
        end: int,
        spec: QualitySpec,
        found: dict[str, list[int]],
    ) -> None:
        self.bars, self.moves, self.end, self.spec, self.found = bars, moves, end, spec, found
        self.start, self.stop = span
        self.reference: int | None = None
        # Of one share held since the reference: what it has become, and the cash it has paid.
        self.shares, self.cash = 1.0, 0.0
        # Of a level that is held: the rule, and its move since the reference.
        self.rule, self.level = "", 0.0
        # Of a level held since before the first reference: its last close.
        self.orphan: float | None = None

    def settle(self, events: np.ndarray) -> None:
        """Weighs all bars, passing over those between two events: each follows on the other."""
        row = self.start
        while row < self.stop:
            if self.reference is not None and self.reference == row - 1 and not self.rule:
                coming = events[np.searchsorted(events, row) :]
                if not len(coming):
                    return
                row = int(coming[0])
                self._refer_to(row - 1)
            if self.reference is None:
                self._begin(row)
            else:
                self._weigh(row)
            row += 1

    def _begin(self, row: int) -> None:
        """Weighs a bar before any reference: what the lake holds there stays so."""
        bars, stored = self.bars, self.bars.stored_hold[row]
        self.moves[row] = np.nan
        if bars.apart[row]:
            return
        lasting = self.orphan is not None and (
            abs(np.log(bars.close[row] / self.orphan)) < _UNIT / 2
        )
        if bars.let_pass[row] or not (stored in ("jump", "unit_error_level") or lasting):
            self._refer_to(row)
        elif stored == "jump":
            self.found["jump"].append(row)
        else:
            self.found["unit_error_level"].append(row)
            self.orphan = float(bars.close[row])

    def _weigh(self, row: int) -> None:
        bars = self.bars
        self.shares *= bars.split[row]
        self.cash += bars.cash[row] * self.shares
        if bars.apart[row]:
            self.moves[row] = np.nan
            return
        move = float(np.log((bars.close[row] * self.shares + self.cash) / self._base()))
        if not (self.rule and abs(move - self.level) < abs(move)):
            self.level, self.rule = move, ""
        rule = self.rule or self._verdict(row, move)
        if rule:
            self.found[rule].append(row)
        if rule in ("", "large_move") or bars.let_pass[row]:
            self.moves[row] = move
            self._refer_to(row)
        else:
            self.moves[row] = np.nan
            # A jump is one bar's; the other two are levels, which last.
            self.rule = "" if rule == "jump" else rule

    def _verdict(self, row: int, move: float) -> str:
        """Returns the rule that a bar off any held level meets, or ""."""
        if abs(move) <= self._bound(row):
            return ""
        if abs(abs(move) - _UNIT) <= _UNIT_BAND:
            return "unit_error_level"
        later = self._next_move(row)
        if later is not None and abs(later - move) >= abs(later):
            return "jump"
        age = self.end - self.bars.place[row]
        if age < WAIT and self._like_split_left_out(row, move):
            return "unexplained_split"
        return "large_move" if later is not None or age > 0 else "jump"

    def _bound(self, row: int) -> float:
        earlier = np.abs(self.moves[max(self.start, row - _REACH) : row])
        known = earlier[~np.isnan(earlier)][-_MOVES:]
        if len(known) < _FEWEST_MOVES:
            return max(_FIRST_BOUND, self.spec.jump_floor)
        sigma = _ROBUST * float(np.median(known))
        return max(self.spec.jump_floor, self.spec.jump_sigmas * sigma)

    def _next_move(self, row: int) -> float | None:
        """Returns the move since the reference of the next bar that bears witness, if any does."""
        bars, shares, cash = self.bars, self.shares, self.cash
        for later in range(row + 1, self.stop):
            if bars.place[later] - bars.place[row] > WAIT:
                return None
            shares *= bars.split[later]
            cash += bars.cash[later] * shares
            if not bars.apart[later] or bars.not_final[later]:
                return float(np.log((bars.close[later] * shares + cash) / self._base()))
        return None

    def _like_split_left_out(self, row: int, move: float) -> bool:
        """Tells whether `row` looks like the first day of a split that the actions lack."""
        bars = self.bars
        opened = float(np.log(bars.open[row] / self._base()))
        # The open is nearer to the ratio: the session's own move has not yet blurred it.
        alike = like_split(move, _SPLIT_BAND) or like_split(opened, _SPLIT_BAND)
        if self.shares != 1.0 or not alike:
            return False
        before = bars.volume[max(self.start, row - _MOVES) : row]
        traded = before[before > 0]
        usual = float(np.median(traded)) * np.exp(-move) if len(traded) else np.inf
        # A volume that is not known speaks for nothing.
        return abs(opened - move) < abs(opened) and not bars.volume[row] > _UNUSUAL_VOLUME * usual

    def _base(self) -> float:
        return float(self.bars.close[self.reference])

    def _refer_to(self, row: int) -> None:
        self.reference, self.rule = row, ""
        self.shares, self.cash = 1.0, 0.0
