"""Names of flow runs, which carry the session they are about."""

from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run


def name_this_run(name: str) -> None:
    """Renames the running flow run, once its session is known; outside a run nothing happens."""
    if run := flow_run.get_id():
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(run), name=name)
