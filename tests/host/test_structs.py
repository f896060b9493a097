"""The parameter structs of Python are those of C++: same names, members, order, types, lengths."""

import importlib
import pkgutil
import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import get_args, get_type_hints

import pytest

import mcu_build.ir.calls
import mcu_build.plan
from mcu_build.ir.calls.call import Call, roles_of
from mcu_build.ir.calls.struct import Struct
from mcu_build.resources import data_dir

_TYPES = {"int32_t": "int", "uint32_t": "int", "int64_t": "int64_t", "bool": "bool", "float": "float"}


def _load(package: ModuleType) -> None:
    """Import all of a package, so that every class is there."""
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)


def _subclasses(kind: type) -> set[type]:
    return {kind}.union(*map(_subclasses, kind.__subclasses__())) - {Struct, Call}


def _python_structs() -> dict[str, list[tuple[str, str]]]:
    """Members of every parameter struct: (name, type)."""
    _load(mcu_build.ir.calls)
    _load(mcu_build.plan)
    return {kind.__name__: _members(kind) for kind in _subclasses(Struct)}


def _members(kind: type) -> list[tuple[str, str]]:
    hints = get_type_hints(kind, include_extras=True)
    return [(field.name, _python_type(hints[field.name])) for field in fields(kind)]


def _python_type(hint: object) -> str:
    if isinstance(hint, type):
        return hint.__name__
    array, length = get_args(hint)
    if array is int:
        return str(length)
    return f"{get_args(array)[0].__name__}[{length}]"


def _cpp_structs(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """The aggregates of all kernel headers, as they are written there."""
    found = {}
    for header in sorted(folder.glob("*.h")):
        if header.name.startswith("math_"):
            continue  # They have a Pair of their own, of floats, and no parameters.
        text = re.sub(r"//[^\n]*", "", header.read_text())
        for name, body in re.findall(r"\nstruct (\w+) \{(.*?)\n\};", text, re.S):
            declared = re.findall(r"(\w+)\s+([^;]+);", body)
            found[name] = [_cpp_member(kind, one) for kind, names in declared for one in names.split(",")]
    return found


def _cpp_member(kind: str, declarator: str) -> tuple[str, str]:
    name, _, length = declarator.strip().partition("[")
    return name, _TYPES.get(kind, kind) + (f"[{length}" if length else "")


CPP = _cpp_structs(data_dir() / "firmware" / "include" / "mcu" / "kernels")
PYTHON = _python_structs()


@pytest.mark.parametrize("name", sorted(PYTHON))
def test_a_struct_is_the_same_in_both_languages(name: str) -> None:
    assert PYTHON[name] == CPP[name]


@pytest.mark.parametrize(
    "member", ["int32_t stride;", "bool stride;", "int32_t stride[4];", "int32_t step;", "Pair stride;"]
)
def test_a_difference_is_noticed(member: str, tmp_path: Path) -> None:
    members = f"    int32_t rows;\n    int32_t bytes;\n    {member}  // of the output\n    int32_t offset;\n"
    (tmp_path / "concat.h").write_text(f"namespace mcu {{\nstruct ConcatParams {{\n{members}}};\n}}\n")
    same = PYTHON["ConcatParams"] == _cpp_structs(tmp_path)["ConcatParams"]
    assert same == (member == "int32_t stride;")


def test_every_parameter_struct_of_a_kernel_has_a_class() -> None:
    assert {name for name in CPP if name.endswith("Params")} <= PYTHON.keys()


def test_every_call_names_parameters_and_operands() -> None:
    calls = [kind for kind in _subclasses(Call) if not kind.__subclasses__()]
    assert len(calls) > 20
    for kind in calls:
        arguments = fields(kind)
        assert arguments[0].name == "params" and roles_of(kind), kind
