"""Plants every canary, certifies sound worlds, and keeps what was noticed for the reports.

`python -m tests.faults.canaries.measure` writes `tasks/publishing/canaries.json`, with the digest
of the code that it was measured on: a report of other code says that it was.
"""

import json
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

import pytest

from flows.certificate.certify import certify
from tasks.evaluation.certificate.verdict import Certificate
from tasks.publishing.canaries import FILE, code_now
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
        return certify(train(seed, folder, canary.spec).trained)


def sound(seed: int, folder: Path) -> Certificate:
    """The certificate of a run without one, on features that the subtlest defect would show in."""
    with pytest.MonkeyPatch.context() as patch:
        with_levels(patch)
        return certify(train(seed, folder, CANARIES["future_split_in_a_feature"].spec).trained)


def failed(certificate: Certificate) -> dict[str, str | None]:
    return {check.name: check.leak for check in certificate.checks if not check.holds}


def noticed(name: str, certificate: Certificate) -> bool:
    return CANARIES[name].check in failed(certificate)


def measure() -> dict[str, object]:
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


if __name__ == "__main__":
    text = json.dumps(measure(), indent=2) + "\n"
    Path(str(files("tasks.publishing").joinpath(FILE))).write_text(text)
    sys.stdout.write(text)
