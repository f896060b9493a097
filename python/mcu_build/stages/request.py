"""What to build: a model file with its options, and what follows from them for a board."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcu_build.board import Board, find_board
from mcu_build.cache import hash_text
from mcu_build.choices import Toolchain
from mcu_build.codegen.cmsis_nn import CmsisNn, find_cmsis_nn
from mcu_build.codegen.program_key import read_key
from mcu_build.codegen.slot import (
    MODEL_SLOT,
    Region,
    memory_region,
    model_region,
    parse_region,
    with_model_slot,
)
from mcu_build.codegen.target import default_toolchain
from mcu_build.errors import Exit, McuError
from mcu_build.executorch.options import Options as ExecutorchOptions
from mcu_build.fronts.options import BuildOptions
from mcu_build.hardware import NpuChoice

# What is not part of the name of a build folder.
_USUAL = ("float", "arm-clang", "host", "speed")


@dataclass(frozen=True)
class Request:
    """What to build: a model file for a board, with its options.

    `linked` is the board as build systems link for it: without the memories that options of one model name.
    `npu` is None for the core alone. `board_variants` say how the board was changed: another console, a slot
    of MCUboot's. `cmsis_nn` is a library to take kernels from in place of ours, `executorch` is there where
    ExecuTorch's own runtime runs the program. `slots` are those of a plan that is data. `precision`
    stands for what the model file has, where it is not None.
    """

    model: Path
    board: Board
    linked: Board
    npu: NpuChoice | None
    toolchain: Toolchain
    build_root: Path
    options: BuildOptions
    board_variants: tuple[str, ...] = ()
    cmsis_nn: CmsisNn | None = None
    executorch: ExecutorchOptions | None = None
    slots: Region | None = None
    precision: Mapping[str, str] | None = None

    @property
    def loads_as_given(self) -> bool:
        """Whether ExecuTorch's runtime loads the program as it was lowered, on kernels of its own."""
        return self.executorch is not None and self.executorch.upstream

    @property
    def first_memories(self) -> tuple[str, str]:
        """Those that options name first for activations and for constants; empty strings: the board's own."""
        options = self.options
        if options.runtime != "static":
            return "", ""
        return next(iter(options.arena), ""), next(iter(options.constants), "")

    def folder(self, name: str) -> Path:
        """The build folder: one for each model, board and variant, never shared."""
        words = (self.options.io, self.toolchain, self.options.optimize)
        variants: list[str] = [word for word in words if word not in _USUAL]
        npu = self.npu.name if self.npu else "none"
        if npu != (self.board.npu.default if self.board.npu else "none"):
            variants.insert(0, npu if self.npu else "no-npu")
        variants += self.board_variants
        if self.options.runtime == "table":
            variants.append("table")
        if self.cmsis_nn:
            variants.append("cmsis-nn")
        if self.executorch:
            variants.append("executorch")
            if self.executorch.upstream:
                variants.append("upstream")
        return self.build_root / name / "-".join([self.board.id, *variants])


def request_for(
    model: str | Path, options: BuildOptions, output: Path | None = None, in_slot: bool = False
) -> Request:
    """The request for a model: board, NPU and compiler are there, and options agree with one another.

    `output` stands for `build_dir` where sources alone are written. `in_slot` links the image for a slot of
    MCUboot's. McuError names the option that is wrong.
    """
    board = find_board(options.board, Path(model).resolve().parent)
    return request_on(board, model, options, output, in_slot)


def request_on(
    board: Board, model: str | Path, options: BuildOptions, output: Path | None = None, in_slot: bool = False
) -> Request:
    """The request for a model on a board that was read already."""
    library = _library(options, board)
    slots = _slots(options, board)
    executorch = _executorch(options, board, slots)
    variants: list[str] = []
    if options.console and options.console != board.console:
        board = board.with_console(options.console)
        variants.append(options.console)
    if options.ram is not None:
        if executorch and executorch.upstream:
            raise McuError(
                "--ram: with --kernels upstream the program's own plan of memory is taken",
                "Leave out --kernels or --ram.",
                Exit.USAGE,
            )
        board = board.model_copy(update={"arena_size": options.ram})
        variants.append(f"ram-{options.ram}")
    own_placement = board.placement
    if options.arena or options.constants:
        board = board.with_memories(options.arena, options.constants)
        for role, names in (("arena", options.arena), ("constants", options.constants)):
            variants += ["-".join((role, *names))] * bool(names)
    if options.place:
        variants.append(f"placed-{hash_text(*options.place)[:8]}")
    if options.runtime != "static":
        board = board.in_one_memory()
    if options.input_by == "rows":
        variants.append("rows")
    if in_slot:
        board = board.in_slot()
        variants.append("mcuboot")
    npu = board.choose_npu(options.npu)
    if slots:
        board = (
            with_model_slot(board, slots)
            if slots.single
            else board.with_program_slots(slots.address, slots.size)
        )
    return Request(
        model=Path(model),
        board=board,
        linked=board.model_copy(update={"placement": own_placement}),
        npu=npu,
        toolchain=options.toolchain if options.toolchain and not board.is_host else default_toolchain(board),
        build_root=output or options.build_dir,
        options=options,
        board_variants=tuple(variants),
        cmsis_nn=library,
        executorch=executorch,
        slots=None if executorch else slots,
    )


def _slots(options: BuildOptions, board: Board) -> Region | None:
    """Where programs are kept apart from the image."""
    region = _region(options.program_slot, board)
    if options.program_key is None:
        return region
    if region is None:
        raise McuError(
            "--program-key: the image has no program slots, whose programs it would verify",
            "Add --program-slot ADDRESS:SIZE, or leave it out.",
            Exit.USAGE,
        )
    return region.signed_with(read_key(options.program_key, "--program-key"))


def _region(slot: str | None, board: Board) -> Region | None:
    if slot is None:
        return None
    if slot == MODEL_SLOT:
        return model_region(board)
    return parse_region(slot) if ":" in slot else memory_region(slot, board)


def _library(options: BuildOptions, board: Board) -> CmsisNn | None:
    """The library to take kernels from. McuError where it is not there, or is not asked for."""
    kernels = options.kernels
    if kernels == "upstream" and options.runtime != "executorch":
        raise McuError(
            "--kernels: upstream: the static runtime cannot call ExecuTorch's kernels",
            "Add --runtime executorch, or take --kernels cmsis-nn.",
            Exit.USAGE,
        )
    if kernels == "cmsis-nn":
        if options.runtime == "executorch":
            raise McuError(
                "--kernels: cmsis-nn: ExecuTorch's runtime has its own calls",
                "Leave out --runtime.",
                Exit.USAGE,
            )
        if board.is_host:
            raise McuError(f"--kernels: cmsis-nn: {board.id} is no Arm core", "Choose another board.")
        return find_cmsis_nn(options.cmsis_nn)
    return None


def _executorch(options: BuildOptions, board: Board, slots: Region | None) -> ExecutorchOptions | None:
    """How ExecuTorch's own runtime is linked, where it runs the program, which may be kept in `slots`."""
    if options.runtime != "executorch":
        return None
    upstream = options.kernels == "upstream"
    if upstream and board.is_host:
        raise McuError(
            "--kernels: upstream: ExecuTorch has kernels of cortex_m::* for Arm cores alone",
            "Choose another board, or leave it out.",
            Exit.USAGE,
        )
    return ExecutorchOptions(
        options.executorch_prefix,
        options.ops,
        options.ops_from,
        options.method_pool,
        options.temp_pool,
        upstream=upstream,
        reserve_ram=options.reserve_ram or 0,
        program_slot=slots,
    )
