"""The runner of plans on a board's simulated core, with the kernels that a build for it would take."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from mcu_build.board import Board
from mcu_build.codegen.cmsis_nn import CmsisNn
from mcu_build.codegen.kernel_set import KernelSet
from mcu_build.codegen.linker import linker_script
from mcu_build.codegen.target import Target, Toolchain, platform_sources, target
from mcu_build.ir.plan import Optimize, Plan
from mcu_build.resources import data_dir
from mcu_build.simulate import run
from tests.support.tables.host import kernel_headers, numbered, packed
from tests.support.tables.made import headers, made, written

_RUNNER = Path(__file__).parent / "core_runner.cpp"


def run_tables_on(
    board: Board,
    plans: Sequence[Plan],
    vectors: Sequence[Sequence[bytes]],
    toolchain: Toolchain = "arm-clang",
    cmsis_nn: CmsisNn | None = None,
    optimize: Optimize = "speed",
) -> bytes:
    """Outputs of all plans for the inputs of one vector after the other. McuError where one fails."""
    kernels = KernelSet.of(step for plan in plans for step in plan.steps)
    image = linked_for(board, kernels, toolchain, cmsis_nn, optimize)
    return run(board, image, packed(plans, kernels, vectors), timeout=300).outputs


def linked_for(
    board: Board,
    kernels: KernelSet,
    toolchain: Toolchain = "arm-clang",
    cmsis_nn: CmsisNn | None = None,
    optimize: Optimize = "speed",
) -> Path:
    """The image with kernels by number."""
    options, firmware = target(board, toolchain, cmsis_nn, optimize), data_dir() / "firmware"
    assert board.placement is not None
    # The rest is for the stack and for data.
    memory = board.memory_named(board.placement.arena).size * 3 // 4
    around = [*(f"-D{define}" for define in options.defines), f"-DMCU_CASES_MEMORY={memory}"]
    platform = [firmware / name for name in platform_sources(board, "test")]
    library = [*headers(cmsis_nn.include), cmsis_nn.archive] if cmsis_nn else []

    def compiled(source: Path, reads: Iterable[Path], defines: Sequence[str] = ()) -> Path:
        command = [options.cxx, *options.compile_options, *defines, f"-I{firmware / 'include'}"]
        return made(f"{source.stem}.o", [*command, "-c", source], [source, *reads])

    objects = [
        *(compiled(source, [*kernel_headers(firmware), *library]) for source in _sources(kernels, options)),
        compiled(written("kernels.cpp", numbered(kernels)), headers(firmware)),
        *(compiled(source, headers(firmware), around) for source in (*platform, _RUNNER)),
    ]
    script = written("memory.ld", linker_script(board))
    command = [options.cxx, *options.link_options, "-T", script, *objects, *options.libraries]
    return made("cases.elf", command, library)


def _sources(kernels: KernelSet, options: Target) -> list[Path]:
    """Those of kernels: of each name the first among the folders of the core."""
    folders = [data_dir() / "firmware" / "kernels" / folder for folder in options.kernel_folders]
    named = ([folder / f"{stem}.cpp" for folder in folders] for stem in kernels.sources)
    return [next(path for path in candidates if path.is_file()) for candidates in named]
