"""Run a build's test image once under the counting plugin, and say where the instructions went."""

import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mcu_build.board import Board
from mcu_build.cache import Cache
from mcu_build.errors import McuError
from mcu_build.hardware import MemoryTiming, NpuChoice
from mcu_build.image.decode import VECTOR_KINDS, Instruction, Kind, disassemble
from mcu_build.image.elf import Image, Symbol, demangle, read_elf
from mcu_build.layer_names import layer_name
from mcu_build.preflight import check_runs
from mcu_build.profile import cycles, dma
from mcu_build.profile.attribute import Counts, Phases, Step, layers_of, phases, steps
from mcu_build.profile.cores import CORES
from mcu_build.profile.memory import code_timing, waiting
from mcu_build.simulate import cosim, plugin
from mcu_build.simulate.run import run
from mcu_build.stages.pipeline import Built
from mcu_build.vectors import pack as vectors
from mcu_build.vectors.npz import Array

NO_SYMBOL = "[no symbol]"


@dataclass(frozen=True)
class Executable:
    """A test image of the model `name` for `core`: its symbols and its instructions by address."""

    file: Path
    name: str
    core: str
    image: Image = field(repr=False)
    code: Mapping[int, Instruction] = field(repr=False)

    def symbol(self, name: str) -> Symbol:
        """The function called `name`. McuError where there is none."""
        match = next((symbol for symbol in self.image.symbols if symbol.name == name), None)
        if match is None:
            raise McuError(f"{self.file}: has no function {name}", "Build it again.")
        return match

    @property
    def run(self) -> Symbol:
        """The model's <name>_run()."""
        return self.symbol(f"{self._called}_run")

    @property
    def _called(self) -> str:
        """The model's name here: another build system may have given it one."""
        names = {symbol.name for symbol in self.image.symbols}
        models = [name[:-4] for name in names if name.endswith("_run") and f"{name[:-4]}_arena" in names]
        return models[0] if f"{self.name}_run" not in names and len(models) == 1 else self.name

    def kernel_entries(self, kernel: str) -> frozenset[int]:
        """Where functions called mcu::kernels::<kernel> begin: one, or the instances of a template."""
        stem = f"_ZN3mcu7kernels{len(kernel)}{kernel}"
        names = (f"{stem}E", f"{stem}I")
        return frozenset(symbol.address for symbol in self.image.symbols if symbol.name.startswith(names))


@dataclass(frozen=True)
class Cost:
    """Instructions, also by kind, which add up; modelled cycles where the core has a model."""

    instructions: int
    kinds: Mapping[Kind, int] = field(repr=False)
    cycles: int | None

    @property
    def vector_instructions(self) -> int:
        """Instructions of Helium."""
        return sum(count for kind, count in self.kinds.items() if kind in VECTOR_KINDS)


@dataclass(frozen=True)
class Layer:
    """One step of the plan. `name` is the path of its module; it and the line of the model may be empty."""

    index: int
    name: str
    operator: str
    kernel: str
    macs: int
    cost: Cost
    line: str = ""
    shape: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """'features.0 conv2d 8x8x8'."""
        return layer_name(self.name, self.operator, self.shape)


@dataclass(frozen=True)
class Kernel:
    """All steps that call one kernel, with everything that it calls."""

    name: str
    calls: int
    macs: int
    cost: Cost


@dataclass(frozen=True)
class Function:
    """What was executed within one function's own code, by whichever step."""

    name: str
    cost: Cost


@dataclass(frozen=True, repr=False)
class Profile:
    """One inference. Instructions of layers, of kernels and of functions each add up to those of `total`.

    `startup` is from reset to main; `harness` is what the test image does around the inference. `npu` is that
    of stages/lowered.py: what the NPU does is no instruction, and its compiler's estimates stand beside them.
    `removed` is the manifest's: channels that the plan has left out. `clock` is the board's, in Hz, where its
    file has one. `longest` is the step that takes longest, its `index` that for <model>_step(): a layer, or
    some rows of one.
    """

    name: str
    board: str
    core: str
    toolchain: str
    macs: int
    total: Cost
    startup: Cost
    harness: Cost
    layers: tuple[Layer, ...]
    kernels: tuple[Kernel, ...]
    functions: tuple[Function, ...]
    npu: Mapping[str, Any] | None = None
    removed: Mapping[str, Any] | None = None
    clock: int | None = None
    longest: Layer | None = None

    def __repr__(self) -> str:
        cycles = "" if self.total.cycles is None else f", {self.total.cycles:,} cycles modelled"
        counted = f"{self.total.instructions:,} instructions"
        return f"<profile of {self.name} on {self.board}: {counted}{cycles}>"

    def milliseconds(self, cost: Cost) -> float | None:
        """What `cost` takes at the board's clock, modelled; None where cycles or clock are not known."""
        if cost.cycles is None or self.clock is None:
            return None
        return 1000 * cost.cycles / self.clock


@dataclass
class _Step:
    """Instructions by address, and the cycles that are modelled there."""

    counts: Counts
    cycles: dict[int, float] | None

    def cost(self, executable: Executable) -> Cost:
        return cost(self.counts, executable, self.cycles)


def profile(built: Built, board: Board, inputs: Sequence[Array], timeout: float, cache: Cache) -> Profile:
    """Count one inference on the first vector of `inputs`, arrays as the ports take them.

    McuError: status 1 the board has no simulator that counts, 3 a tool is missing, 4 and 5 as for a run.
    """
    check_runs("profile", board)
    manifest = built.manifest
    executable = read(manifest.path(built.folder, "test_elf"), manifest.name, board.core)
    first = [array[:1] for array in inputs]
    packed = vectors.pack(first, manifest.inputs, vectors.one_sequence(first, manifest.memory))
    counted = count(executable, board, packed, timeout, cache, built.lowered.npu)
    rows = manifest.operators
    if "method_pool" in manifest.memory:
        # ExecuTorch's runtime calls the operators, out of sight: the inference is one layer.
        rows = (_whole(rows),)
        owners, kernels = tuple[int, ...]((0,)), [""]
        entries = [frozenset(executable.code)]
    else:
        calls = manifest.calls or tuple((index, row["kernel"]) for index, row in enumerate(rows))
        kernels = [kernel for _, kernel in calls]
        entries = [executable.kernel_entries(kernel) for kernel in kernels]
        owners = tuple(row for row, _ in calls)
    fetched_from = code_timing(board)
    executed = dma.without_copies(
        steps(counted.inferences[0], entries), kernels, executable.image.symbols, executable.run
    )
    per_step = [
        _Step(step.counts, cycles_of(step, executable, fetched_from)) for step in layers_of(executed, owners)
    ]
    layers = tuple(
        Layer(
            index,
            row["name"],
            row["operator"],
            row["kernel"],
            row["macs"],
            step.cost(executable),
            row["layer"],
            tuple(row["shape"]),
        )
        for index, (row, step) in enumerate(zip(rows, per_step, strict=True))
    )
    layers = _with_waits(layers, rows, board)
    longest = max(layers, key=lambda layer: (layer.cost.cycles or 0, layer.cost.instructions), default=None)
    if len(executed) > len(layers):
        index = max(range(len(executed)), key=lambda index: executed[index].counts.total())
        own = _Step(executed[index].counts, cycles_of(executed[index], executable, fetched_from))
        longest = replace(layers[owners[index]], index=index, cost=own.cost(executable))
    return Profile(
        name=manifest.name,
        board=board.id,
        core=board.core,
        toolchain=manifest.toolchain,
        macs=sum(layer.macs for layer in layers),
        total=_added(layer.cost for layer in layers),
        startup=cost(counted.startup, executable, None),
        harness=cost(counted.harness, executable, None),
        layers=layers,
        kernels=_kernels(layers),
        functions=_functions(per_step, executable),
        npu=manifest.npu,
        removed=manifest.removed,
        clock=board.clock,
        longest=longest,
    )


def _with_waits(
    layers: Sequence[Layer], rows: Sequence[Mapping[str, Any]], board: Board
) -> tuple[Layer, ...]:
    """Layers with what they wait for a DMA."""
    waited = dma.waits(rows, [layer.cost.cycles or 0 for layer in layers], board)
    return tuple(
        replace(layer, cost=replace(layer.cost, cycles=(layer.cost.cycles or 0) + more)) if more else layer
        for layer, more in zip(layers, waited, strict=True)
    )


def _whole(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """A row that stands for all operators of a plan."""
    macs = sum(row["macs"] for row in rows)
    whole = {"name": "", "operator": "program", "shape": [], "kernel": "executorch", "layer": ""}
    return {**whole, "macs": macs}


def read(elf: Path, name: str, core: str) -> Executable:
    """The test image `elf` of model `name`. McuError: status 1 it is damaged, 3 objdump is missing."""
    return Executable(elf, name, core, read_elf(elf), disassemble(elf))


def count(
    executable: Executable,
    board: Board,
    inputs: bytes,
    timeout: float,
    cache: Cache,
    npu: NpuChoice | None = None,
) -> Phases:
    """Run over the packed vectors in `inputs`, with `npu` modelled, and count each inference."""
    model = executable.run
    main = executable.symbol("main").address
    end = model.address + model.size
    returns = [
        instruction.address + instruction.size
        for instruction in executable.code.values()
        if instruction.target == model.address and not model.address <= instruction.address < end
    ]
    boundaries = plugin.Boundaries(model.address, end, (main, *returns))
    with tempfile.TemporaryDirectory(prefix="mcu-profile-") as folder:
        counts = Path(folder) / "counts.txt"
        options = plugin.options(plugin.library(cache), boundaries, counts, waiting(board))
        run(board, executable.file, inputs, timeout, options, npu=npu)
        # What the core does there is ours: it raises the NPU's interrupts.
        ours = {cosim.spare(board)} if npu else set()
        return phases(plugin.read(counts, ours), boundaries, main)


def cycles_of(
    step: Step, executable: Executable, fetched_from: MemoryTiming | None = None
) -> dict[int, float] | None:
    """Modelled cycles at each address, with what memories let wait; None where the core has no model."""
    core = CORES.get(executable.core)
    if core is None:
        return None
    modelled = cycles.model(step.counts, executable.code, core, fetched_from)
    for address, waits in step.waits.items():
        modelled[address] += waits
    return modelled


def cost(counts: Counts, executable: Executable, modelled: Mapping[int, float] | None) -> Cost:
    """What instructions by address come to, with the cycles that are modelled for them."""
    kinds: Counter[Kind] = Counter()
    for address, number in counts.items():
        kinds[executable.code[address].kind] += number
    whole = None if modelled is None else cycles.total(modelled)
    return Cost(counts.total(), _in_order(kinds), whole)


def _in_order(kinds: Counter[Kind]) -> Mapping[Kind, int]:
    return {kind: kinds[kind] for kind in Kind if kinds[kind]}


def _added(costs: Iterable[Cost]) -> Cost:
    listed = list(costs)
    kinds: Counter[Kind] = Counter()
    for item in listed:
        kinds.update(item.kinds)
    cycles = [item.cycles for item in listed if item.cycles is not None]
    whole = sum(cycles) if len(cycles) == len(listed) else None
    return Cost(sum(item.instructions for item in listed), _in_order(kinds), whole)


def _kernels(layers: Sequence[Layer]) -> tuple[Kernel, ...]:
    kernels = []
    for name in dict.fromkeys(layer.kernel for layer in layers):
        own = [layer for layer in layers if layer.kernel == name]
        macs = sum(layer.macs for layer in own)
        kernels.append(Kernel(name, len(own), macs, _added(layer.cost for layer in own)))
    return tuple(sorted(kernels, key=lambda kernel: (-kernel.cost.instructions, kernel.name)))


def _functions(per_step: Iterable[_Step], executable: Executable) -> tuple[Function, ...]:
    symbols = executable.image.symbols
    starts = [symbol.address for symbol in symbols]
    owners: dict[str, _Step] = {}
    for step in per_step:
        for address, number in step.counts.items():
            at = bisect_right(starts, address) - 1
            inside = at >= 0 and address < symbols[at].address + symbols[at].size
            name = symbols[at].name if inside else NO_SYMBOL
            own = owners.setdefault(name, _Step(Counts(), None if step.cycles is None else {}))
            own.counts[address] += number
            if step.cycles is not None and own.cycles is not None:
                own.cycles[address] = own.cycles.get(address, 0.0) + step.cycles.get(address, 0.0)
    names = demangle(list(owners))
    costs = [own.cost(executable) for own in owners.values()]
    functions = [Function(name, cost) for name, cost in zip(names, costs, strict=True)]
    return tuple(sorted(functions, key=lambda function: (-function.cost.instructions, function.name)))
