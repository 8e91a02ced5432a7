"""Archives that are none, are not whole, are not those that were published, or mean harm."""

import hashlib
import io
import stat
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_archives import CONTENTS, write_archive, write_archives

from offstride.data import ARCHIVES, prepare_dataset
from offstride.data.prepare import archives as table

ADE, TEST = "ADEChallengeData2016.zip", "release_test.zip"


def prepare(tmp_path: Path, name: str = "ade20k", **options):
    return prepare_dataset(name, [tmp_path / "archives"], tmp_path / "root", **options)


def nothing_unpacked(tmp_path: Path) -> bool:
    return not [path for path in (tmp_path / "root").rglob("*") if path.is_file() and path.name[0] != "."]


@pytest.fixture
def published(tmp_path, monkeypatch):
    """ADE20K in miniature, with the checksums of the miniature."""
    folder = write_archives(tmp_path / "archives", "ade20k")

    def described(archive):
        data = (folder / archive.name).read_bytes()
        algorithm = archive.checksum.partition(":")[0]
        return replace(archive, checksum=f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}", size=len(data))

    monkeypatch.setitem(table.ARCHIVES, "ade20k", tuple(map(described, ARCHIVES["ade20k"])))
    return folder


def test_checksums_have_the_form_of_their_algorithm():
    for archives in ARCHIVES.values():
        for archive in archives:
            algorithm, _, digits = archive.checksum.partition(":")
            assert bool(archive.checksum) == bool(archive.checksum_from)
            if archive.checksum:
                assert len(digits) == 2 * hashlib.new(algorithm).digest_size
                assert int(digits, 16) >= 0


def test_the_published_checksum_is_compared(tmp_path, published):
    lines = []
    prepare(tmp_path, note=lines.append)
    assert f"{ADE}: sha256 as published (TensorFlow Datasets)" in lines
    assert f"{TEST}: sha1 as published (GluonCV)" in lines
    prepare(tmp_path, note=lines.append)
    assert f"{ADE}: sha256 as published (TensorFlow Datasets), checked before" in lines


def test_wrong_checksum(tmp_path, published):
    data = bytearray((published / ADE).read_bytes())
    data[60] ^= 1
    (published / ADE).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    with pytest.raises(ValueError, match=f"archive .*{ADE}: expected sha256 [0-9a-f]{{64}} .*, got {digest}: damaged"):
        prepare(tmp_path)
    assert nothing_unpacked(tmp_path)


@pytest.mark.parametrize("change", [-1, 1])
def test_wrong_size(tmp_path, published, change):
    data = (published / ADE).read_bytes()
    (published / ADE).write_bytes(data[:-1] if change < 0 else data + b"\0")
    size, kind = len(data), "truncated, or another version" if change < 0 else "another version"
    message = rf"archive .*{ADE}: expected {size} bytes, got {size + change}: {kind} \(--skip-checksum accepts it"
    with pytest.raises(ValueError, match=message):
        prepare(tmp_path)
    assert nothing_unpacked(tmp_path)


def test_another_version_can_be_taken_on_request_and_is_checked_later(tmp_path):
    write_archives(tmp_path / "archives", "ade20k")
    lines = []
    prepare(tmp_path, skip_checksum=True, note=lines.append)
    assert f"{ADE}: read to its end (checksum skipped)" in lines
    with pytest.raises(ValueError, match="expected 967382037 bytes"):
        prepare(tmp_path)


@pytest.mark.parametrize("name", ["voc2012", "pascal_context", "cityscapes"])
@pytest.mark.parametrize("share", [0, 0.05, 0.5, 0.9])
def test_truncated_archives(tmp_path, name, share):
    folder = write_archives(tmp_path / "archives", name)
    for archive in CONTENTS[name]:
        data = (folder / archive).read_bytes().rstrip(b"\0")  # a tar is filled up with zeros
        (folder / archive).write_bytes(data[: int(share * len(data))])
        with pytest.raises(ValueError, match=f"archive .*{archive}: expected .*(damaged or truncated|found none)"):
            prepare_dataset(name, [folder / archive], tmp_path / "root", skip_checksum=True)
        assert nothing_unpacked(tmp_path)


def test_a_tar_that_ends_between_two_members_is_truncated(tmp_path):
    """tarfile takes such a file for a shorter archive."""
    archive = write_archive(tmp_path / "archives" / "VOC2012test.tar", CONTENTS["voc2012"]["VOC2012test.tar"])
    with tarfile.open(archive) as tar:
        end = tar.getmembers()[-1].offset
    archive.write_bytes(archive.read_bytes()[:end])
    with pytest.raises(ValueError, match=r"damaged or truncated .the end-of-archive mark is missing"):
        prepare(tmp_path, "voc2012", skip_checksum=True)


@pytest.mark.parametrize("archive", ["gtCoarse.zip", "trainval.tar.gz"])  # without a published checksum
def test_damage_is_found_without_a_checksum(tmp_path, archive):
    name = "cityscapes" if archive == "gtCoarse.zip" else "pascal_context"
    noise = bytes(range(256)) * 40
    path = write_archive(tmp_path / "archives" / archive, {f"trainval/{n}": noise for n in "abc"})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"archive .*{archive}: expected a whole archive, found it damaged"):
        prepare(tmp_path, name)
    assert nothing_unpacked(tmp_path)


def test_something_else_under_the_name_of_an_archive(tmp_path):
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / TEST).write_text("<html>404</html>")
    with pytest.raises(ValueError, match=f"archive .*{TEST}: expected a whole archive"):
        prepare(tmp_path, skip_checksum=True)


def test_an_archive_of_other_things(tmp_path):
    write_archive(tmp_path / "archives" / "benchmark.tgz", {"elsewhere/file": b""})
    with pytest.raises(ValueError, match=r"expected files that become .*benchmark_RELEASE/dataset/cls, found none"):
        prepare(tmp_path, "voc2012", skip_checksum=True)


@pytest.mark.parametrize("archive", ["VOC2012test.tar", "benchmark.tgz", "VOC2012test.zip"])
@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "a/../../escaped", "..", "C:/escaped", "a\\..\\b"])
def test_members_outside_the_target(tmp_path, monkeypatch, archive, name):
    if archive.endswith(".zip"):  # the same archive as a zip
        renamed = tuple(replace(a, name=a.name.replace("test.tar", "test.zip")) for a in ARCHIVES["voc2012"])
        monkeypatch.setitem(table.ARCHIVES, "voc2012", renamed)
    good = "benchmark_RELEASE/dataset/train.txt"
    write_archive(tmp_path / "archives" / archive, {good: b"good", name: b"bad"})
    with pytest.raises(ValueError, match=r"archive .*expected plain files below its own folder, got member .*outside"):
        prepare(tmp_path, "voc2012", skip_checksum=True)
    assert nothing_unpacked(tmp_path)
    assert not list(tmp_path.rglob("*escaped*"))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.FIFOTYPE, "a device"),
    ],
)
def test_links_and_devices_in_a_tar(tmp_path, kind, reason):
    path = tmp_path / "archives" / "VOC2012test.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("VOCdevkit/odd")
        info.type, info.linkname = kind, "VOCdevkit/other"
        tar.addfile(info)
    with pytest.raises(ValueError, match=f"got member 'VOCdevkit/odd', which is {reason}"):
        prepare(tmp_path, "voc2012", skip_checksum=True)
    assert nothing_unpacked(tmp_path)


def test_links_and_encrypted_members_in_a_zip(tmp_path):
    path = tmp_path / "archives" / TEST
    path.parent.mkdir()
    link = zipfile.ZipInfo("release_test/testing/link.jpg")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match=r"link\.jpg', which is a link or a device"):
        prepare(tmp_path, skip_checksum=True)
    data = bytearray(write_archive(path, CONTENTS["ade20k"][TEST]).read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1  # the flag of encryption in the directory
    path.write_bytes(data)
    with pytest.raises(ValueError, match="which is encrypted"):
        prepare(tmp_path, skip_checksum=True)


def test_what_is_given_must_be_archives_of_the_data_set(tmp_path):
    folder = write_archives(tmp_path / "archives", "ade20k")
    with pytest.raises(ValueError, match=r"name: expected one of .*'voc2012'.*, got 'imagenet'"):
        prepare(tmp_path, "imagenet")
    with pytest.raises(ValueError, match=r"from: expected gtFine|from: expected leftImg8bit_trainvaltest.zip or"):
        prepare(tmp_path, "cityscapes")
    with pytest.raises(ValueError, match=rf"from: expected a file named {ADE} or {TEST}, got .*notes.txt"):
        prepare_dataset("ade20k", [folder / "notes.txt"], tmp_path / "root")
    with pytest.raises(ValueError, match=r"from: .*absent does not exist"):
        prepare_dataset("ade20k", [tmp_path / "absent"], tmp_path / "root")
    again = write_archive(tmp_path / "again" / TEST, CONTENTS["ade20k"][TEST])
    with pytest.raises(ValueError, match=f"from: expected {TEST} once, got"):
        prepare_dataset("ade20k", [folder, again], tmp_path / "root")


def test_a_lying_size_in_a_tar_header_ends_clearly(tmp_path):
    """A header that claims more than the file holds."""
    path = write_archive(tmp_path / "archives" / "VOC2012test.tar", {"VOCdevkit/a": b"x" * 600})
    data = io.BytesIO(path.read_bytes())
    with tarfile.open(fileobj=data) as tar:
        info = tar.getmember("VOCdevkit/a")
    info.size = 1 << 30
    content = bytearray(path.read_bytes())
    content[info.offset : info.offset + 512] = info.tobuf(tarfile.GNU_FORMAT)[:512]
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged or truncated"):
        prepare(tmp_path, "voc2012", skip_checksum=True)
