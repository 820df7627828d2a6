"""The registry of providers: one line each, named by the `kind` of their spec."""

from collections.abc import Callable, Mapping
from typing import Any

from tasks.ingest.providers.base import Provider
from tasks.ingest.providers.files import FilesProvider
from tasks.ingest.providers.sample import SampleProvider
from tasks.ingest.spec import ProviderSpec

PROVIDERS: Mapping[str, Callable[[Any], Provider]] = {
    "sample": SampleProvider,
    "files": FilesProvider,
}


def open_provider(spec: ProviderSpec) -> Provider:
    """Returns the provider that `spec` asks for; a static one has read its history by then."""
    return PROVIDERS[spec.kind](spec)
