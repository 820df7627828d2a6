"""Fractions as qlib takes them, with nothing that hangs on a unit."""

from tasks.features.indicators.entry import Array

# qlib adds 1e-12 to what a fraction is divided by. Near that, a value would hang on the unit of
# price or volume; what is added here is lost in any number but 0.
_NOTHING = 1e-300


def fraction(top: Array, bottom: Array) -> Array:
    """Returns top / bottom: 0 where both are 0, and beyond float32, hence masked, where one is.

    Args:
        top: of any sign.
        bottom: 0 or above.
    """
    return top / (bottom + _NOTHING)
