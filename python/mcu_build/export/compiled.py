"""An export's sources through the board's compiler: the library, and what is known of its code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcu_build import process
from mcu_build.codegen.toolchain_config import ToolchainConfig
from mcu_build.errors import McuError
from mcu_build.image.decode import disassemble
from mcu_build.image.elf import Image, read_elf
from mcu_build.image.stack import Stack, stack_needed

_HINT = "Please report it, with the model."


@dataclass(frozen=True)
class Compiled:
    """The archive, bytes that are loaded of it, and the stack that the functions of the model need."""

    archive: bytes
    loaded: int
    stack: Stack


def compiled(
    name: str, tree: Mapping[str, str], options: Sequence[str], config: ToolchainConfig, scratch: Path
) -> Compiled:
    """Compile the sources among `tree`, texts by path, in the folder `scratch`. McuError where that fails."""
    for path, text in tree.items():
        (scratch / path).parent.mkdir(parents=True, exist_ok=True)
        (scratch / path).write_text(text)
    objects = []
    for source in (path for path in tree if path.endswith(".cpp")):
        objects.append(source.removesuffix(".cpp").replace("/", "_") + ".o")
        _run([config.cxx, *config.machine_options, *options, "-I.", "-c", "-o", objects[-1], source], scratch)
    archive = f"lib{name}.a"
    _run([config.archiver, "rcsD", archive, *objects], scratch)
    data = (scratch / archive).read_bytes()
    if config.toolchain == "host":
        return Compiled(data, 0, Stack(None, "it is that of another core"))
    image = f"{name}.elf"
    link = [*config.machine_link_options, "-nostdlib", "-Wl,--gc-sections", f"-Wl,--entry={name}_run"]
    _run([config.cxx, *link, "-o", image, *objects, *config.libraries], scratch)
    linked = read_elf(scratch / image)
    stack = stack_needed(linked, disassemble(scratch / image), [f"{name}_run"])
    return Compiled(data, _loaded(linked), stack)


def compiler_name(config: ToolchainConfig) -> str:
    """The compiler with its version, as `arm-none-eabi-g++ 12.2.1`."""
    version = process.run([config.cxx, "-dumpversion"]).stdout.strip()
    return f"{Path(config.cxx).name} {version}"


def _loaded(image: Image) -> int:
    return sum(section.size for section in image.sections if section.load_address is not None)


def _run(words: Sequence[str | Path], folder: Path) -> None:
    finished = process.run(words, cwd=folder)
    if finished.status != 0:
        raise McuError(f"{Path(words[0]).name}: {finished.stderr.strip() or finished.stdout.strip()}", _HINT)
