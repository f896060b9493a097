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

_FLAGS = (
    "-std=c++20",
    "-g1",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fno-exceptions",
    "-fno-rtti",
    "-ffp-contract=off",
)
_SANITIZED = (
    "-O1",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)
# Between constants: more than the widest load of any kernel.
GAP = 32
_PUBLIC_HEADER = re.compile(r'^#include "(mcu/\w+\.h)"', re.MULTILINE)
_SIGNATURE = re.compile(
    r"^(.*?):\S* T mcu::kernels::(\w+)\(mcu::kernels::(\w+) const&, (?!void \(\*)", re.MULTILINE
)


def run_tables(plans: Sequence[Plan], vectors: Sequence[Sequence[bytes]], folder: Path) -> bytes:
    """Outputs of all plans for the inputs of one vector after the other. AssertionError where one fails."""
    folder.mkdir(parents=True, exist_ok=True)
    _, portable = portable_kernels()
    kernels = portable.joined(KernelSet.of(step for plan in plans for step in plan.steps))
    image = linked(kernels, "runner")
    with (folder / "inputs.bin").open("wb") as stream:
        tables = [encode(plan, kernels.numbers, GAP) for plan in plans]
        for inputs in vectors:
            given = iter(inputs)
            for plan, table in zip(plans, tables, strict=True):
                stream.write(table + b"".join(next(given) for _ in plan.inputs))
    finished = process.run([image], cwd=folder, timeout=300)
    assert finished.status == 0, f"status {finished.status}: {finished.stderr or finished.stdout}"
    return (folder / "outputs.bin").read_bytes()


def linked(kernels: KernelSet, main: str, include: Path | None = None) -> Path:
    """The program `main` of this folder with kernels by number; headers of `include` come before ours."""
    objects, _ = portable_kernels()
    firmware, here = data_dir() / "firmware", Path(__file__).parent
    sources = (here / f"{main}.cpp", firmware / "platform" / "host" / "host.cpp")
    folders = [*([include] if include else []), firmware / "include"]
    headers = [file for folder in folders for file in sorted((folder / "mcu").rglob("*.h"))]
    numbered = _numbered(kernels, firmware)
    digest = hashlib.sha256(repr((_FLAGS, _SANITIZED, numbered, objects)).encode())
    for file in (*sources, *headers):
        digest.update(file.read_bytes())
    kept = _kept(f"{main}-{digest.hexdigest()[:16]}")
    with lock(kept.parent / f"{kept.name}.link"):
        if not kept.exists():
            _compile(folders, _SANITIZED, [numbered, *sources, *objects], kept)
    return kept


def _numbered(kernels: KernelSet, firmware: Path) -> Path:
    """The object with the kernels by number."""
    text = "".join(
        (
            *kernels.includes(),
            *kernels.emitted(),
            f"namespace {{\n{kernels.array()}}}\n",
            "extern const mcu::runtime::KernelSet kernels_of_tests;\n"
            "const mcu::runtime::KernelSet kernels_of_tests = kernels_of_model;\n",
        )
    )
    header = (firmware / "include" / "mcu" / "runtime" / "kernel.h").read_text()
    kept = _kept(f"kernels-{hashlib.sha256((text + header).encode()).hexdigest()[:16]}.o")
    with lock(kept.parent / f"{kept.name}.link"):
        if not kept.exists():
            source = kept.with_suffix(".cpp")
            source.write_text(text)
            # Its functions pass pointers on: sanitizers would have nothing to see, and take long over them.
            _compile([firmware / "include"], [], ["-c", source], kept)
    return kept


@cache
def portable_kernels() -> tuple[tuple[Path, ...], KernelSet]:
    """Objects of every portable kernel, and the kernels in them."""
    firmware = data_dir() / "firmware"
    sources = sorted((firmware / "kernels" / "reference").glob("*.cpp"))
    # Two workers of pytest begin at either end, and meet in the middle.
    backwards = os.environ.get("PYTEST_XDIST_WORKER", "").endswith("1")
    made = {source: kernel_object(source, firmware) for source in sorted(sources, reverse=backwards)}
    objects = {made[source]: source.stem for source in sources}
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
    """The compiled kernel, kept between runs under the hash of all that goes into it."""
    include = firmware / "include"
    headers = sorted((include / "mcu" / "kernels").glob("*.h")) + sorted(source.parent.glob("*.h"))
    # Others are included by name alone.
    headers += [include / name for name in _PUBLIC_HEADER.findall(source.read_text())]
    digest = hashlib.sha256(repr((_FLAGS, _SANITIZED)).encode())
    for file in (source, *headers):
        digest.update(file.read_bytes())
    kept = _kept(f"{source.stem}-{digest.hexdigest()[:16]}.o")
    if not kept.exists():
        _compile([include], _SANITIZED, ["-c", source], kept)
    return kept


def _kept(name: str) -> Path:
    folder = data_dir() / "build" / "test-kernels"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _compile(folders: Sequence[Path], more: Sequence[str], words: Sequence[str | Path], made: Path) -> None:
    """Put `made` into place, whole."""
    include = [f"-I{folder}" for folder in folders]
    partial = made.with_suffix(f".{os.getpid()}{made.suffix}")
    finished = process.run(["g++", *_FLAGS, *more, *include, *words, "-o", partial], timeout=600)
    assert finished.status == 0, finished.stderr
    partial.rename(made)
