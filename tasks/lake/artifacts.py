"""Small frozen references that travel between tasks, and the files behind them.

An artifact is a folder `<root>/artifacts/<kind>/<key>` whose files are written under a temporary
name and renamed as a whole, so that it is either complete or absent. Its key is a digest of all
that it was made from; its SHA-256 is one of its files.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
from pydantic import BaseModel, ConfigDict

from models.errors import DataError

_CONTENTS = "contents.json"


class TableRef(BaseModel):
    """What a read of a Delta table saw: both clocks, the symbols, a digest of the content."""

    model_config = ConfigDict(frozen=True)

    table: str
    cutoff: date
    known_by: datetime
    symbols: tuple[str, ...]
    rows: int
    digest: str

    @property
    def identity(self) -> list[str]:
        """What of the reference decides a result."""
        return [self.table, str(self.cutoff), self.digest]


class Artifact(BaseModel):
    """A finished result on disk; `parents` are the digests of what it was made from."""

    model_config = ConfigDict(frozen=True)

    kind: str
    key: str
    uri: str
    sha256: str
    rows: int
    parents: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """What of the artifact decides a result."""
        return self.sha256

    def path(self, root: Path, name: str) -> Path:
        """Returns the path of the file `name` of this artifact below the data root."""
        return root / self.uri / name

    def frame(self, root: Path, name: str = "frame.parquet") -> pl.DataFrame:
        """Reads one Parquet file of this artifact.

        Raises:
            DataError: The file is gone.
        """
        path = self.path(root, name)
        if not path.exists():
            raise DataError(
                f"Artifact {self.uri!r} has no file {name!r} any more; run the command again and "
                "it is made anew."
            )
        return pl.read_parquet(path)

    def read_json(self, root: Path, name: str = "summary.json") -> dict[str, Any]:
        """Reads one JSON file of this artifact."""
        loaded: dict[str, Any] = json.loads(self.path(root, name).read_text())
        return loaded


def artifact_folder(kind: str, key: str) -> str:
    """Returns where an artifact lies, relative to the data root."""
    return f"artifacts/{kind}/{key}"


def is_complete(root: Path, kind: str, key: str) -> bool:
    """Tells whether an artifact lies below `root` with all the files it was written with."""
    folder = root / artifact_folder(kind, key)
    contents = folder / _CONTENTS
    return contents.exists() and all(
        (folder / f).exists() for f in json.loads(contents.read_text())
    )


def write_artifact(
    root: Path,
    kind: str,
    key: str,
    fill: Callable[[Path], int],
    parents: tuple[str, ...] = (),
) -> Artifact:
    """Lets `fill` write files into a fresh folder, then makes the folder visible at once.

    Args:
        root: The data root.
        kind: The stage's word for it, such as `features`.
        key: Digest of all it is made from.
        fill: Writes the files and returns the number of rows.
        parents: Digests of what it is made from.
    """
    uri = artifact_folder(kind, key)
    target = root / uri
    draft = target.with_name(f".{key}-{uuid4().hex[:8]}")
    draft.mkdir(parents=True)
    try:
        rows = fill(draft)
        files = sorted(str(p.relative_to(draft)) for p in draft.rglob("*") if p.is_file())
        (draft / _CONTENTS).write_text(json.dumps(files))
        sha256 = folder_digest(draft)
        if target.exists():
            shutil.rmtree(target)
        os.replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Artifact(kind=kind, key=key, uri=uri, sha256=sha256, rows=rows, parents=parents)


def write_frames(
    frames: Mapping[str, pl.DataFrame], summary: object = None
) -> Callable[[Path], int]:
    """Returns a `fill` for `write_artifact`: each frame as Parquet, `summary` as JSON."""

    def fill(folder: Path) -> int:
        for name, frame in frames.items():
            frame.write_parquet(folder / f"{name}.parquet", compression="zstd")
        if summary is not None:
            text = json.dumps(summary, indent=2, allow_nan=False)
            (folder / "summary.json").write_text(text)
        return max((frame.height for frame in frames.values()), default=0)

    return fill


def folder_digest(folder: Path) -> str:
    """Returns the SHA-256 over names and bytes of all files below `folder`."""
    seen = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        seen.update(str(path.relative_to(folder)).encode() + b"\0")
        with path.open("rb") as stream:
            seen.update(hashlib.file_digest(stream, "sha256").digest())
    return seen.hexdigest()


def digest_text(*parts: object) -> str:
    """Returns a 16-digit digest of JSON-ready parts; equal parts give equal digests."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
