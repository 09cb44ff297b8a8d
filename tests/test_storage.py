"""Files are whole or absent, folders have one owner, and a dead owner owns nothing."""

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arxivcli import storage
from arxivcli.errors import StorageError

OWNER = """
import sys, time
from pathlib import Path
from arxivcli import storage
with storage.owned(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(60)
"""


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_whole_file_has_its_bytes_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    storage.write_whole(tmp_path / "new" / "folder" / "file.bin", b"bytes")
    assert [p.name for p in (tmp_path / "new" / "folder").iterdir()] == ["file.bin"]
    assert (tmp_path / "new" / "folder" / "file.bin").read_bytes() == b"bytes"


@pytest.mark.parametrize("failure", [ValueError("a bug"), KeyboardInterrupt(), OSError(errno.EIO, "broken disk")])
def test_a_failure_inside_leaves_the_old_file_and_no_partial_one(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "file"
    storage.write_whole(path, b"old")
    expected = StorageError if isinstance(failure, OSError) else type(failure)

    def half_written() -> None:
        with storage.whole_file(path) as file:
            file.write(b"half of the new")
            raise failure

    with pytest.raises(expected):
        half_written()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "open"])
def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """fsync is where a full disk shows last; os.open is how the folder is synced, after the rename."""
    with monkeypatch.context() as patched:
        patched.setattr(storage.os, call, full_disk)
        with pytest.raises(StorageError, match=r"cannot write .*file: the disk is full; free some space"):
            storage.write_whole(tmp_path / "file", b"bytes")
    assert not list(tmp_path.glob("*" + storage.PARTIAL))
    assert (tmp_path / "file").exists() == (call == "open")


@pytest.mark.parametrize(
    ("make", "name", "says"),
    [
        ("file", "file/inside", "a part of the path is a file|a file stands where a folder should be"),
        ("folder", "folder", "a folder stands where a file should be"),
        ("folder", "x" * 300, "the name is too long"),
    ],
)
def test_impossible_places(tmp_path: Path, make: str, name: str, says: str) -> None:
    if make == "file":
        (tmp_path / "file").write_bytes(b"")
    else:
        (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=says):
        storage.write_whole(tmp_path / name, b"bytes")


def test_a_broken_pipe_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), storage.storage_errors(tmp_path):
        raise BrokenPipeError


@given(st.binary(max_size=300))
def test_sha256_is_that_of_the_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "hashed"
    path.write_bytes(content)
    known = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
    assert storage.sha256(path) == known.stdout.split()[0]


def owner(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", OWNER, folder], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    return process


def test_the_second_owner_is_refused_and_a_killed_owner_is_followed(tmp_path: Path) -> None:
    with owner(tmp_path) as first:
        try:
            with (
                pytest.raises(StorageError, match=rf"in use by process {first.pid} on .*; wait"),
                storage.owned(tmp_path),
            ):
                pass
        finally:
            first.send_signal(signal.SIGKILL)
    assert (tmp_path / ".lock").exists()
    with storage.owned(tmp_path):
        assert re.match(rf"process {os.getpid()} on ", (tmp_path / ".lock").read_text())
    assert not (tmp_path / ".lock").exists()


def test_an_owner_who_fails_lets_go(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a bug"), storage.owned(tmp_path):
        raise ValueError("a bug")
    with storage.owned(tmp_path):
        pass


def test_a_link_stays_a_link_and_what_it_names_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    storage.write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
