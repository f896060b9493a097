"""The runner of plans on this computer, with sanitizers."""

import hashlib
import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mcu_build import process
from mcu_build.codegen.kernel_set import Kernel, KernelSet
from mcu_build.codegen.table import encode
from mcu_build.files import lock
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.plan import Plan
from mcu_build.resources import data_dir
from tests.support.tables.made import headers, kept, made, written

_COMPILE = (
    "g++",
    "-std=c++20",
    "-g1",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fno-exceptions",
    "-fno-rtti",
    "-ffp-contract=off",
)
# Without an optimizer: with sanitizers it takes as long as all the rest, and the cases are small.
_SANITIZED = (
    "-O0",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)
# Between constants: more than the widest load of any kernel.
GAP = 32
_SIGNATURE = re.compile(
    r"^(.*?):\S* T mcu::kernels::(\w+)\(mcu::kernels::(\w+) const&, (?!void \(\*)", re.MULTILINE
)


def run_tables(plans: Sequence[Plan], vectors: Sequence[Sequence[bytes]], folder: Path) -> bytes:
    """Outputs of all plans for the inputs of one vector after the other. AssertionError where one fails.

    They are kept: what is expected of a case is computed once, for every core and by whichever worker.
    """
    _, portable = portable_kernels()
    kernels = portable.joined(KernelSet.of(step for plan in plans for step in plan.steps))
    image, inputs = linked(kernels, "runner"), packed(plans, kernels, vectors, GAP)
    outputs = kept("outputs.bin", hashlib.sha256(image.name.encode() + inputs).hexdigest())
    with lock(outputs.parent / f"{outputs.name}.run"):
        if not outputs.exists():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "inputs.bin").write_bytes(inputs)
            finished = process.run([image], cwd=folder, timeout=300)
            assert finished.status == 0, f"status {finished.status}: {finished.stderr or finished.stdout}"
            (folder / "outputs.bin").rename(outputs)
    return outputs.read_bytes()


def packed(
    plans: Sequence[Plan], kernels: KernelSet, vectors: Sequence[Sequence[bytes]], gap: int = 0
) -> bytes:
    """What a runner reads: for each vector, the table of each plan and its inputs behind it."""
    tables = [encode(plan, kernels.numbers, gap) for plan in plans]
    parts = []
    for inputs in vectors:
        rest = iter(inputs)
        for plan, table in zip(plans, tables, strict=True):
            parts += [table, *(next(rest) for _ in plan.inputs)]
    return b"".join(parts)


def numbered(kernels: KernelSet) -> str:
    """The source of `kernels_of_tests`, the kernels by number."""
    return "".join(
        (
            *kernels.includes(),
            *kernels.emitted(),
            f"namespace {{\n{kernels.array()}}}\n",
            "extern const mcu::runtime::KernelSet kernels_of_tests;\n"
            "const mcu::runtime::KernelSet kernels_of_tests = kernels_of_model;\n",
        )
    )


def linked(kernels: KernelSet, main: str, include: Path | None = None) -> Path:
    """The program `main` of this folder with kernels by number; headers of `include` come before ours."""
    objects, _ = portable_kernels()
    firmware = data_dir() / "firmware"
    sources = (Path(__file__).parent / f"{main}.cpp", firmware / "platform" / "host" / "host.cpp")
    folders = [*([include] if include else []), firmware / "include"]
    source, ours = written("kernels.cpp", numbered(kernels)), headers(firmware / "include" / "mcu")
    # Its functions pass pointers on: sanitizers would have nothing to see, and take long over them.
    array = made("kernels.o", [*_COMPILE, f"-I{firmware / 'include'}", "-c", source], ours)
    command = [*_COMPILE, *_SANITIZED, *(f"-I{folder}" for folder in folders), array, *sources, *objects]
    return made(main, command, [*sources, *(file for folder in folders for file in headers(folder / "mcu"))])


@cache
def portable_kernels() -> tuple[tuple[Path, ...], KernelSet]:
    """Objects of every portable kernel, and the kernels in them."""
    firmware = data_dir() / "firmware"
    sources = sorted((firmware / "kernels" / "reference").glob("*.cpp"))
    # Workers of pytest begin at either end, and meet in the middle.
    backwards = os.environ.get("PYTEST_XDIST_WORKER", "").endswith("1")
    compiled = {source: kernel_object(source, firmware) for source in sorted(sources, reverse=backwards)}
    objects = {compiled[source]: source.stem for source in sources}
    structs = {kind.__name__: kind for kind in subclasses(Struct)}
    listed = process.run(["nm", "-A", "-C", "--defined-only", *objects]).stdout
    found = (
        Kernel(function, objects[Path(file)], structs[params])
        for file, function, params in _SIGNATURE.findall(listed)
    )
    return tuple(objects), KernelSet(()).joined(KernelSet(tuple(found)))


def subclasses(kind: type[Struct]) -> set[type[Struct]]:
    """A class with all that are derived from it."""
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def kernel_object(source: Path, firmware: Path) -> Path:
    """The compiled kernel."""
    command = [*_COMPILE, *_SANITIZED, f"-I{firmware / 'include'}", "-c", source]
    return made(f"{source.stem}.o", command, [source, *kernel_headers(firmware)])


@cache
def kernel_headers(firmware: Path) -> tuple[Path, ...]:
    """The headers that kernels may include."""
    mcu = firmware / "include" / "mcu"
    return (*sorted(mcu.glob("*.h")), *headers(mcu / "kernels"), *headers(firmware / "kernels"))
