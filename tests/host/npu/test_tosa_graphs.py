"""What no operator of PyTorch brings to the NPU: graphs written in TOSA, against the reference model."""

import numpy as np
import pytest

from mcu_build.npu.commands import decode
from tests.support.npu_cases import compiled
from tests.support.npu_check import check_exact
from tests.support.npu_tosa import graph

MAP = (1, 5, 6, 7)
WIDE = (MAP, "int32", -100_000, 100_000)
SHIFTS = (MAP, "int32", 0, 31)


def commands(case, name: str) -> list[int]:
    return [one.value for one in decode(case.payload.stream, case.product) if one.command.name == name]


@pytest.mark.parametrize("kind", ["int8", "int16"])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [(MAP, 1), (MAP, 2), (MAP, 3), ((6, 19), 1), ((1, 3, 700, 5), 2)],
)
def test_argmax(shape, axis, kind):
    output = tuple(size for place, size in enumerate(shape) if place != axis)
    # Few different values: of several largest the first counts.
    made = graph("ArgMax", [(shape, kind, -9, 9)], (output, "int32"), (axis, 1))
    case = compiled(made, "ethos-u85-256")
    check_exact(case)
    assert commands(case, "OP_POOL") == [6] * len(commands(case, "OP_POOL"))


def test_division():
    made = graph("IntDiv", [WIDE, (MAP, "int32", 1, 300)], (MAP, "int32"))
    case = compiled(made, "ethos-u85-256")
    check_exact(case)
    assert 11 in commands(case, "OP_ELEMENTWISE")


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u85-256"])
def test_tables_from_16_to_32_bits(target):
    steps = np.random.default_rng(5).integers(-60, 61, 513)
    table = np.clip(np.cumsum(steps), -32768, 32767).astype(np.int16)
    made = graph("Table", [(MAP, "int16", -32768, 32767)], (MAP, "int32"), constants=[table])
    check_exact(compiled(made, target))


@pytest.mark.parametrize("operator", ["LogicalLeftShift", "LogicalRightShift"])
def test_shifts(operator):
    check_exact(compiled(graph(operator, [WIDE, SHIFTS], (MAP, "int32")), "ethos-u85-256"))


@pytest.mark.parametrize("kind", ["int8", "int16"])
@pytest.mark.parametrize(("planes", "rows", "picked", "depth"), [(1, 9, 5, 6), (3, 7, 5, 4), (2, 7, 1, 16)])
def test_gather(planes, rows, picked, depth, kind):
    inputs = [((planes, rows, depth), kind, -128, 127), ((planes, picked), "int32", 0, rows - 1)]
    case = compiled(graph("Gather", inputs, ((planes, picked, depth), kind)), "ethos-u85-256")
    check_exact(case)
    assert any(value >> 11 & 1 for value in commands(case, "SET_DMA0_SRC_REGION"))


@pytest.mark.parametrize(("planes", "rows", "depth"), [(1, 9, 6), (3, 7, 4)])
def test_scatter(planes, rows, depth):
    inputs = [
        ((planes, rows, depth), "int8", -128, 127),
        ((planes, 1), "int32", 0, rows - 1),
        ((planes, 1, depth), "int8", -128, 127),
    ]
    case = compiled(graph("Scatter", inputs, ((planes, rows, depth), "int8")), "ethos-u85-256")
    check_exact(case)
    assert any(value >> 11 & 1 for value in commands(case, "SET_DMA0_DST_REGION"))
