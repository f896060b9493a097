"""Plans that are data: structs lie as compilers lay them, and damaged tables are refused."""

import dataclasses
import importlib
import pkgutil
import struct
from pathlib import Path

import numpy as np
import pytest

import mcu_build.ir.calls
import mcu_build.plan
from mcu_build import process
from mcu_build.codegen.kernel_set import KernelSet
from mcu_build.codegen.table import encode
from mcu_build.ir.calls.int8 import LookupParams, NormParams, NormStrides
from mcu_build.ir.calls.memory import layout, packed
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.plan import Plan
from mcu_build.plan.compile import compile_program
from mcu_build.resources import data_dir
from tests.support.graphs import Graph
from tests.support.tables import host

FIRMWARE = data_dir() / "firmware"
MUTATIONS, MORE_MUTATIONS = 10_000, 100_000


def structs() -> list[type[Struct]]:
    for package in (mcu_build.ir.calls, mcu_build.plan):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    found = host.subclasses(Struct) - {Struct}
    return sorted(found, key=lambda kind: kind.__name__)


def test_structs_lie_in_memory_as_the_compiler_lays_them(tmp_path: Path) -> None:
    headers = sorted((FIRMWARE / "include" / "mcu" / "kernels").glob("*.h"))
    lines = [f'#include "mcu/kernels/{file.name}"' for file in headers if not file.name.startswith("math_")]
    lines += ["#include <cstddef>", "using namespace mcu::kernels;"]
    for kind in structs():
        made, name = layout(kind), kind.__name__
        lines.append(f"static_assert(sizeof({name}) == {made.size} && alignof({name}) == {made.alignment});")
        for member in made.members:
            size = struct.calcsize(f"<{member.format}")
            lines.append(
                f"static_assert(offsetof({name}, {member.path}) == {member.offset} && "
                f"sizeof({name}::{member.path.partition('[')[0].partition('.')[0]}) >= {size});"
            )
    source = tmp_path / "structs.cpp"
    source.write_text("\n".join(lines) + "\n")
    command = ["g++", "-std=c++20", "-fsyntax-only", "-I", FIRMWARE / "include", source]
    finished = process.run(command)
    assert finished.status == 0, finished.stderr
    source.write_text(source.read_text().replace("sizeof(LookupParams) == 4", "sizeof(LookupParams) == 8"))
    assert process.run(command).status != 0


def test_bytes_of_a_struct() -> None:
    assert packed(LookupParams(-2)) == struct.pack("<i", -2)
    given = NormParams(1, 2, 3, 4, NormStrides(5, 6, 7), 8, -9, 10, 11, True, 1 << 40)
    numbers = (1, 2, 3, 4, 5, 6, 7, 8, -9, 10, 11)
    # The last number is 64 bits wide and begins at a multiple of 8.
    assert packed(given) == struct.pack("<11i?3xq", *numbers, True, 1 << 40)
    with pytest.raises(ValueError, match="32 bits"):
        packed(LookupParams(1 << 32))


def net() -> Plan:
    """A sum, a convolution, a table and a pool; one input in memory that keeps its bytes."""
    graph = Graph(3)
    x, y = graph.input(1, 4, 6, 5), graph.input(1, 4, 6, 5)
    weights = graph.dice.integers(-127, 128, (8, 3, 3, 4)).astype(np.int8)
    made = graph.conv(graph.add(x, y), weights, np.zeros(8, np.int32), padding=1)
    result = graph.lookup(made)
    plan = compile_program(graph.program(result, graph.max_pool(made)), "net")
    kept = dataclasses.replace(plan.tensors[plan.inputs[1]], state=0)
    return dataclasses.replace(plan, tensors={**plan.tensors, kept.id: kept}, initial_state=bytes(range(120)))


def fuzz(count: int, folder: Path, include: Path | None = None) -> process.Finished:
    """What came of so many damaged tables, by status of mcu/runtime/plan.h; with headers in place of ours."""
    plan = net()
    kernels = KernelSet.of(plan.steps)
    (folder / "table.bin").write_bytes(encode(plan, kernels.numbers))
    return process.run([host.linked(kernels, "fuzz", include), str(count)], cwd=folder, timeout=900)


def statuses(finished: process.Finished) -> dict[int, int]:
    assert finished.status == 0, finished.stdout + finished.stderr
    return {int(line.split()[0]): int(line.split()[1]) for line in finished.stdout.splitlines()}


def test_damaged_tables_are_refused(tmp_path: Path) -> None:
    """Every status is met but kMisplaced: checks behind the checksum count, and some tables are fit."""
    found = statuses(fuzz(MUTATIONS, tmp_path))
    assert sum(found.values()) == MUTATIONS
    assert min(found[status] for status in (0, 1, 2, 3, 4, 5, 6, 8)) > 10, found


@pytest.mark.slow
def test_more_damaged_tables_are_refused(tmp_path: Path) -> None:
    assert sum(statuses(fuzz(MORE_MUTATIONS, tmp_path)).values()) == MORE_MUTATIONS


@pytest.mark.slow
@pytest.mark.parametrize(
    "check",
    [
        "fits(step.params, kernel.params_bytes, table_.size())",
        "fits(step.first, kernel.operands.size(), count)",
        "fits(place.offset, bytes(place), sizes_[where])",
        "step.kernel < kernels_.kernels.size()",
    ],
)
def test_a_check_that_is_left_out_is_noticed(check: str, tmp_path: Path) -> None:
    text = (FIRMWARE / "include" / "mcu" / "runtime" / "plan.h").read_text()
    assert check in text
    folder = tmp_path / "mcu" / "runtime"
    folder.mkdir(parents=True)
    (folder / "plan.h").write_text(text.replace(check, f"({check} || true)"))
    assert fuzz(MUTATIONS, tmp_path, tmp_path).status != 0
