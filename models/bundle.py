"""A published model as a folder, and a fit's checkpoint as a file; no pickle in either.

A bundle holds `weights.safetensors` (one weight set a seed), `card.md`, and `bundle.json` with the
caller's manifest and the SHA-256 of the other two. `bundle.json` is written last: without it there
is no bundle. A bundle is never changed afterwards.
"""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors

from models.checkpoint import FitState, Weights
from models.errors import ModelError

FORMAT = 1
WEIGHTS, CARD, MANIFEST = "weights.safetensors", "card.md", "bundle.json"


@dataclass(frozen=True)
class Bundle:
    """A bundle read back and verified."""

    manifest: dict[str, Any]
    weights: list[Weights]
    card: str
    sha256: str  # of bundle.json, and through the digests in it of the whole bundle


def save_bundle(folder: Path, weights: list[Weights], manifest: dict[str, Any], card: str) -> str:
    """Writes a bundle and returns its SHA-256; writing the same one again changes nothing."""
    if not weights:
        raise ModelError(f"bundle {folder.name} has 0 weight sets; fit at least one seed first.")
    tensors = {
        f"{number}/{name}": value.detach().cpu().contiguous()
        for number, one in enumerate(weights)
        for name, value in one.items()
    }
    files = {WEIGHTS: dump_tensors(tensors), CARD: card.encode()}
    index = {
        "format": FORMAT,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "manifest": manifest,
    }
    try:
        document = json.dumps(index, indent=2, allow_nan=False).encode()
    except (TypeError, ValueError) as fault:
        raise ModelError(
            f"the manifest of bundle {folder.name} is no JSON: {fault}; "
            "use finite numbers, text, lists and dicts only."
        ) from fault
    target = folder / MANIFEST
    if target.exists():
        if target.read_bytes() != document:
            raise ModelError(
                f"bundle {folder} exists with other content; bundles are never overwritten: "
                "use a new model id."
            )
    else:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (*files.items(), (MANIFEST, document)):
            _write(folder / name, content)
    return hashlib.sha256(document).hexdigest()


def load_bundle(folder: Path) -> Bundle:
    """Returns the bundle in `folder`; raises ModelError if anything in it is missing or changed."""
    document = _read(folder / MANIFEST)
    try:
        index = json.loads(document)
        version, digests, manifest = index["format"], index["files"], index["manifest"]
    except (ValueError, KeyError, TypeError) as fault:
        raise ModelError(
            f"{folder / MANIFEST} is no bundle index ({fault!r}); publish the model again."
        ) from fault
    if version != FORMAT:
        raise ModelError(
            f"bundle {folder} has format {version}, this nightcast reads format {FORMAT}; "
            "use the nightcast that wrote it, or train again."
        )
    contents = {name: _read(folder / name) for name in (WEIGHTS, CARD)}
    for name, content in contents.items():
        found = hashlib.sha256(content).hexdigest()
        if digests.get(name) != found:
            raise ModelError(
                f"{folder / name} was changed after it was published: SHA-256 {found}, "
                f"bundle.json says {digests.get(name)}; restore the file or train again."
            )
    sets: dict[int, Weights] = {}
    for key, value in load_tensors(contents[WEIGHTS]).items():
        number, name = key.split("/", 1)
        sets.setdefault(int(number), {})[name] = value
    weights = [sets[number] for number in sorted(sets)]
    return Bundle(manifest, weights, contents[CARD].decode(), hashlib.sha256(document).hexdigest())


class FileCheckpoint:
    """A fit's checkpoint in one safetensors file, the record as JSON in the file's metadata."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> FitState | None:
        """Returns the last saved state, or None where there is no file."""
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return FitState(tensors, json.loads(file.metadata()["record"]))
        except (SafetensorError, ValueError, KeyError, TypeError) as fault:
            raise ModelError(
                f"checkpoint {self.path} cannot be read ({fault}); "
                "delete it to start this fit anew."
            ) from fault

    def save(self, state: FitState) -> None:
        """Replaces the file in one step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        record = {"record": json.dumps(state.record, allow_nan=False)}
        _write(self.path, dump_tensors(state.tensors, metadata=record))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise ModelError(
            f"{path} cannot be read ({fault.strerror}); check the bundle's folder, or publish "
            "the model again."
        ) from fault


def _write(path: Path, content: bytes) -> None:
    """Writes under a temporary name, has it on the disk, then renames: all of it or nothing."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as fault:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        kept = f" What {path.name} held before is kept." if path.exists() else ""
        raise ModelError(
            f"{path} ({len(content)} bytes) cannot be written: {fault.strerror}.{kept} "
            "Make room or mend the folder, then run again."
        ) from fault
