"""Plants every canary, judges sound worlds, and keeps what was noticed for the reports.

`python -m tests.faults.canaries.measure` writes `tasks/publishing/canaries.json`, with the digests
of the code that it was measured on: a report of other code says that it was. The certificate's part
takes minutes, that of the search among many trials (`selection.py`) seconds; naming one of the two
measures it alone and keeps what the file says of the other.
"""

import argparse
import json
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

import pytest

from flows.certificate.certify import certify
from tasks.evaluation.certificate.verdict import Certificate
from tasks.publishing.canaries import FILE, code_now, measured, selection_code_now
from tests.faults.canaries import selection
from tests.faults.canaries.defects import CANARIES, with_levels
from tests.faults.canaries.market import train

SOUND_WORLDS = 20
PLANTED_WORLDS = 2


def planted(name: str, seed: int, folder: Path) -> Certificate:
    """The certificate of a run with a defect."""
    canary = CANARIES[name]
    with pytest.MonkeyPatch.context() as patch:
        with_levels(patch)
        canary.plant(patch)
        return certify(train(seed, folder, canary.spec, splits=canary.splits).trained)


def sound(seed: int, folder: Path) -> Certificate:
    """The certificate of a run without one, on features that the subtlest defect would show in."""
    with pytest.MonkeyPatch.context() as patch:
        with_levels(patch)
        return certify(train(seed, folder, CANARIES["future_split_in_a_feature"].spec).trained)


def failed(certificate: Certificate) -> dict[str, str | None]:
    return {check.name: check.leak for check in certificate.checks if not check.holds}


def noticed(name: str, certificate: Certificate) -> bool:
    return CANARIES[name].check in failed(certificate)


def of_selection() -> dict[str, object]:
    """The section on the search among many trials: shares of worlds called significant."""
    searches = []
    for search in selection.SEARCHES:
        sound = search.share_called_significant()
        with pytest.MonkeyPatch.context() as patch:
            search.defect(patch)
            planted = search.share_called_significant()
        searches.append(
            {
                "canary": search.defect.__name__,
                "best_of": f"{len(selection.SETTINGS)} {search.best_of}",
                "forgetting": search.forgetting,
                "sound": sound,
                "planted": planted,
            }
        )
    return {
        "code": selection_code_now(),
        "worlds": selection.WORLDS,
        "allowed": round(selection.ALLOWED, 4),
        "searches": searches,
    }


def of_certificate() -> dict[str, object]:
    """The section on the certificate, which is the file's outermost."""
    missed, tried, alarms = [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for name in CANARIES:
            for seed in range(PLANTED_WORLDS):
                tried += 1
                if not noticed(name, planted(name, seed, Path(folder, f"{name}-{seed}"))):
                    missed.append(f"{name} in world {seed}")
                sys.stderr.write(f"{name} {seed}\n")
        for seed in range(SOUND_WORLDS):
            alarms += not sound(seed, Path(folder, f"sound-{seed}")).holds
            sys.stderr.write(f"sound {seed}\n")
    return {
        "code": code_now(),
        "canaries": sorted(CANARIES),
        "planted": tried,
        "noticed": tried - len(missed),
        "missed": missed,
        "sound": SOUND_WORLDS,
        "alarms": alarms,
    }


PARTS = {"certificate": of_certificate, "selection": lambda: {"selection": of_selection()}}


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS, help="what to measure; both by default")
    part = parser.parse_args(given).part
    found = measured()
    for name, measure in PARTS.items():
        if part in (None, name):
            found |= measure()
    text = json.dumps(found, indent=2) + "\n"
    Path(str(files("tasks.publishing").joinpath(FILE))).write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
