"""Which layer of a firmware is the first that computes something else than the reference.

A program is cut behind one of its instructions: what the rest of it reads becomes its outputs. What is left
is built and run like the whole, and compared with the reference. Each cut halves what is in question.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mcu_build.errors import McuError
from mcu_build.files import write_changed
from mcu_build.ir.program import DelegateCall, KernelCall, Program, TensorListValue, TensorValue, load
from mcu_build.layer_names import layer_at
from mcu_build.simulate.run import Sim
from mcu_build.simulate.run import run as simulate
from mcu_build.stages import planning
from mcu_build.stages.pipeline import Built
from mcu_build.stages.request import Request
from mcu_build.vectors import pack as vectors
from mcu_build.vectors.compare import Mismatch, compare
from mcu_build.vectors.npz import Array

if TYPE_CHECKING:
    from mcu_build.oracle.reference import Delegate


@dataclass(frozen=True)
class Layer:
    """An operator of the program: its line, module and output shape, any of which may be empty."""

    operator: str
    line: str
    name: str = ""
    shape: tuple[int, ...] = ()

    def __str__(self) -> str:
        return layer_at(self.name, self.operator, self.shape, self.line)


@dataclass(frozen=True)
class Divergence:
    """The first layer that differs, with the first element of its result that does."""

    layer: Layer
    element: Mismatch | None


def suspects(built: Built) -> tuple[Layer, ...]:
    """Every layer that computes: the wrong one is among them."""
    rows = built.manifest.operators
    layers = (Layer(row["operator"], row["layer"], row["name"], tuple(row["shape"])) for row in rows)
    return tuple(dict.fromkeys(layers))


def first_difference(
    built: Built, inputs: Sequence[Array], timeout: float, sim: Sim | None = None
) -> Divergence | None:
    """The first layer whose result differs for `inputs`, arrays [1, ...]; it is known that an output does.

    Its element is None where it is the last layer: the output's own is known. None where it is unknown:
    another build system has made the image, the program runs under ExecuTorch's runtime, or a part of it
    cannot be built alone.
    """
    request = built.request
    if request is None or request.executorch is not None:
        return None
    from mcu_build.oracle.command_streams import delegates_of

    lowered = built.lowered
    program = load(lowered.program, lowered.method, lowered.data)
    delegates = delegates_of(program, [delegate.tosa for delegate in lowered.delegates])
    made = Lifetimes(program, [graph.input_count for graph in delegates])
    right, wrong, element = -1, len(program.instructions) - 1, None
    try:
        while wrong - right > 1:
            middle = (right + wrong) // 2
            difference = _difference(built, request, made.cut(middle), delegates, inputs, timeout, sim)
            if difference:
                wrong, element = middle, difference
            else:
                right = middle
    except McuError:
        return None
    return Divergence(_layer(program, wrong), element)


def _layer(program: Program, index: int) -> Layer:
    call = program.instructions[index]
    operator = f"delegate {call.delegate}" if isinstance(call, DelegateCall) else call.operator
    result = program.values[call.arguments[-1]]
    return Layer(operator, call.line, call.module, result.shape if isinstance(result, TensorValue) else ())


class Lifetimes:
    """Which instruction makes each value that another one reads."""

    def __init__(self, program: Program, delegate_inputs: Sequence[int]) -> None:
        self._program = program
        self._delegate_inputs = delegate_inputs
        self._written: dict[int, int] = {}
        # (value, instruction that made it, instruction that reads it)
        self._reads: list[tuple[int, int, int]] = []
        for index, call in enumerate(program.instructions):
            read, written = self._operands(call)
            self._note(read, index)
            for id in written:
                # The youngest last.
                self._written.pop(id, None)
                self._written[id] = index
        self._note(program.outputs, len(program.instructions))

    def cut(self, index: int) -> Program:
        """The program up to instruction `index`, with what the rest of it needs as its outputs."""
        alive = dict.fromkeys(id for id, made, read in self._reads if made <= index < read)
        return replace(
            self._program, instructions=self._program.instructions[: index + 1], outputs=tuple(alive)
        )

    def _operands(self, call: KernelCall | DelegateCall) -> tuple[list[int], list[int]]:
        if isinstance(call, DelegateCall):
            count = self._delegate_inputs[call.delegate]
            return list(call.arguments[:count]), list(call.arguments[count:])
        written = list(self._leaves(call.arguments[-1:]))
        return [id for id in self._leaves(call.arguments[:-1]) if id not in written], written

    def _leaves(self, ids: Sequence[int]) -> Iterator[int]:
        for id in ids:
            value = self._program.values[id]
            if isinstance(value, TensorListValue):
                yield from self._leaves([item for item in value.items if item >= 0])
            elif isinstance(value, TensorValue):
                yield id

    def _note(self, ids: Sequence[int], reader: int) -> None:
        for id in ids:
            made = self._written.get(id, self._maker(id))
            if made is not None:
                self._reads.append((id, made, reader))

    def _maker(self, id: int) -> int | None:
        """Who wrote the bytes that a view shows; None for constants and inputs."""
        value = self._program.values[id]
        if not isinstance(value, TensorValue) or value.data is not None or value.location is None:
            return None
        for other, index in reversed(self._written.items()):
            source = self._program.values[other]
            assert isinstance(source, TensorValue)
            # Scratch memory is of another type than what lay there.
            if source.dtype is value.dtype and source.location and source.location[0] == value.location[0]:
                start = value.location[1] - source.location[1]
                if 0 <= start <= source.nbytes - value.nbytes:
                    return index
        return None


def _difference(
    built: Built,
    request: Request,
    program: Program,
    delegates: "Sequence[Delegate]",
    inputs: Sequence[Array],
    timeout: float,
    sim: Sim | None,
) -> Mismatch | None:
    """The first element that firmware of `program` computes otherwise than the reference."""
    from mcu_build.oracle.reference import Evaluator

    if not program.outputs:
        return None
    expected = Evaluator(program, delegates).run([array[0] for array in inputs])
    actual = _run(built, request, program, inputs, timeout, sim)
    return compare([want[None] for want in expected], actual, [0.0] * len(actual)).first


def _run(
    built: Built,
    request: Request,
    program: Program,
    inputs: Sequence[Array],
    timeout: float,
    sim: Sim | None,
) -> list[Array]:
    from mcu_build.codegen.model import generate
    from mcu_build.plan.describe import describe
    from mcu_build.stages.images import BuildInputs, build

    lowered, board = built.lowered, request.board
    plan = planning.plan_program(
        lowered, lowered.name, board, request.cmsis_nn, request.options.optimize, program=program
    )
    folder = built.folder / "trace"
    for name, text in generate(plan).items():
        write_changed(folder / "src" / name, text)
    images = build(
        BuildInputs(
            lowered.name,
            board,
            request.toolchain,
            folder,
            request.cmsis_nn,
            optimize=request.options.optimize,
            kernel_sources=request.options.kernel_sources,
        )
    )
    described = describe(plan)
    packed = vectors.pack(list(inputs), described["inputs"])
    outcome = simulate(board, images["test_elf"], packed, timeout, (), sim, lowered.npu)
    return vectors.unpack(outcome.outputs, 1, described["outputs"])
