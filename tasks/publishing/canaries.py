"""How good the proofs are at their work: leaks planted in the code, and how many were noticed.

The figures are those of a run of `tests/faults/canaries/measure.py` and belong to the code that it
ran on. The certificate is tried by leaks, and what the evaluation makes of counted trials by the
best of many trials without skill.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from tasks.lake.artifacts import digest_text
from tasks.lake.cachekey import code_digest

FILE = "canaries.json"
_CERTIFICATE = "flows.certificate.certify"
_SELECTION = ("tasks.evaluation.trials", "tasks.training.trials")


def code_now() -> str:
    """Returns the digest of the certificate's code and of all code that it tries."""
    return code_digest(_CERTIFICATE)


def selection_code_now() -> str:
    """Returns the digest of the code that counts trials and allows for their count."""
    return digest_text(*map(code_digest, _SELECTION))


def measured() -> dict[str, Any]:
    """Returns what the last run of the canaries found."""
    found: dict[str, Any] = json.loads(files("tasks.publishing").joinpath(FILE).read_text())
    return found


def canaries_said(found: Mapping[str, Any], code: str) -> str:
    """Returns the certificate's recall and false alarms, and whether they are of other code."""
    said = (
        f"{found['noticed']} of {found['planted']} planted leaks noticed, {found['alarms']} alarms "
        f"in {found['sound']} sound worlds"
    )
    if found["missed"]:
        said += f"; missed: {', '.join(found['missed'])}"
    return _of(said, found["code"], code)


def selection_said(found: Mapping[str, Any], code: str) -> str:
    """Returns in how many worlds a search on noise finds something, with defects and without."""
    part = found["selection"]
    worlds, allowed = part["worlds"], part["allowed"]
    said = []
    for search in part["searches"]:
        sound, planted = search["sound"], search["planted"]
        noticed = "noticed" if planted > allowed else "missed"
        alarm = "no alarm" if sound <= allowed else "an alarm"
        said.append(
            f"the best of {search['best_of']} is called significant in {sound:.1%} of {worlds} "
            f"worlds ({allowed:.1%} allowed: {alarm}), and in {planted:.1%} where "
            f"{search['forgetting']} ({noticed})"
        )
    return _of("; ".join(said), part["code"], code)


def _of(said: str, measured_on: str, code: str) -> str:
    return said if measured_on == code else f"{said}; measured on other code than this"
