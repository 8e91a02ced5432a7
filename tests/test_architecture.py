"""The rooms of `offstride` and the one-way stairs between them, read from the imports."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "offstride"

FLOORS = {
    "ops": 0,
    "field": 1,
    "features": 1,
    "layers": 1,
    "upsamplers": 2,
    "backbones": 2,
    "fusion": 2,
    "heads": 2,
    "losses": 2,
    "metrics": 2,
    "data": 2,
    "inference": 2,
    "models": 3,
    "visualize": 3,
    "evaluate": 4,
    "export": 4,
    "replace": 4,
    "train": 5,
    "compare": 5,
    "cli": 6,
}

HOMES = {
    "timm": {"backbones"},
    "huggingface_hub": {"models"},
    "onnx": {"export"},
    "onnxruntime": {"export"},
    "lightning": {"train"},
    "matplotlib": {"visualize"},
    "jinja2": {"visualize"},
    "torchmetrics": {"metrics"},
    "jsonargparse": {"cli"},
    "torchvision": {"data", "upsamplers", "replace"},
    "segmentation_models_pytorch": {"replace"},
    "transformers": {"replace"},
    "triton": {"ops"},
    "scipy": {"compare", "data"},
    "pycocotools": {"data"},
    "rich": {"train", "cli"},
}

FILES = sorted(SOURCE.rglob("*.py"))


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


def test_every_room_has_a_floor():
    rooms = {room(path) for path in FILES} - {"__init__", "__main__"}
    assert rooms == set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_only_go_down(path: Path):
    here = room(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "offstride" and len(parts) > 1 and parts[1] in FLOORS and here in FLOORS and parts[1] != here:
            assert FLOORS[parts[1]] < FLOORS[here], f"{here} (floor {FLOORS[here]}) imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_third_party_names_stay_at_home(path: Path):
    for name in imports(path):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or room(path) in homes, f"{name} belongs to {homes}"


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
