"""What may import what: the ground floor nothing above it, text no passes, and nothing in circles."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mcu_build

ROOT = Path(mcu_build.__file__).parent
# Of each folder, all that it may import beside itself and the modules that import nothing.
ALLOWED = {
    "ir": set[str](),
    "npu": set[str](),
    "kernels": {"arithmetic", "ir"},
    "codegen": {"board", "cache", "hardware", "ir", "npu", "process", "resources"},
}


def imported(file: Path) -> Iterator[str]:
    """The modules of ours that a file imports, as paths below the package."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mcu_build":
            base = node.module.split(".")[1:]
            for name in node.names:
                inner = "/".join([*base, name.name])
                yield inner if is_module(inner) else "/".join(base)
        elif isinstance(node, ast.Import):
            names = [name.name.split(".") for name in node.names]
            yield from ("/".join(name[1:]) for name in names if name[0] == "mcu_build")


def is_module(path: str) -> bool:
    return (ROOT / f"{path}.py").is_file() or (ROOT / path).is_dir()


def graph() -> dict[str, set[str]]:
    """For each folder, and each module beside them, which others it imports."""
    found: dict[str, set[str]] = {}
    for file in sorted(ROOT.rglob("*.py")):
        unit = file.relative_to(ROOT).with_suffix("").parts[0]
        found.setdefault(unit, set()).update(path.split("/")[0] for path in imported(file) if path)
    return {unit: others - {unit} for unit, others in found.items()}


GRAPH = graph()
GROUND = {unit for unit, others in GRAPH.items() if not others and not (ROOT / unit).is_dir()}


def test_the_graph_is_read() -> None:
    assert {"errors", "layer_names"} <= GROUND
    assert "ir" in GRAPH["plan"] and len(GRAPH) > 30


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_lower_floors_import_nothing_above(folder: str) -> None:
    assert GRAPH[folder] - GROUND <= ALLOWED[folder]


def reached(unit: str) -> set[str]:
    """All that a folder or module imports, and what that imports, to the end."""
    found: set[str] = set()
    waiting = [unit]
    while waiting:
        new = GRAPH[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def test_no_imports_go_in_circles() -> None:
    assert {unit for unit in GRAPH if unit in reached(unit)} == set()
    assert {"plan", "ir", "errors"} <= reached("cli")
