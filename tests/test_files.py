"""Files appear whole or not at all, whatever happens meanwhile."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from offstride import files
from offstride.files import write_bytes, write_text, write_whole

WRITER = """
import sys
from pathlib import Path
from offstride.files import write_whole

for _ in range(40):
    with write_whole(sys.argv[1], sync=False) as temporary, temporary.open("w") as file:
        for _ in range(50):
            file.write(sys.argv[2] * 1000)
            file.flush()
"""


def test_text_and_bytes(tmp_path):
    write_text(tmp_path / "deep" / "er" / "text", "Größe\n")
    write_bytes(str(tmp_path / "bytes"), b"\x00\r\n")
    assert (tmp_path / "deep" / "er" / "text").read_bytes() == "Größe\n".encode()
    assert (tmp_path / "bytes").read_bytes() == b"\x00\r\n"
    assert os.listdir(tmp_path / "deep" / "er") == ["text"]


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "figures.json"
    write_text(path, "old")
    with write_whole(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.suffix == ".partial"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["figures.json"]


def fail_halfway(path, error):
    with write_whole(path) as temporary:
        temporary.write_bytes(b"half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("old", [b"old", None])
def test_a_failure_in_the_middle_leaves_what_was_there(tmp_path, error, old):
    path = tmp_path / "file"
    if old is not None:
        path.write_bytes(old)
    before = os.listdir(tmp_path)
    with pytest.raises(error):
        fail_halfway(path, error)
    assert os.listdir(tmp_path) == before
    assert old is None or path.read_bytes() == old


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(tmp_path, name, monkeypatch):
    def full(*arguments):
        raise OSError("no space left on device")

    write_text(tmp_path / "file", "old")
    monkeypatch.setattr(files.os, name, full)
    with pytest.raises(OSError, match="no space left"):
        write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_the_content_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace

    def synced(descriptor):
        calls.append(("sync", os.fstat(descriptor).st_size))
        fsync(descriptor)

    def replaced(source, target):
        calls.append(("name", os.stat(source).st_size))
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", synced)
    monkeypatch.setattr(files.os, "replace", replaced)
    write_text(tmp_path / "file", "12345")
    assert calls == [("sync", 5), ("name", 5)]
    with write_whole(tmp_path / "file", sync=False) as temporary:
        temporary.write_text("123")
    assert calls[2:] == [("name", 3)]


def test_nothing_written_is_an_error(tmp_path):
    for sync in (True, False):
        with pytest.raises(FileNotFoundError), write_whole(tmp_path / "file", sync=sync):
            pass
    assert os.listdir(tmp_path) == []


def test_two_processes_never_mix(tmp_path):
    """Both write the same path over and over, a little at a time: every reader sees the whole file of one of them."""
    path = tmp_path / "shared"
    write_text(path, "a" * 50_000)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), letter]) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        content = path.read_text()
        assert len(content) == 50_000
        assert len(set(content)) == 1
        seen |= set(content)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen == {"a", "b"}
    assert os.listdir(tmp_path) == ["shared"]


def test_two_writers_have_names_of_their_own(tmp_path):
    with write_whole(tmp_path / "file") as one, write_whole(tmp_path / "file") as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert (tmp_path / "file").read_text() == "one"  # the outer block ends last


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_any_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    link, target = tmp_path / "link", tmp_path / "real" / "file"
    link.symlink_to(target)
    for text in ("first", "second"):  # the link leads nowhere at first
        write_text(link, text)
        assert link.is_symlink()
        assert target.read_text() == text
    assert os.listdir(tmp_path / "real") == ["file"]


def test_long_names(tmp_path):
    name = "ä" * 120  # 240 of the 255 bytes that a name may have
    write_text(tmp_path / name, "text")
    assert os.listdir(tmp_path) == [name]


def test_places_that_cannot_be_written(tmp_path):
    write_text(tmp_path / "file", "text")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "below", tmp_path / "folder", tmp_path / ("x" * 300)):
        with pytest.raises(OSError, match=str(tmp_path)):
            write_text(path, "text")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_folder_that_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    folder = Path("/proc/self") if os.geteuid() == 0 else tmp_path  # not even root makes files there
    try:
        with pytest.raises(OSError, match="partial"):
            write_text(folder / "file", "new")
        assert not (folder / "file").exists()
    finally:
        tmp_path.chmod(0o700)
