"""The text pages: lines of at most 120 characters, tables with equal columns, links that lead somewhere."""

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WIDTH = 120
URL = re.compile(r"[-*> ]*<?https?://\S+")


def pages() -> list[str]:
    """Markdown files that git tracks, or all that are not in a hidden folder where there is no git."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    files = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    own = sorted(str(path) for path in files if not any(part.startswith(".") for part in path.parts))
    return listed.stdout.splitlines() or own


def prose(text: str) -> list[tuple[int, str]]:
    """Numbered lines outside code blocks."""
    kept, code = [], False
    for number, line in enumerate(text.splitlines(), 1):
        fence = line.lstrip().startswith("```")
        if not code and not fence:
            kept.append((number, line))
        code ^= fence
    return kept


def too_long(text: str) -> list[int]:
    """Numbers of the lines that are too long, apart from tables, code blocks and bare URLs."""
    lines = ((number, line) for number, line in prose(text) if not line.startswith("|"))
    return [number for number, line in lines if len(line) > WIDTH and not URL.fullmatch(line)]


def columns(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", row)))


def uneven(text: str) -> list[int]:
    """Numbers of the table rows whose number of columns differs from that of the row above."""
    lines = prose(text)
    rows = [(b, first, second) for (a, first), (b, second) in pairwise(lines) if b == a + 1]
    return [n for n, a, b in rows if a.startswith("|") and b.startswith("|") and columns(a) != columns(b)]


def anchors(text: str) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    titles = [line.lstrip("# ") for _, line in prose(text) if re.match(r"#+ ", line)]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_checks_find_what_they_should():
    long = "word " * 30
    assert too_long(f"fine\n{long}\n| {long} |\n```\n{long}\n```\n{long}") == [2, 7]
    assert too_long("https://" + "a" * WIDTH) == []
    assert uneven("| a | b |\n|---|---|\n| `x|y` | c |\n| d |\n\n| e |") == [4]
    assert anchors("# What `a-b` is, and why\n```\n# no\n```") == {"what-a-b-is-and-why"}


@pytest.mark.parametrize("page", pages())
def test_lines_are_short(page):
    assert too_long((ROOT / page).read_text()) == []


@pytest.mark.parametrize("page", pages())
def test_tables_have_equal_columns(page):
    assert uneven((ROOT / page).read_text()) == []


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", (ROOT / page).read_text()):
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text()), target
