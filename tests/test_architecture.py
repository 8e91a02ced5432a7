"""The rooms of `offstride` and the one-way stairs between them: CONTRIBUTING.md says them, the imports keep to them.

`python tests/test_architecture.py` prints the plan of the rooms: floor, room, files, lines.
"""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "offstride"
FILES = sorted(SOURCE.rglob("*.py"))


def table(heading: str) -> list[list[list[str]]]:
    """The rows below a table's head in CONTRIBUTING.md: for each cell the names in `code`, or its text if there are
    none.
    """
    lines = (ROOT / "CONTRIBUTING.md").read_text().splitlines()
    start = lines.index(heading) + 2
    end = next(index for index in range(start, len(lines)) if not lines[index].startswith("|"))
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:end]]
    return [[re.findall(r"`([^`]+)`", cell) or [cell] for cell in row] for row in cells]


FLOORS = {room: int(floor) for (floor,), rooms, _ in table("| floor | room | holds |") for room in rooms}
HOMES = {name: set(rooms) for names, rooms in table("| package | rooms |") for name in names}
CALLED = {*FLOORS} - {"ops", "field", "losses", "upsamplers"}
"""What `cli` may import: it parses, calls and prints; tensors, fields and losses are not its business."""


def room(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imports(path: Path) -> list[str]:
    """Modules that a file imports, in dotted form; relative imports are resolved."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append(node.module or "")
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = ("offstride", *path.relative_to(SOURCE).parts[: -node.level])
            found.append(".".join((*package, node.module or "")).rstrip("."))
    return found


def rooms_imported(path: Path) -> dict[str, str]:
    """Other rooms that a file imports from, each with a name that it imports."""
    parts = {name: name.split(".") for name in imports(path)}
    named = {part[1]: name for name, part in parts.items() if part[0] == "offstride" and len(part) > 1}
    return {other: name for other, name in named.items() if other in FLOORS and other != room(path)}


def test_every_room_has_a_floor():
    rooms = {room(path) for path in FILES} - {"__init__", "__main__"}
    assert rooms == set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_only_go_down(path: Path):
    here = room(path)
    for other, name in rooms_imported(path).items():
        if here in FLOORS:
            assert FLOORS[other] < FLOORS[here], f"{here} (floor {FLOORS[here]}) imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_third_party_names_stay_at_home(path: Path):
    for name in imports(path):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or room(path) in homes, f"{name} belongs to {homes}"


@pytest.mark.parametrize("path", sorted((SOURCE / "cli").glob("*.py")), ids=lambda path: path.name)
def test_the_command_line_parses_and_calls(path: Path):
    assert rooms_imported(path).keys() <= CALLED


def test_no_import_cycles_between_modules():
    graph = defaultdict(set)
    modules = {".".join(("offstride", *path.relative_to(SOURCE).with_suffix("").parts)): path for path in FILES}
    packages = {name.removesuffix(".__init__") for name in modules if name.endswith(".__init__")}
    for name, path in modules.items():
        graph[name] = {target for target in imports(path) if target in modules and target not in packages}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"import cycle: {' → '.join((*trail, name))}"
        if name not in done:
            for target in graph[name]:
                visit(target, (*trail, name))
            done.add(name)

    done: set[str] = set()
    for name in list(graph):
        visit(name, ())


def test_there_is_no_room_for_leftovers():
    names = {part for path in FILES for part in path.relative_to(SOURCE).with_suffix("").parts}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


def test_no_two_classes_share_a_name():
    places = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(SOURCE)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_file_names_of_tests_are_unique():
    """pytest imports test files by their bare names: a second one is not run, but an error."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert len(set(names)) == len(names), sorted({name for name in names if names.count(name) > 1})


def plan() -> str:
    """Floor, room, files and lines of Python of every room, and their sums."""
    sizes: dict[str, list[int]] = defaultdict(list)
    for path in FILES:
        sizes[room(path)].append(len(path.read_text().splitlines()))
    rows = sorted((FLOORS.get(name, -1), name, len(lines), sum(lines)) for name, lines in sizes.items())
    shown = [(str(floor) if floor >= 0 else "", name, files, lines) for floor, name, files, lines in rows]
    shown.append(("", "sum", len(FILES), sum(row[3] for row in rows)))
    head = f"{'floor':>5}  {'room':12} {'files':>5} {'lines':>7}"
    return "\n".join([head, *(f"{floor:>5}  {name:12} {files:5} {lines:7,}" for floor, name, files, lines in shown)])


if __name__ == "__main__":
    print(plan())
