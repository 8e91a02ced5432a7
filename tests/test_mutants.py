"""The list of mutants must not rot: every one of them still applies. `python tests/mutants.py` plants them."""

from pathlib import Path

import pytest

from mutants import ROOT, Mutant, read_mutants

MUTANTS = read_mutants()
SOURCE = ROOT / "src" / "offstride"


def test_every_room_has_a_mutant():
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    rooms |= {path.stem for path in SOURCE.glob("[a-z]*.py")}  # field, features, layers
    assert {mutant.room for mutant in MUTANTS} == rooms
    assert len(MUTANTS) >= 34


def test_names_are_distinct():
    names = [mutant.name for mutant in MUTANTS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_still_applies(mutant: Mutant):
    text = (SOURCE / mutant.file).read_text(encoding="utf-8")
    assert mutant.planted(text) != text
    assert mutant.room in (Path(mutant.file).parts[0], Path(mutant.file).stem)
    paths = [part.partition("::")[0] for part in mutant.selection if part.startswith("tests/")]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
