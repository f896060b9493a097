"""Run a build's test image once under the counting plugin, and say where the instructions went."""

import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcu_build import vectors
from mcu_build.board import Board
from mcu_build.cache import Cache
from mcu_build.errors import McuError
from mcu_build.npz import Array
from mcu_build.pipeline import Built
from mcu_build.profile.attribute import Counts, Phases, phases, steps
from mcu_build.profile.decode import VECTOR_KINDS, Instruction, Kind, disassemble
from mcu_build.report.elf import Image, Symbol, read_elf
from mcu_build.report.size import _demangle as demangle
from mcu_build.simulate import plugin
from mcu_build.simulate.run import run

NO_SYMBOL = "[no symbol]"


@dataclass(frozen=True)
class Cost:
    """Instructions, also by kind. Kinds add up to `instructions`."""

    instructions: int
    kinds: Mapping[Kind, int] = field(repr=False)

    @property
    def vector_instructions(self) -> int:
        """Instructions of Helium."""
        return sum(count for kind, count in self.kinds.items() if kind in VECTOR_KINDS)


@dataclass(frozen=True)
class Layer:
    """One step of the plan. `name` is the line of the model that it comes from, possibly empty."""

    index: int
    name: str
    operator: str
    kernel: str
    macs: int
    cost: Cost


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


@dataclass(frozen=True)
class Profile:
    """One inference. Layers, kernels and functions each add up to `total`.

    `startup` is from reset to main; `harness` is what the test image does around the inference.
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


def profile(built: Built, board: Board, inputs: Sequence[Array], timeout: float, cache: Cache) -> Profile:
    """Count one inference on the first vector of `inputs`, arrays as the ports take them.

    McuError: status 1 the board has no simulator that counts, 3 a tool is missing, 4 and 5 as for a run.
    """
    manifest = built.manifest
    elf = manifest.path(built.folder, "test_elf")
    check_board(board)
    image, code = read_elf(elf), disassemble(elf)
    counted = count(
        elf,
        manifest.name,
        image,
        code,
        board,
        vectors.pack([a[:1] for a in inputs], manifest.inputs),
        timeout,
        cache,
    )
    rows = manifest.operators
    entries = [kernel_entries(image, str(row["kernel"])) for row in rows]
    per_step = steps(counted.inferences[0], entries)
    whole = _added(per_step)
    layers = tuple(
        Layer(
            index,
            str(row["layer"]),
            str(row["name"]),
            str(row["kernel"]),
            int(row["macs"]),
            cost(counts, code),
        )
        for index, (row, counts) in enumerate(zip(rows, per_step, strict=True))
    )
    return Profile(
        name=manifest.name,
        board=board.id,
        core=board.core,
        toolchain=manifest.toolchain,
        macs=sum(layer.macs for layer in layers),
        total=cost(whole, code),
        startup=cost(counted.startup, code),
        harness=cost(counted.harness, code),
        layers=layers,
        kernels=_kernels(layers, per_step, code),
        functions=_functions(whole, image, code),
    )


def count(
    elf: Path,
    name: str,
    image: Image,
    code: Mapping[int, Instruction],
    board: Board,
    inputs: bytes,
    timeout: float,
    cache: Cache,
) -> Phases:
    """Run the test image `elf` of model `name` over the vectors in `inputs` and count."""
    model = _symbol(image, f"_ZN{len(name)}{name}3runEv", elf)
    main = _symbol(image, "main", elf)
    end = model.address + model.size
    returns = [
        instruction.address + instruction.size
        for instruction in code.values()
        if instruction.target == model.address and not model.address <= instruction.address < end
    ]
    boundaries = plugin.Boundaries(model.address, end, (main.address, *returns))
    with tempfile.TemporaryDirectory(prefix="mcu-profile-") as folder:
        counts = Path(folder) / "counts.txt"
        run(board, elf, inputs, timeout, plugin.options(plugin.library(cache), boundaries, counts))
        return phases(plugin.read(counts), boundaries, main.address)


def cost(counts: Counts, code: Mapping[int, Instruction]) -> Cost:
    """What instructions by address come to."""
    kinds: Counter[Kind] = Counter()
    for address, number in counts.items():
        kinds[code[address].kind] += number
    return Cost(counts.total(), {kind: kinds[kind] for kind in Kind if kinds[kind]})


def kernel_entries(image: Image, kernel: str) -> frozenset[int]:
    """Where functions called mcu::kernels::<kernel> begin: one, or the instances of a template."""
    stem = f"_ZN3mcu7kernels{len(kernel)}{kernel}"
    return frozenset(
        symbol.address for symbol in image.symbols if symbol.name.startswith((f"{stem}E", f"{stem}I"))
    )


def check_board(board: Board) -> None:
    """McuError where no simulator of ours can count what runs on `board`."""
    if board.is_host:
        raise McuError(
            f"{board.id}: run.qemu: this computer's own instructions are not counted",
            "Profile on the board that you build for; `mcu-build boards` lists those that QEMU runs.",
        )
    if board.run.qemu is None:
        raise McuError(
            f"{board.id}: run.qemu: QEMU has no machine for this board, and instructions are counted there",
            "Profile on a board with the same core; `mcu-build boards` lists them.",
        )


def _symbol(image: Image, name: str, elf: Path) -> Symbol:
    found = next((symbol for symbol in image.symbols if symbol.name == name), None)
    if found is None:
        raise McuError(f"{elf}: has no function {name}", "Build it again.")
    return found


def _added(parts: Iterable[Counts]) -> Counts:
    whole = Counts()
    for part in parts:
        whole.update(part)
    return whole


def _kernels(
    layers: Sequence[Layer], per_step: Sequence[Counts], code: Mapping[int, Instruction]
) -> tuple[Kernel, ...]:
    names = dict.fromkeys(layer.kernel for layer in layers)
    found = []
    for name in names:
        own = [layer for layer in layers if layer.kernel == name]
        added = _added(per_step[layer.index] for layer in own)
        found.append(Kernel(name, len(own), sum(layer.macs for layer in own), cost(added, code)))
    return tuple(sorted(found, key=lambda kernel: (-kernel.cost.instructions, kernel.name)))


def _functions(counts: Counts, image: Image, code: Mapping[int, Instruction]) -> tuple[Function, ...]:
    starts = [symbol.address for symbol in image.symbols]
    owners: dict[str, Counts] = {}
    for address, number in counts.items():
        at = bisect_right(starts, address) - 1
        symbol = image.symbols[at] if at >= 0 else None
        inside = symbol and address < symbol.address + symbol.size
        owners.setdefault(symbol.name if symbol and inside else NO_SYMBOL, Counts())[address] += number
    names = demangle(list(owners))
    found = [Function(name, cost(own, code)) for name, own in zip(names, owners.values(), strict=True)]
    return tuple(sorted(found, key=lambda function: (-function.cost.instructions, function.name)))
