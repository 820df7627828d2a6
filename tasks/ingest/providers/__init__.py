"""The registry of providers: one line each, named by the `kind` of their spec."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from threading import Lock
from typing import Any

from tasks.ingest.providers.base import Provider
from tasks.ingest.providers.files import FilesProvider
from tasks.ingest.providers.sample import SampleProvider
from tasks.ingest.providers.tiingo import TiingoProvider
from tasks.ingest.spec import ProviderSpec

_OPENING = Lock()


def _open_yahoo(spec: Any) -> Provider:
    # Importing yfinance takes seconds that the other providers need not spend.
    from tasks.ingest.providers.yahoo import YahooProvider

    return YahooProvider(spec)


PROVIDERS: Mapping[str, Callable[[Any], Provider]] = {
    "sample": SampleProvider,
    "files": FilesProvider,
    "yahoo": _open_yahoo,
    "tiingo": TiingoProvider,
}


def open_provider(spec: ProviderSpec) -> Provider:
    """Returns the provider that `spec` asks for; a static one has read its history by then."""
    return PROVIDERS[spec.kind](spec)


def shared_provider(spec: ProviderSpec, run: str) -> Provider:
    """Returns the one provider of `run` for `spec`, whichever of its batches asks first.

    Batches run at the same time, and a source counts the requests of all of them together.
    """
    # Without the lock, batches that begin at once would each open one of their own.
    with _OPENING:
        return _opened(spec, run)


@lru_cache(maxsize=4)
def _opened(spec: ProviderSpec, run: str) -> Provider:
    del run
    return open_provider(spec)
