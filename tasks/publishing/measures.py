"""How numbers in a target's unit are written: log returns in basis points or per cent.

All other numbers are plain: a rank or a direction is no return and must not read like one.
"""

from dataclasses import dataclass

from tasks.publishing.formats import NARROW, UNKNOWN, decimal


@dataclass(frozen=True)
class Measure:
    """A way to write numbers of one unit.

    Attributes:
        unit: what an axis is named by, such as "log return, bp".
        sign: what stands behind a number, such as "bp"; empty for plain numbers.
        factor: what a number is multiplied by.
        digits: after the point, of a forecast.
        coarse: after the point, of a bound.
    """

    unit: str
    sign: str
    factor: float
    digits: int
    coarse: int

    def text(self, value: float | None, coarse: bool = False, signed: bool = True) -> str:
        """Returns 0.00032 as "+3.2 bp", or plain; "–" for what is not known."""
        digits = self.coarse if coarse else self.digits
        number = decimal(None if value is None else value * self.factor, digits, signed)
        return number if UNKNOWN in number or not self.sign else f"{number}{NARROW}{self.sign}"

    @property
    def heading(self) -> str:
        """What a column of bare numbers adds to its name."""
        return self.sign or f"({self.unit})"


def in_basis_points(unit: str) -> Measure:
    """Returns how a page writes numbers of a target's `unit`."""
    return Measure("log return, bp", "bp", 1e4, 1, 0) if unit == "log_return" else _plain(unit)


def in_percent(unit: str) -> Measure:
    """Returns how a short table writes numbers of a target's `unit`."""
    return Measure("log return, %", "%", 1e2, 3, 2) if unit == "log_return" else _plain(unit)


def _plain(unit: str) -> Measure:
    return Measure(unit, "", 1.0, 4, 3)
