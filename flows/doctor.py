"""`nightcast doctor`: what of this installation is wrong, and how to mend it."""

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Literal

from packaging.requirements import Requirement

from flows.environment import Place, served_url
from models.errors import NightcastError
from tasks.lake.store import check_writable

_LEAST_FREE_GIB = 2.0


@dataclass(frozen=True)
class Check:
    """One finding: `state` is `wrong` where something must be mended before a run."""

    subject: str
    state: Literal["ok", "note", "wrong"]
    finding: str
    mend: str = ""


def examine(place: Place) -> list[Check]:
    """Returns the findings on versions, GPU, calendar, data root and server."""
    looks: tuple[Callable[[Place], Check], ...] = (_versions, _gpu, _calendar, _root, _server)
    return [look(place) for look in looks]


def _versions(_: Place) -> Check:
    wrong = []
    for line in requires("nightcast") or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found}, needed {requirement.specifier}")
    python = f"Python {platform.python_version()}"
    if wrong:
        return Check(
            "versions", "wrong", f"{python}; {'; '.join(wrong)}", "run `make install` again"
        )
    return Check("versions", "ok", f"{python}, Prefect {version('prefect')}, all as required")


def _gpu(_: Place) -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("gpu", "ok", torch.cuda.get_device_name())
    return Check("gpu", "note", f"none; training runs on {os.cpu_count()} CPU cores")


def _calendar(_: Place) -> Check:
    from tasks.lake.calendar import last_closed_session

    try:
        closed = last_closed_session("XNYS", datetime.now(UTC))
    except NightcastError as error:
        return Check("calendar", "wrong", str(error), "update exchange-calendars")
    return Check("calendar", "ok", f"the last XNYS session that has closed is {closed}")


def _root(place: Place) -> Check:
    try:
        check_writable(place.root)
    except NightcastError as error:
        return Check("data root", "wrong", str(error), "choose another --root")
    free = shutil.disk_usage(place.root).free / 2**30
    finding = f"{place.root}, {free:.0f} GiB free"
    if free < _LEAST_FREE_GIB:
        return Check("data root", "wrong", finding, f"free {_LEAST_FREE_GIB:.0f} GiB or more")
    return Check("data root", "ok", finding)


def _server(place: Place) -> Check:
    given = os.environ.get("PREFECT_API_URL")
    url = given or served_url(place)
    if url is None:
        return Check("prefect", "note", "no server is running for this root; runs go in process")
    guarded = os.environ.get("PREFECT_API_AUTH_STRING")
    local = any(name in url for name in ("127.0.0.1", "localhost", "[::1]"))
    if not local and not guarded:
        return Check(
            "prefect",
            "wrong",
            f"{url} is reached over a network without authentication",
            "set PREFECT_SERVER_API_AUTH_STRING on the server and PREFECT_API_AUTH_STRING here",
        )
    return Check("prefect", "ok", f"{url}{' with' if guarded else ', loopback, no'} authentication")
