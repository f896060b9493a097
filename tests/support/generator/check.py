"""Take random models through the product on several targets at once, and say what came of each.

Every model goes alone through capture, quantize, lower, the reference and the plan; then the plans of all
models for a target become one executable, so that kernels are compiled once and QEMU boots once.
"""

import contextlib
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from mcu_build.board import find_board
from mcu_build.cache import Cache
from mcu_build.errors import McuError
from mcu_build.fronts.options import BuildOptions
from mcu_build.ir.plan import Plan
from mcu_build.plan.compile import NOT_PLANNED
from mcu_build.quality.sqnr import astray
from mcu_build.stages.lower import lower_model
from mcu_build.stages.lowered import Lowered
from mcu_build.stages.planning import plan_program
from mcu_build.stages.reference import expected_outputs
from mcu_build.vectors import npz
from mcu_build.vectors.compare import compare
from mcu_build.verify.command_streams import run_streams
from tests.support.generator.state import kept, resumed
from tests.support.tables.core import run_tables_on
from tests.support.tables.host import run_tables

Outcome = Literal["exact", "wrong", "refused", "internal"]
# Under this signal-to-noise ratio against float a model is listed: int8 has cost it too much.
POOR_DB = 12.0


@dataclass(frozen=True)
class Target:
    """A board, and one of its NPUs or none."""

    board: str
    npu: str | None = None

    @property
    def name(self) -> str:
        """As reports name it."""
        return f"{self.board}/{self.npu}" if self.npu else self.board


HOST = Target("host")


@dataclass(frozen=True)
class Result:
    """What came of a model on a target. `why` is the first line of the error, or how many outputs differ."""

    outcome: Outcome
    why: str = ""
    sqnr_db: float | None = None


@dataclass
class Costs:
    """Seconds by stage, all models together."""

    seconds: Counter[str] = field(default_factory=Counter)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator["Costs"]:
        """Time a stage; the product reports its own here."""
        start = time.perf_counter()
        try:
            yield self
        finally:
            self.seconds[name] += time.perf_counter() - start

    def step(self, text: str) -> None:
        """Nobody watches."""

    def warn(self, text: str) -> None:
        """Warnings of models are no concern here."""

    cached = False


@dataclass(frozen=True)
class _Prepared:
    lowered: Lowered
    plan: Plan
    vectors: Path
    inputs: list[np.ndarray]
    expected: list[np.ndarray]
    states: list[np.ndarray]  # of the quantized program, after each vector
    sqnr_db: float
    astray: tuple[int, float, float] | None  # of PyTorch's int8 program


def check(
    files: Sequence[Path], target: Target, folder: Path, costs: Costs | None = None
) -> Mapping[Path, Result]:
    """The result of each model file on `target`. `folder` is for builds and the cache."""
    costs = costs or Costs()
    results: dict[Path, Result] = {}
    prepared: dict[Path, _Prepared] = {}
    for file in files:
        try:
            one = _prepare(file, target, Cache(folder / "cache"), costs)
            if one.astray:
                results[file] = Result("wrong", f"output {one.astray[0]} is not PyTorch's", one.sqnr_db)
            else:
                prepared[file] = one
        except McuError as error:
            reason = str(error).split("\n")[0]
            results[file] = Result("refused" if _names_operator(reason) else "internal", reason)
        except Exception as error:
            results[file] = Result("internal", _first_line(error))
    with costs.stage(f"run {target.name}"):
        results |= _run(prepared, target, folder)
    return {file: results[file] for file in files}


def _names_operator(reason: str) -> bool:
    """Whether a refusal names an operator, and no accident in a pass of ours or of upstream's."""
    accident = NOT_PLANNED in reason or re.search(r"cannot be lowered: \w*(Error|Exception)\b", reason)
    return "::" in reason and not accident


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().split("\n")
    return f"{type(error).__name__}: {lines[0]}"


def _prepare(file: Path, target: Target, cache: Cache, costs: Costs) -> _Prepared:
    board = find_board(target.board)
    npu = board.choose_npu(target.npu or "none")
    lowered = lower_model(file, board, npu, BuildOptions.of(board=target.board), cache, costs)
    with costs.stage("plan"):
        plan = plan_program(lowered, lowered.name, board)
    assert lowered.vectors is not None
    expected = npz.load(expected_outputs(lowered, lowered.vectors, cache, costs))
    vectors = npz.load(lowered.vectors)
    outputs, floats = npz.numbered(expected, "output"), npz.numbered(vectors, "float")
    return _Prepared(
        lowered,
        plan,
        lowered.vectors,
        npz.numbered(vectors, "input"),
        outputs,
        npz.numbered(expected, "state"),
        _sqnr_db(outputs, floats),
        astray(floats, npz.numbered(vectors, "int8"), outputs),
    )


def _sqnr_db(outputs: Sequence[np.ndarray], floats: Sequence[np.ndarray]) -> float:
    """Signal to noise of the worst output, in decibels, over all vectors."""
    worst = 200.0
    for have, want in zip(outputs, floats, strict=True):
        signal, noise = (
            np.square(want, dtype=np.float64).sum(),
            np.square(have.astype(np.float64) - want).sum(),
        )
        worst = min(worst, 10 * float(np.log10(max(signal, 1e-30) / max(noise, 1e-30))))
    return worst


def _run(prepared: Mapping[Path, _Prepared], target: Target, folder: Path) -> dict[Path, Result]:
    """Compare what the target computes; a batch that fails is halved until the one model is found."""
    if target.npu:
        return {file: _on_npu(one) for file, one in prepared.items()}
    if not prepared:
        return {}
    files = list(prepared)
    try:
        found = _outputs([prepared[file] for file in files], target, folder)
    except (AssertionError, McuError) as error:
        if len(files) == 1:
            return {files[0]: Result("wrong", _first_line(error), prepared[files[0]].sqnr_db)}
        half = len(files) // 2
        parts = [{file: prepared[file] for file in part} for part in (files[:half], files[half:])]
        return {**_run(parts[0], target, folder), **_run(parts[1], target, folder)}
    return {
        file: _compared(one, *outputs) for (file, one), outputs in zip(prepared.items(), found, strict=True)
    }


def _on_npu(one: _Prepared) -> Result:
    """The command streams in the model of the NPU against Arm's reference of the same TOSA."""
    try:
        found = run_streams(one.lowered, one.vectors)
    except Exception as error:
        return Result("wrong", _first_line(error), one.sqnr_db)
    wrong = sum(stream.mismatches for stream in found)
    if wrong:
        total = sum(stream.elements for stream in found)
        return Result("wrong", f"{wrong} of {total} values of the NPU differ", one.sqnr_db)
    return Result("exact", "", one.sqnr_db)


def _compared(one: _Prepared, outputs: Sequence[np.ndarray], memories: Sequence[bytes]) -> Result:
    found = compare(one.expected, outputs, [0.0] * len(outputs))
    if found.differing:
        return Result("wrong", f"{found.differing} of {found.elements} outputs differ", one.sqnr_db)
    for number, memory in enumerate(memories):
        if not kept(one.plan, memory, one.states, number):
            return Result("wrong", f"the state behind call {number} differs", one.sqnr_db)
    return Result("exact", "", one.sqnr_db)


def _outputs(
    prepared: Sequence[_Prepared], target: Target, folder: Path
) -> list[tuple[list[np.ndarray], list[bytes]]]:
    """The outputs of every model for every vector, in the model's dimensions, and its state behind each."""
    vectors = len(prepared[0].inputs[0])
    plans = [resumed(one.plan, one.states, number) for number in range(vectors) for one in prepared]
    inputs = [
        np.ascontiguousarray(array[number].transpose(one.plan.tensors[id].dim_order)).tobytes()
        for number in range(vectors)
        for one in prepared
        for array, id in zip(one.inputs, one.plan.inputs, strict=True)
    ]
    board = find_board(target.board)
    outputs = (
        run_tables(plans, [inputs], folder / "host")
        if board.is_host
        else run_tables_on(board, plans, [inputs])
    )
    return _split(outputs, vectors, prepared)


def _split(
    data: bytes, vectors: int, prepared: Sequence[_Prepared]
) -> list[tuple[list[np.ndarray], list[bytes]]]:
    size = len(data) // vectors
    rows = [data[number * size : (number + 1) * size] for number in range(vectors)]
    results: list[tuple[list[np.ndarray], list[bytes]]] = []
    position = 0
    for one in prepared:
        arrays = []
        for id in one.plan.outputs:
            tensor = one.plan.tensors[id]
            flat = [
                np.frombuffer(row, tensor.dtype.numpy_name, tensor.elements, position)
                .reshape(tensor.shape)
                .transpose(np.argsort(tensor.dim_order))
                for row in rows
            ]
            arrays.append(np.ascontiguousarray(np.stack(flat)))
            position += tensor.nbytes
        nbytes = len(one.plan.initial_state)
        results.append((arrays, [row[position : position + nbytes] for row in rows]))
        position += nbytes
    assert position == size
    return results
