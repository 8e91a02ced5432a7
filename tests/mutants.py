"""Faults that the tests must find: each is planted into a copy of the source, and the tests nearest to it must fail.

    python tests/mutants.py                 all of tests/mutants.yaml: a table, and exit code 1 if one survives
    python tests/mutants.py NAME …          some of them
    python tests/mutants.py --jobs 4        four at a time
    python tests/mutants.py --unharmed      the same tests on the source as it is: they must pass

A mutant survives if all its tests pass: then write the test that was missing, of behaviour, not of the text. One whose
`original` no longer stands exactly once in its file does not apply: look for where the code went, and plant it there.
What ends without a failing test (no test selected, an error while collecting) counts as broken, not as killed.
Tests run on a copy in a temporary folder, of which C code is built again where a mutant changes it; the working tree is
never written to.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_suffix(".yaml")
COPIED = ("src", "setup.py", "pyproject.toml", "README.md", "LICENSE")
KILLED, SURVIVED, BROKEN = "killed", "SURVIVED", "BROKEN"


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Args:
        name: What it is called.
        room: Room of the house that it is in.
        file: File below `src/offstride`.
        original: Text that stands there exactly once.
        changed: What stands there instead.
        fault: What an engineer would have done wrong.
        tests: Arguments of pytest that select the tests nearest to it.
    """

    name: str
    room: str
    file: str
    original: str
    changed: str
    fault: str
    tests: str

    def planted(self, text: str) -> str:
        """The text of its file with the fault.

        Raises:
            ValueError: If `original` is not there exactly once, or nothing would change.
        """
        if (count := text.count(self.original)) != 1 or self.original == self.changed:
            raise ValueError(f"{self.name}: expected its original text once in {self.file}, got {count}")
        return text.replace(self.original, self.changed)

    @property
    def selection(self) -> list[str]:
        """Arguments of pytest; a quoted part holds spaces."""
        return [quoted or plain for quoted, plain in re.findall(r"'([^']*)'|(\S+)", self.tests)]


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: one of the three words above, and the test that failed or what went wrong."""

    word: str
    by: str
    seconds: float


def read_mutants(path: Path = LIST) -> list[Mutant]:
    """The list."""
    return [Mutant(**entry) for entry in yaml.safe_load(path.read_text(encoding="utf-8"))]


def try_mutant(mutant: Mutant) -> Verdict:
    """Plant a mutant into a copy of the source and run its tests."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        try:
            copy_source(place)
            plant(mutant, place)
        except (ValueError, OSError, subprocess.CalledProcessError) as error:
            return Verdict(BROKEN, str(error), time.monotonic() - start)
        word, by = judged(run_tests(mutant.selection, place))
    return Verdict(word, by, time.monotonic() - start)


def copy_source(place: Path) -> None:
    """The package and what builds it, in another folder."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("*.egg-info"))
        elif source.exists():
            shutil.copy(source, place / name)


def plant(mutant: Mutant, place: Path) -> None:
    """Change the file in the copy; C code is built again."""
    path = place / "src" / "offstride" / mutant.file
    path.write_text(mutant.planted(path.read_text(encoding="utf-8")), encoding="utf-8")
    for stale in path.parent.glob(f"__pycache__/{path.stem}.*"):
        stale.unlink()
    if path.suffix in (".c", ".h"):
        for stale in path.parent.glob("_kernels*.so"):
            stale.unlink()
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        subprocess.run(command, cwd=place, check=True, capture_output=True)
        if not list(path.parent.glob("_kernels*.so")):
            raise ValueError(f"{mutant.name}: {mutant.file} does not compile")


def run_tests(selection: list[str], place: Path) -> subprocess.CompletedProcess[str]:
    """Pytest on the tests of the working tree with the package of the copy, until the first failure."""
    options = ["-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--tb=no", "-rfE", f"--basetemp={place / 'tmp'}"]
    environment = os.environ | {"PYTHONPATH": str(place / "src"), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "400"}
    command = [sys.executable, "-m", "pytest", *options, *selection]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def judged(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """What a run of pytest says of the mutant."""
    if done.returncode == 0:
        return SURVIVED, ""
    failed = re.search(r"^(?:FAILED|ERROR) (\S+::\S+)", done.stdout, re.MULTILINE)
    if done.returncode == 1 and failed:
        return KILLED, failed[1]
    return BROKEN, f"pytest says {done.returncode}: {' '.join((done.stdout + done.stderr).split())[-300:]}"


def try_unharmed(mutants: list[Mutant]) -> int:
    """The tests of all mutants on the source as it is; the exit code."""
    failed = 0
    for selection in dict.fromkeys(tuple(mutant.selection) for mutant in mutants):
        with tempfile.TemporaryDirectory() as folder:
            copy_source(Path(folder))
            done = run_tests([*selection], Path(folder))
        failed |= done.returncode
        print("passed" if done.returncode == 0 else "FAILED", *selection, *done.stdout.splitlines()[-1:], flush=True)
    return int(bool(failed))


def main() -> int:
    """Print the table; the exit code is 1 unless all are killed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="mutants to try, by name or room; all by default")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    parser.add_argument("--unharmed", action="store_true", help="run their tests on the source as it is")
    values = parser.parse_args()
    mutants = read_mutants()
    if strangers := set(values.names) - {name for mutant in mutants for name in (mutant.name, mutant.room)}:
        parser.error(f"expected names or rooms of the list, got {', '.join(sorted(strangers))}")
    chosen = [mutant for mutant in mutants if not values.names or {mutant.name, mutant.room} & set(values.names)]
    if values.unharmed:
        return try_unharmed(chosen)
    print("| mutant | room | fault | verdict | by | seconds |\n|---|---|---|---|---|--:|")
    words = []
    with ThreadPoolExecutor(values.jobs) as pool:
        for mutant, verdict in zip(chosen, pool.map(try_mutant, chosen), strict=True):
            words.append(verdict.word)
            print(
                f"| {mutant.name} | {mutant.room} | {mutant.fault} | {verdict.word} | {verdict.by} | "
                f"{verdict.seconds:.0f} |",
                flush=True,
            )
    print(f"\n{words.count(KILLED)} of {len(words)} killed", file=sys.stderr)
    return int(words.count(KILLED) < len(words))


if __name__ == "__main__":
    sys.exit(main())
