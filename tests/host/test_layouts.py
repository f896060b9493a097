"""Tensors keep the memory layout that they come in: less is moved, and every output stays what it was."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mcu_build.ir.plan import Plan
from mcu_build.ir.program import Program, TensorValue
from mcu_build.oracle.reference import evaluate
from mcu_build.plan.compile import compile_program
from mcu_build.plan.layouts import propagate_layouts
from mcu_build.plan.select import select
from tests.support.cases import run_plans
from tests.support.graphs import Graph, Ref

MOVE = "dim_order_ops::_clone_dim_order.out"


def contiguous(shape):
    return tuple(range(len(shape)))


def permute(graph, x):
    dims = graph.dice.permutation(len(graph.shape(x))).tolist()
    shape = [graph.shape(x)[d] for d in dims]
    return graph.call("aten::permute_copy.out", [Ref(x), dims], shape, contiguous(shape))


def transpose(graph, x):
    shape = list(graph.shape(x))
    i, j = (int(d) for d in graph.dice.integers(0, len(shape), 2))
    shape[i], shape[j] = shape[j], shape[i]
    return graph.call("aten::transpose_copy.int_out", [Ref(x), i, j], shape, contiguous(shape))


def unsqueeze(graph, x):
    shape = list(graph.shape(x))
    if len(shape) == 4:
        return squeeze(graph, x)
    place = int(graph.dice.integers(0, len(shape) + 1))
    shape.insert(place, 1)
    return graph.call("aten::unsqueeze_copy.out", [Ref(x), place], shape, contiguous(shape))


def squeeze(graph, x):
    shape = list(graph.shape(x))
    if 1 not in shape:
        return x
    place = shape.index(1)
    shape.pop(place)
    return graph.call("aten::squeeze_copy.dim_out", [Ref(x), place], shape, contiguous(shape))


def cut(graph, x):
    shape = list(graph.shape(x))
    place = int(np.argmax(shape))
    if shape[place] < 3:
        return x
    shape[place] -= 2
    arguments = [Ref(x), place, 1, shape[place] + 1, 1]
    return graph.call("aten::slice_copy.Tensor_out", arguments, shape, contiguous(shape))


def select_one(graph, x):
    shape = list(graph.shape(x))
    if len(shape) < 3:
        return x
    place = int(np.argmin(shape))
    shape.pop(place)
    return graph.call("aten::select_copy.int_out", [Ref(x), place, 0], shape, contiguous(shape))


def join(graph, x):
    shape = list(graph.shape(x))
    place = int(graph.dice.integers(0, len(shape)))
    shape[place] *= 2
    parts = (Ref(x), Ref(lookup(graph, x)))
    return graph.call("aten::cat.out", [parts, place], shape, contiguous(shape))


def pad(graph, x):
    shape = list(graph.shape(x))
    if len(shape) == 4:
        return x
    before = [0] * (4 - len(shape)) + graph.dice.integers(0, 2, len(shape)).tolist()
    grown = [a + b for a, b in zip(shape, before[4 - len(shape) :], strict=True)]
    return graph.call("cortex_m::pad.out", [Ref(x), before, [0] * 4, 7], grown, contiguous(shape))


def lookup(graph, x):
    table = graph.dice.integers(-128, 128, 256).astype(np.int8)
    arguments = [Ref(x), Ref(graph.constant(table))]
    return graph.call(
        "cortex_m::quantized_activation.out", arguments, graph.shape(x), contiguous(graph.shape(x))
    )


def add(graph, x):
    """With itself through a table."""
    operand = [-128, 1 << 30, 0]
    arguments = [Ref(x), *operand, Ref(lookup(graph, x)), *operand, -128, 1676959986, -19, -128, 127]
    shape = graph.shape(x)
    return graph.call("cortex_m::quantized_add.out", arguments, shape, contiguous(shape))


def largest(graph, x):
    """Of x and a column that is repeated."""
    shape = graph.shape(x)
    column = graph.constant(graph.dice.integers(-128, 50, (shape[-2], 1)).astype(np.int8))
    return graph.call("cortex_m::maximum.out", [Ref(x), Ref(column)], shape, contiguous(shape))


def conv(graph, x):
    if len(graph.shape(x)) != 4:
        return x
    depth = graph.shape(x)[1]
    weights = graph.dice.integers(-127, 128, (5, 1, 1, depth)).astype(np.int8)
    return graph.conv(x, weights, graph.dice.integers(-900, 900, 5).astype(np.int32))


STEPS: list[Callable[[Graph, int], int]] = [
    permute, transpose, unsqueeze, squeeze, cut, select_one, join, pad, lookup, add, largest, conv,
]  # fmt: skip


def random_program(seed: int) -> Program:
    graph = Graph(seed)
    x = graph.input(1, 3, 9, 8)
    made = [x]
    for step in graph.dice.choice(len(STEPS), 14):
        source = made[-1] if graph.dice.integers(4) else made[int(graph.dice.integers(len(made)))]
        if np.prod(graph.shape(source)) < 3000 and len(graph.shape(source)) >= 2:
            made.append(STEPS[step](graph, source))
    outputs = list(dict.fromkeys([made[-1], *graph.dice.choice(made[1:], 2).tolist()]))
    return graph.program(*(int(id) for id in outputs if id != x))


def network() -> Program:
    """Two one-dimensional convolutions with a residual sum, as lowering writes them."""
    graph = Graph(5)
    x = graph.input(1, 6, 1, 20)
    image = graph.conv(x, *weights(graph, 6))
    line = flat = graph.call("aten::squeeze_copy.dim_out", [Ref(image), 2], (1, 6, 20), (0, 1, 2))
    for _ in range(2):
        line = lookup(graph, line)
        shape = (1, 6, 1, 20)
        wide = graph.call("aten::unsqueeze_copy.out", [Ref(line), 2], shape, (0, 1, 2, 3))
        moved = graph.call(MOVE, [Ref(wide), False, [0, 2, 3, 1]], shape)
        image = graph.conv(moved, *weights(graph, 6))
        line = graph.call("aten::squeeze_copy.dim_out", [Ref(image), 2], (1, 6, 20), (0, 1, 2))
    operand = [-128, 1 << 30, 0]
    arguments = [Ref(flat), *operand, Ref(line), *operand, -128, 1676959986, -19, -128, 127]
    return graph.program(graph.call("cortex_m::quantized_add.out", arguments, (1, 6, 20), (0, 1, 2)))


def window() -> Program:
    """An image and what lies channels first, joined for a convolution, as a stream's first window is."""
    graph = Graph(6)
    x = graph.input(1, 3, 9, 8)
    flat = graph.call("aten::view_copy.out", [Ref(x), [1, 216]], (1, 216), (0, 1))
    line = graph.call("aten::view_copy.out", [Ref(flat), [1, 3, 9, 8]], (1, 3, 9, 8), (0, 1, 2, 3))
    joined = graph.call("aten::cat.out", [(Ref(x), Ref(line)), 3], (1, 3, 9, 16), (0, 1, 2, 3))
    moved = graph.call(MOVE, [Ref(joined), False, [0, 2, 3, 1]], (1, 3, 9, 16))
    return graph.program(conv(graph, moved))


def weights(graph, depth):
    dice = graph.dice
    return dice.integers(-127, 128, (6, 1, 1, depth)).astype(np.int8), dice.integers(-900, 900, 6).astype(
        np.int32
    )


def moves(plan: Plan) -> int:
    return sum(step.kernel == "permute" for step in plan.steps)


def expected(program: Program, x: np.ndarray) -> list[np.ndarray]:
    """What the operators' definitions say, as it lies in memory."""
    found = evaluate(program, [x])
    values = [program.values[id] for id in program.outputs]
    return [
        array.transpose(value.dim_order).reshape(-1)
        for array, value in zip(found, values, strict=True)
        if isinstance(value, TensorValue)
    ]


def test_a_move_remains_only_where_an_order_is_asked_for():
    program = network()
    assert moves(select(program, "plain")) == 5
    assert moves(compile_program(program, "carried")) == 1  # the output


def test_what_is_joined_to_an_image_is_moved_where_it_lies():
    """The window itself would be twice as much."""
    program = window()
    sizes = [
        [plan.tensors[step.writes[0]].nbytes for step in plan.steps if step.kernel == "permute"]
        for plan in (select(propagate_layouts(program), "plain"), compile_program(program, "joined"))
    ]
    assert sizes == [[216, 216, 432], [216, 216]]


def both(programs: list[Program], inputs: list[np.ndarray], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """All outputs by the operators' definitions, and by the programs with carried orders."""
    carried = [propagate_layouts(one, join_images=index % 2 == 0) for index, one in enumerate(programs)]
    plans = [compile_program(one, f"m{index}") for index, one in enumerate(carried)]
    wanted = [array for one, x in zip(programs, inputs, strict=True) for array in expected(one, x)]
    laid = [np.ascontiguousarray(x.transpose(0, 2, 3, 1)) for x in INPUTS]
    return np.concatenate(wanted), np.frombuffer(run_plans(plans, laid, folder), np.int8)


DICE = np.random.default_rng(3)
PROGRAMS = [*(random_program(seed) for seed in range(40)), window()]
INPUTS = [DICE.integers(-128, 128, (1, 3, 9, 8)).astype(np.int8) for _ in PROGRAMS]


def test_programs_of_any_moves_keep_their_outputs(tmp_path):
    grown = [len(propagate_layouts(one).values) > len(one.values) for one in PROGRAMS]
    assert sum(grown) > 25
    wanted, found = both(PROGRAMS, INPUTS, tmp_path)
    np.testing.assert_array_equal(found, wanted)


def test_another_input_is_noticed(tmp_path):
    wanted, found = both(PROGRAMS, [INPUTS[0] ^ 1, *INPUTS[1:]], tmp_path)
    assert (found != wanted).any()
