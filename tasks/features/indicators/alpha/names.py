"""The names of the alpha sets."""

ALPHA158: tuple[str, ...] = ()
ALPHA360: tuple[str, ...] = ()
