"""The members of the universe."""

from models.errors import UsageError, near
from tasks.ingest.providers import Provider
from tasks.ingest.spec import UniverseSpec


def members(provider: Provider, universe: UniverseSpec) -> tuple[str, ...]:
    """Returns the symbols to forecast, sorted.

    Raises:
        UsageError: The provider does not have a symbol that the universe names.
    """
    offered = provider.symbols()
    if universe.symbols is None:
        return tuple(offered)
    unknown = sorted(set(universe.symbols) - set(offered))
    if unknown:
        raise UsageError(
            f"universe.symbols names {', '.join(map(repr, unknown[:5]))}"
            f"{f' and {len(unknown) - 5} more' if len(unknown) > 5 else ''}, which the provider "
            f"does not have; choose among its {len(offered)} symbols."
            f"{''.join(near(s, offered) for s in unknown[:5])}"
        )
    return tuple(sorted(universe.symbols))
