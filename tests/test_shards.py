"""A corpus folder is read as it was written, or refused."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from invented import batch

from arxivcli import shards
from arxivcli.errors import FolderError, UsageError
from arxivcli.papers import PAPERS
from arxivcli.shards import Manifest, Shards, Source, Split


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    papers = pa.Table.from_batches([batch(30)])
    made = [shards.write_shard(tmp_path, f"train/{n:05d}.parquet", papers[n * 10 : n * 10 + 10]) for n in range(3)]
    empty = Split(0, {}, ())
    manifest = Manifest(
        level="category",
        labels=("cs.CL", "hep-ph"),
        settings={"seed": 0},
        settings_sha256=shards.settings_sha256({"seed": 0}),
        sources=(Source("a.jsonl", 5, "00"),),
        read=31,
        kept=30,
        dropped={"not JSON": 1},
        splits={
            "train": Split(30, {"cs.CL": 30}, tuple(made)),
            "validation": empty,
            "calibration": empty,
            "test": empty,
        },
    )
    (tmp_path / "manifest.json").write_bytes(manifest.to_bytes())
    return tmp_path


def test_what_was_written_is_read(corpus: Path) -> None:
    found = Shards.open(corpus)
    assert (found.level, found.labels, found.rows("train"), found.rows("test")) == (
        "category",
        ("cs.CL", "hep-ph"),
        30,
        0,
    )
    assert found.splits == ("train", "validation", "calibration", "test")
    assert found.table("train").equals(pa.Table.from_batches([batch(30)]))
    assert found.table("test").schema == PAPERS
    assert found.table("train", ["id"]).schema.names == ["id"]
    assert [some.num_rows for some in found.batches("train", batch_size=4)][:3] == [4, 4, 2]
    assert Manifest.from_bytes(found.manifest.to_bytes(), corpus) == found.manifest
    with pytest.raises(UsageError, match=r"no split tset; did you mean test\?"):
        found.rows("tset")


def test_the_same_papers_make_the_same_bytes(tmp_path: Path) -> None:
    papers = pa.Table.from_batches([batch(20)])
    first = shards.write_shard(tmp_path, "a.parquet", papers)
    again = shards.write_shard(tmp_path, "b.parquet", pa.concat_tables([papers[:7], papers[7:]]))
    assert first.sha256 == again.sha256


def test_damaged_folders_are_refused(corpus: Path) -> None:
    shard = corpus / "train/00001.parquet"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    with pytest.raises(FolderError, match=r"00001.parquet is not what the manifest says"):
        Shards.open(corpus)
    shard.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    with pytest.raises(FolderError, match=r"00001.parquet is not what the manifest says"):
        Shards.open(corpus).table("train")
    shard.write_bytes(b"PAR1" + bytes(len(content) - 8) + b"PAR1")
    with pytest.raises(FolderError, match=r"00001.parquet is not what the manifest says"):
        Shards.open(corpus).table("train")
    shard.unlink()
    with pytest.raises(FolderError, match=r"00001.parquet is missing"):
        Shards.open(corpus)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 1}', "{" * 2000])
def test_what_is_no_manifest(tmp_path: Path, content: str) -> None:
    with pytest.raises(
        FolderError, match=r"is no finished corpus: no manifest.json; make one with arxivcli preprocess"
    ):
        Shards.open(tmp_path)
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(FolderError, match="is no corpus manifest"):
        Shards.open(tmp_path)


def test_a_manifest_that_cannot_be_read_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(FolderError, match=r"cannot read .*manifest\.json: Is a directory"):
        Shards.open(tmp_path)


def test_a_newer_format_is_refused(corpus: Path) -> None:
    path = corpus / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2}))
    with pytest.raises(FolderError, match="corpus format 2, this is format 1"):
        Shards.open(corpus)
