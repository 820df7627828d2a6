import json

import polars as pl
import pytest

from models.errors import DataError
from tasks.lake.artifacts import (
    Artifact,
    digest_text,
    folder_digest,
    is_complete,
    write_artifact,
    write_frames,
)

FRAME = pl.DataFrame({"a": [1, 2, 3]})


def test_an_artifact_is_complete_and_reads_back(tmp_path):
    fill = write_frames({"frame": FRAME, "few": FRAME.head(1)}, {"x": 1.5})
    artifact = write_artifact(tmp_path, "features", "k1", fill, ("parent",))
    assert (artifact.rows, artifact.parents) == (3, ("parent",))
    assert is_complete(tmp_path, "features", "k1")
    assert artifact.frame(tmp_path).equals(FRAME)
    assert artifact.read_json(tmp_path) == {"x": 1.5}
    assert Artifact.model_validate_json(artifact.model_dump_json()) == artifact


def test_its_digest_is_that_of_its_folder_and_the_same_each_time(tmp_path):
    made = [
        write_artifact(tmp_path / place, "features", "k1", write_frames({"frame": FRAME}, [1]))
        for place in ("here", "there")
    ]
    assert made[0] == made[1]
    assert folder_digest(tmp_path / "here" / made[0].uri) == made[0].sha256


def test_a_failure_half_way_leaves_nothing_and_keeps_what_was_there(tmp_path):
    def half(folder):
        (folder / "frame.parquet").write_bytes(b"half")
        raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        write_artifact(tmp_path, "features", "k1", half)
    assert not is_complete(tmp_path, "features", "k1")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    whole = write_artifact(tmp_path, "features", "k1", write_frames({"frame": FRAME}))
    with pytest.raises(DataError, match="broken"):
        write_artifact(tmp_path, "features", "k1", half)
    assert whole.frame(tmp_path).equals(FRAME)


def test_a_lost_file_makes_it_incomplete_and_says_what_to_do(tmp_path):
    artifact = write_artifact(tmp_path, "features", "k1", write_frames({"frame": FRAME}, {}))
    artifact.path(tmp_path, "frame.parquet").unlink()
    assert not is_complete(tmp_path, "features", "k1")
    with pytest.raises(DataError, match=r"has no file 'frame.parquet' any more; run the command"):
        artifact.frame(tmp_path)


def test_written_again_an_artifact_replaces_all_of_the_former_files(tmp_path):
    write_artifact(tmp_path, "features", "k1", write_frames({"frame": FRAME, "old": FRAME}))
    again = write_artifact(tmp_path, "features", "k1", write_frames({"frame": FRAME.head(1)}))
    assert sorted(p.name for p in (tmp_path / again.uri).iterdir()) == [
        "contents.json",
        "frame.parquet",
    ]


def test_a_number_that_is_no_json_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_artifact(tmp_path, "f", "k", write_frames({"frame": FRAME}, {"x": float("nan")}))


def test_a_folders_digest_knows_names_and_bytes(tmp_path):
    for name, text in (("a", "1"), ("b", "2")):
        (tmp_path / name).write_text(text)
    first = folder_digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "c")
    renamed = folder_digest(tmp_path)
    (tmp_path / "c").write_text("3")
    assert len({first, renamed, folder_digest(tmp_path)}) == 3


def test_a_texts_digest_forgets_the_order_of_keys_and_nothing_else():
    assert digest_text({"a": 1, "b": 2}) == digest_text({"b": 2, "a": 1})
    values = [{"a": 1}, {"a": "1"}, {"a": 1.5}, {"b": 1}, [1], [[1]], [1, 2], [2, 1], "[1]", None]
    assert len({digest_text(v) for v in values}) == len(values)
    assert len(digest_text(json.dumps(values))) == 16
