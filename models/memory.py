"""What to say when the device has no memory left: the batch size that would fit."""

from collections.abc import Callable

from models.errors import ModelError
from models.feed import Drawn


def out_of_memory(
    error: str, drawn: Drawn, fits: Callable[[Drawn], bool], batch_size: int
) -> ModelError:
    """Returns the error to raise; smaller and smaller parts of the batch are tried for it.

    Args:
        error: what the device said.
        drawn: the batch that did not fit.
        fits: tries a batch, and leaves nothing behind.
        batch_size: the setting that made the batch.
    """
    size = drawn.size
    while size > 1:
        size //= 2
        if fits(drawn.first(size)):
            return ModelError(
                f"the device has too little memory for batch_size={batch_size} ({error}); "
                f"batch_size={size} fits: set it, and {-(-batch_size // size)} times the present "
                "accumulate keeps the size of a step."
            )
    return ModelError(
        f"the device has too little memory even for one window ({error}); take a smaller network, "
        "a shorter lookback, or another device."
    )
