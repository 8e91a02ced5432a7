"""Files of the package that are no Python code: they must be in the wheel, and hold what the code reads from them."""

import re
import tomllib
from pathlib import Path

import pytest

from offstride.data import ARCHIVES, OFFICIAL, ClassSet
from offstride.data.prepare.archives import Archive

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "offstride"
PATTERNS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["offstride"]


def test_every_file_is_listed_in_package_data():
    files = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc", ".so")}
    listed = {pattern: set(PACKAGE.glob(pattern)) for pattern in PATTERNS}
    assert all(listed.values()), "a pattern matches nothing"
    assert files == set.union(*listed.values())


@pytest.mark.parametrize("path", sorted((PACKAGE / "data" / "classes").iterdir()), ids=lambda path: path.stem)
def test_class_files_say_everything(path):
    classes = ClassSet.from_file(path)
    assert path.read_text().count('"color"') == len(classes)


def test_the_table_of_archives_is_complete():
    names = [name.partition("59")[0].partition("60")[0] for name in OFFICIAL]
    assert set(ARCHIVES) == {"camvid", *names}
    for archive in {archive for archives in ARCHIVES.values() for archive in archives}:
        assert archive.splits
        assert archive.url.startswith("http")
        assert archive.size is None or archive.size > 1 << 20
        for pattern, place in archive.moves:
            re.sub(pattern, place, "")  # an error where the place names a group that the pattern lacks


def test_where_members_go():
    pattern, place = r"(a|b)/(.*)", r"\2/\1"
    archive = Archive("x.zip", ("train",), "x", "http://x", moves=((pattern, place), ("(?s).*[.]txt", r"lists/\g<0>")))
    members = {"a/1.png": "1.png/a", "b/x.txt": "x.txt/b", "c/\n.txt": "lists/c/\n.txt", "c/a/1.png": None}
    assert {member: archive.place(member) for member in members} == members
    assert Archive("x.zip", ("train",), "x", "http://x").place("c/a") == "c/a"
