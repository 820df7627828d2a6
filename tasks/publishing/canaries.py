"""How good the certificate is at its work: leaks planted in the code of which it noticed so many.

The figures are those of a run of `tests/faults/canaries/measure.py` and belong to the code that it
ran on.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from tasks.lake.cachekey import code_digest

FILE = "canaries.json"
_CERTIFICATE = "flows.certificate.certify"


def code_now() -> str:
    """Returns the digest of the certificate's code and of all code that it tries."""
    return code_digest(_CERTIFICATE)


def measured() -> dict[str, Any]:
    """Returns what the last run of the canaries found."""
    found: dict[str, Any] = json.loads(files("tasks.publishing").joinpath(FILE).read_text())
    return found


def canaries_said(found: Mapping[str, Any], code: str) -> str:
    """Returns recall and false alarms in words, and whether they are of other code."""
    said = (
        f"{found['noticed']} of {found['planted']} planted leaks noticed, {found['alarms']} alarms "
        f"in {found['sound']} sound worlds"
    )
    if found["missed"]:
        said += f"; missed: {', '.join(found['missed'])}"
    return said if found["code"] == code else f"{said}; measured on other code than this"
