"""count.c, a plugin of QEMU that counts executed instructions; compiled on first use, into the cache."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcu_build import process
from mcu_build.cache import Cache, hash_file, hash_text
from mcu_build.errors import Exit, McuError

_SOURCE = Path(__file__).with_name("count.c")
_LIBRARY = "count.so"
_COMPILERS = ("cc", "gcc", "clang", "clang-19", "clang-20", "clang-21", "clang-18")
_OPTIONS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-fvisibility=hidden")


@dataclass(frozen=True)
class Boundaries:
    """Where spans begin: at every instruction in [start, end), and at each of `others`."""

    start: int
    end: int
    others: Sequence[int] = ()


@dataclass(frozen=True)
class Waiting:
    """A memory whose reads wait `waits` cycles for a line that is not among the `lines` that are kept."""

    start: int
    end: int
    waits: int
    line: int
    lines: int = 1


@dataclass(frozen=True)
class Span:
    """What was executed from one boundary to the next: instructions by address.

    `waits` are cycles that their reads of data waited for memories, by address. `boundary` is the address of
    the instruction that began it, 0 for the span from reset on.
    """

    boundary: int
    counts: Mapping[int, int] = field(repr=False)
    waits: Mapping[int, int] = field(default_factory=dict, repr=False)

    @property
    def total(self) -> int:
        """Instructions."""
        return sum(self.counts.values())


def library(cache: Cache) -> Path:
    """The compiled plugin. McuError: status 3 no compiler for this computer, 1 it does not compile."""
    compiler = next((path for name in _COMPILERS if (path := shutil.which(name))), None)
    if compiler is None:
        raise McuError(
            f"{' or '.join(_COMPILERS[:3])}: not found on PATH: counting needs a C compiler",
            "apt-get install gcc",
            Exit.TOOL_MISSING,
        )
    key = hash_text("plugin", hash_file(_SOURCE), str(Path(compiler).resolve()), *_OPTIONS)
    entry, _ = cache.get(key, lambda folder: _compile(compiler, folder))
    return entry / _LIBRARY


def _compile(compiler: str, folder: Path) -> None:
    finished = process.run([compiler, *_OPTIONS, "-o", folder / _LIBRARY, _SOURCE], timeout=60)
    if finished.status != 0:
        raise McuError(
            f"{_SOURCE.name}: {compiler} cannot compile it:\n{finished.stderr.strip()}",
            "It is a shared library in C11: another compiler first on PATH may do.",
        )


def options(
    plugin: Path, boundaries: Boundaries, counts: Path, memories: Sequence[Waiting] = ()
) -> list[str]:
    """QEMU's options for a run that writes its spans to the file `counts`, with the waits for `memories`."""
    words = [
        f"file={plugin}",
        f"out={counts}",
        f"from={boundaries.start:#x}",
        f"to={boundaries.end:#x}",
        *(f"at={address:#x}" for address in boundaries.others),
        *(
            f"memory={memory.start:#x}:{memory.end:#x}:{memory.waits}:{memory.line}:{memory.lines}"
            for memory in memories
        ),
    ]
    # QEMU takes a doubled comma for one that is meant.
    return ["-plugin", ",".join(word.replace(",", ",,") for word in words)]


def read(counts: Path, without: Collection[int] = ()) -> tuple[Span, ...]:
    """The spans in the order in which they ran, instructions at the addresses `without` left out.

    McuError (status 4) where the file is not whole.
    """
    try:
        lines = counts.read_text().splitlines()
    except FileNotFoundError:
        lines = []
    if not lines or lines[-1] != "end":
        raise McuError(
            "counting wrote no result, or half of one",
            "The plugin was tried with QEMU 7.2; `qemu-system-arm --version` prints yours.",
            Exit.FIRMWARE,
        )
    spans: list[Span] = []
    counted: dict[int, int] = {}
    waited: dict[int, int] = {}
    for line in lines[:-1]:
        first, second, *more = line.split()
        if first == "span":
            counted, waited = {}, {}
            spans.append(Span(int(second, 16), counted, waited))
        elif (address := int(first, 16)) not in without:
            # An address has several lines where QEMU translated it several times.
            counted[address] = counted.get(address, 0) + int(second)
            if more and more[0] != "0":
                waited[address] = waited.get(address, 0) + int(more[0])
    return tuple(spans)
