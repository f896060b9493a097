"""boards/<id>.toml → Board. One file is one board; adding one edits no code."""

import difflib
import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from mcu_build.errors import Exit, McuError
from mcu_build.hardware import (
    ADDRESSES,
    CORES,
    PROGRAM_SLOTS,
    ConsoleKind,
    Core,
    CoreFeatures,
    Dma,
    Fixed,
    FlashWays,
    Mcuboot,
    Memory,
    Npu,
    NpuChoice,
    Placement,
    Protected,
    RunTargets,
    SetupStep,
    Size,
    Strict,
    Uart,
)
from mcu_build.resources import data_dir

# Letters from which on a word is looked for in board files, and how many boards are offered then.
_CHIP_LETTERS, _OFFERED = 5, 4


class Board(Strict):
    """One board, as its file says. `id` is the file's stem; `clock` is the core's in applications, in Hz.

    `arena_size` is what a model's arena may take, where that is less than its memory has.
    """

    id: str
    name: str
    core: Core
    fpu: Literal["none", "single", "double"] = "none"
    dsp: bool = False
    mve: bool = False
    trustzone: bool = False
    interrupts: int = Field(32, ge=1, le=480)
    clock: int | None = Field(None, ge=1, le=10_000_000_000)
    memory: tuple[Memory, ...] = ()
    placement: Placement | None = None
    stack_size: Size = 8 << 10
    arena_size: Size | None = None
    console: ConsoleKind = "rtt"
    uart: Uart | None = None
    setup: tuple[SetupStep, ...] = ()
    fixed: tuple[Fixed, ...] = ()
    protected: tuple[Protected, ...] = ()
    flash: FlashWays = FlashWays()
    mcuboot: Mcuboot | None = None
    npu: Npu | None = None
    dma: Dma | None = None
    run: RunTargets = RunTargets()
    sources: tuple[str, ...] = Field((), description="Where the numbers come from.")

    @model_validator(mode="after")
    def _consistent(self) -> "Board":
        problems = list(self._problems())
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        if self.core == "host":
            return
        yield from self._core_problems(CORES[self.core])
        yield from self._memory_problems()
        if self.placement is None:
            yield "placement: missing"
            return
        yield from self._placement_problems(self.placement)
        if self.console == "uart" and self.uart is None:
            yield "console: the board describes no [uart]"
        yield from self._fixed_problems()
        if self.mcuboot is not None:
            yield from self._slot_problems(self.mcuboot)
        if self.npu is not None:
            yield from self._npu_problems(self.npu)

    def _placement_problems(self, place: Placement) -> Iterator[str]:
        names = [memory.name for memory in self.memory]
        for role, name in place.roles:
            if name not in names:
                near = f"; there are: {', '.join(names)}" if names else "; the file describes no memory"
                yield f"placement.{role}: no memory is called {name!r}{near}"
                continue
            access = self.memory_named(name).access
            if role in ("data", "arena", "stack", "fast") and "w" not in access:
                yield f"placement.{role}: memory {name!r} cannot be written"
            if role == "code" and "x" not in access:
                yield f"placement.code: memory {name!r} cannot be executed"

    def _fixed_problems(self) -> Iterator[str]:
        for block in self.fixed:
            if not _is_word(block.name):
                yield f"fixed.name: {block.name!r} is not a word of letters, digits and _"
            if self._memory_at(block.origin, len(block.data)) is None:
                yield f"fixed: {block.name!r} at {block.origin:#010x} lies in no memory"

    def _slot_problems(self, boot: Mcuboot) -> Iterator[str]:
        if not self._holds(boot.slot, boot.size, boot.header):
            yield f"mcuboot.slot: {boot.size:,} bytes at {boot.slot:#010x} lie in no memory"
        table = 4 * (16 + self.interrupts)
        alignment = 1 << (table - 1).bit_length()
        if (boot.slot + boot.header) % alignment:
            yield f"mcuboot.header: the vector table behind it must be aligned to {alignment} bytes"
        start, size = boot.model_slot, boot.model_size
        if start is None or size is None:
            if start != size:
                yield "mcuboot: model_slot and model_size go together"
        elif not self._holds(start, size, boot.header):
            yield f"mcuboot.model_slot: {size:,} bytes at {start:#010x} lie in no memory"
        elif start < boot.slot + boot.size and boot.slot < start + size:
            yield "mcuboot.model_slot: it overlaps the slot of the image"

    def _holds(self, start: int, size: int, header: int) -> bool:
        """Whether a slot of MCUboot's lies in a memory, or what is behind its header: `in_slot`."""
        behind = self._memory_at(start + header, size - header)
        return header < size and (behind or self._memory_at(start, size)) is not None

    def _memory_at(self, address: int, size: int) -> Memory | None:
        return next(
            (
                memory
                for memory in self.memory
                if self.address(memory.name) <= address
                and address + size <= self.address(memory.name) + memory.size
            ),
            None,
        )

    def memory_at(self, address: int) -> Memory | None:
        """The memory that holds `address`, None where there is none."""
        return self._memory_at(address, 1)

    def _core_problems(self, can: CoreFeatures) -> Iterator[str]:
        choices = {"fpu": can.fpus, "dsp": can.dsp, "mve": can.mve}
        for key, allowed in choices.items():
            value = getattr(self, key)
            if value not in allowed:
                listed = " or ".join(str(item).lower() for item in allowed)
                yield f"{key}: {self.core} cannot have {str(value).lower()!r}; possible: {listed}"
        if self.trustzone and not can.trustzone:
            yield f"trustzone: {self.core} cannot have it"

    def _npu_problems(self, npu: Npu) -> Iterator[str]:
        if not npu.names:
            yield "npu.options: no NPU is named"
        if npu.default not in ("none", *npu.names):
            yield f"npu.default: there is no {npu.default!r}; possible: {', '.join(('none', *npu.names))}"
        if npu.irq >= self.interrupts:
            yield f"npu.irq: {npu.irq} is beyond the board's {self.interrupts} interrupts"
        if not any(memory.npu for memory in self.memory):
            yield "npu: it reaches no memory; mark one with npu = true"
        if self.run.fvp is not None:
            kinds = dict.fromkeys(option.kind for option in npu.options)
            for kind in (kind for kind in kinds if kind not in dict(self.run.fvp.binaries)):
                yield f"run.fvp.binaries: none is named for {kind}"

    def _memory_problems(self) -> Iterator[str]:
        seen: set[str] = set()
        for memory in self.memory:
            if not _is_word(memory.name):
                yield f"memory.name: {memory.name!r} is not a word of letters, digits and _"
            if memory.name in seen:
                yield f"memory.name: two memories are called {memory.name!r}"
            seen.add(memory.name)
            if max(memory.origin, memory.secure_alias or 0) + memory.size > ADDRESSES:
                yield f"memory: {memory.name!r} reaches beyond the 32-bit addresses"
        for secure in (False, True) if self.trustzone else (False,):
            ordered = sorted(self.memory, key=lambda memory: memory.address(secure))
            for first, second in itertools.pairwise(ordered):
                if first.address(secure) + first.size > second.address(secure):
                    view = " in the secure view" if secure else ""
                    yield f"memory: {first.name!r} and {second.name!r} overlap{view}"

    def memory_named(self, name: str) -> Memory:
        """The memory called `name`."""
        return next(memory for memory in self.memory if memory.name == name)

    def address(self, name: str) -> int:
        """Where the memory called `name` starts for our firmware, which runs in the secure state."""
        return self.memory_named(name).address(self.trustzone)

    def with_console(self, kind: ConsoleKind) -> "Board":
        """The board with another console. McuError (usage) where it has no such."""
        if kind == "uart" and self.uart is None:
            raise McuError(
                f"--console: {self.id} describes no UART",
                "Its file needs [uart]: docs/boards.md.",
                Exit.USAGE,
            )
        return self.model_copy(update={"console": kind})

    def with_memories(self, arena: Sequence[str], constants: Sequence[str]) -> "Board":
        """The board with other memories for activations and for weights; an empty list: its own.

        McuError (usage) where they are none that it has, or cannot be.
        """
        if self.placement is None:
            option = "--arena" if arena else "--constants"
            raise McuError(f"{option}: {self.id} has no memories to choose from", "Leave it out.", Exit.USAGE)
        names = {"arena": arena or self.placement.arenas, "constants": constants or self.placement.weights}
        try:
            place = Placement.model_validate({**self.placement.model_dump(), **names})
            problems = list(self._placement_problems(place))
        except ValidationError as error:
            problems = list(_mistakes(error))
        if problems:
            options = [re.sub(r"^(placement\.)?(arena|constants)", r"--\2", line) for line in problems]
            raise McuError(
                "\n".join(options), f"`mcu-build boards {self.id}` shows its memories.", Exit.USAGE
            )
        return self.model_copy(update={"placement": place})

    def in_one_memory(self) -> "Board":
        """The board with the first of its memories for activations, and for weights, alone, and no DMA."""
        if self.placement is None:
            return self
        place = self.placement.model_copy(update={"arena_then": (), "constants_then": ()})
        return self.model_copy(update={"placement": place, "dma": None})

    def in_slot(self) -> "Board":
        """The board with flash as MCUboot leaves it to an image: the slot without its header."""
        if self.mcuboot is None or self.placement is None:
            raise McuError(
                f"--sign: {self.id} describes no slot",
                "Its file needs [mcuboot]: docs/boards.md.",
                Exit.USAGE,
            )
        boot, name = self.mcuboot, self.placement.vectors
        if {self.placement.code, *self.placement.weights} != {name}:
            raise McuError(
                f"--sign: {self.id}: code and constants lie outside {name!r}",
                f"[placement] of the board's file has to name {name} for code and constants.",
                Exit.USAGE,
            )
        end = boot.slot + boot.size
        if any(
            memory.name == PROGRAM_SLOTS and boot.slot < memory.origin + memory.size and memory.origin < end
            for memory in self.memory
        ):
            raise McuError(
                f"--sign: {self.id}: program slots lie in the slot of MCUboot's",
                "Give --program-slot an address behind that slot, or another memory.",
                Exit.USAGE,
            )
        own = {"origin": boot.slot + boot.header, "size": boot.size - boot.header, "secure_alias": None}
        memory = tuple(
            memory.model_copy(update=own) if memory.name == name else memory for memory in self.memory
        )
        return self.model_copy(update={"memory": memory})

    @property
    def program_slots(self) -> bool:
        """Whether a memory is set apart for programs."""
        return any(memory.name == PROGRAM_SLOTS for memory in self.memory)

    @property
    def free_memories(self) -> tuple[str, ...]:
        """Names of the memories that images leave alone."""
        used = {name for _, name in self.placement.roles} if self.placement else set()
        return tuple(memory.name for memory in self.memory if memory.name not in used)

    def with_program_slots(self, address: int, size: int) -> "Board":
        """The board with a free memory, or the end of one, from `address`, set apart for programs.

        The host stays as it is: it has no memories. McuError (usage) where it is neither.
        """
        if self.is_host:
            return self
        holder = self._memory_at(address, size)
        start = self.address(holder.name) if holder else 0
        whole = holder is not None and address == start and holder.name in self.free_memories
        if holder is None or (address == start and not whole) or address + size != start + holder.size:
            ends = ", ".join(
                f"{memory.name} before {self.address(memory.name) + memory.size:#x}" for memory in self.memory
            )
            raise McuError(
                f"--program-slot: {size:,} bytes at {address:#x} are not the end of a memory of {self.id}",
                f"Their end has to be that of a memory: {ends}.",
                Exit.USAGE,
            )
        rest = () if whole else (holder.model_copy(update={"size": address - start}),)
        slots = Memory(name=PROGRAM_SLOTS, origin=address, size=size, access="rx", npu=holder.npu)
        memory = [part for memory in self.memory for part in (rest if memory is holder else (memory,))]
        return self.model_copy(update={"memory": (*memory, slots)})

    @property
    def npu_address(self) -> int:
        """Where our firmware finds the registers of the board's NPU."""
        assert self.npu is not None, "the board has no NPU"
        return self.npu.address(self.trustzone)

    def choose_npu(self, name: str | None) -> NpuChoice | None:
        """The NPU called `name`, the default where `name` is None; None is no NPU. McuError (usage) lists."""
        wanted = name or (self.npu.default if self.npu else "none")
        if wanted == "none":
            return None
        choice = self.npu.find(wanted) if self.npu else None
        if choice is None:
            if self.npu is None:
                raise McuError(
                    f"--npu: {self.id} has no NPU",
                    "Leave --npu out; `mcu-build boards` lists the NPUs of boards.",
                    Exit.USAGE,
                )
            raise McuError(
                f"--npu: {self.id} has no NPU called {wanted!r}",
                f"Possible: {', '.join(('none', *self.npu.names))}.",
                Exit.USAGE,
            )
        return choice

    @property
    def is_host(self) -> bool:
        """Whether firmware for this board is a native program."""
        return self.core == "host"


def _is_word(name: str) -> bool:
    """Whether linker scripts and C can call something so."""
    return name.isidentifier() and name.isascii()


# Where a project's settings stand: in the first, or in a table of the second (fronts/project.py).
PROJECT_FILES = ("mcu-build.toml", "pyproject.toml")


def board_files(project: Path | None = None) -> dict[str, Path]:
    """Every board by id: ours, then those in boards/ of the current folder, of the project's, of `project`.

    A later one replaces an earlier one of its name. `project` is a model's folder.
    """
    folders = [data_dir(), *([Path.cwd(), _root(project), project] if project else [])]
    return {file.stem: file for folder in folders for file in sorted((folder / "boards").glob("*.toml"))}


def _root(folder: Path) -> Path:
    """The nearest folder with a project file, `folder` or one above it; else `folder`."""
    above = (folder, *folder.absolute().parents)
    return next(
        (folder for folder in above if any((folder / name).is_file() for name in PROJECT_FILES)), folder
    )


def _with_chip(word: str, files: Mapping[str, Path]) -> list[str]:
    """Boards whose name or flash tools speak of a chip: 'stm32f446' of nucleo-f446re."""
    if len(word) < _CHIP_LETTERS:
        return []
    return [name for name, file in files.items() if word.lower() in file.read_text().lower()][:_OFFERED]


def find_board(name: str, project: Path | None = None) -> Board:
    """The board called `name`, or in the file of that path. McuError offers the nearest names."""
    if name.endswith(".toml"):
        return load_board(Path(name))
    files = board_files(project)
    if name not in files:
        near = _with_chip(name, files) or difflib.get_close_matches(name, files, n=3, cutoff=0.5)
        offered = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(files)}."
        raise McuError(
            f"--board: no board is called {name!r}",
            f"{offered} `mcu-build boards` lists them; one of your own is a file (docs/boards.md).",
        )
    return load_board(files[name])


def load_board(file: Path) -> Board:
    """Read and check a board file. McuError lists every mistake in it."""
    table = dict(_read(file))
    base = table.pop("extends", None)
    if base is not None:
        table = _merge(_base(file, base), table)
    try:
        return Board.model_validate({**table, "id": file.stem})
    except ValidationError as error:
        raise McuError(
            "\n".join(f"{file}: {line}" for line in _mistakes(error)),
            "docs/boards.md describes every key.",
            Exit.INPUT,
        ) from None


def _read(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise McuError(f"{file}: {error.strerror}", "`mcu-build boards` lists the boards.") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, UnicodeDecodeError, numbers too long
        raise McuError(
            f"{file}: not valid TOML: {error}", "docs/boards.md describes a board's file."
        ) from error


def _base(file: Path, base: object) -> Mapping[str, Any]:
    beside = file.parent / f"{base}.toml"
    shipped = data_dir() / "boards" / f"{base}.toml"
    try:
        file_of_base = next((path for path in (beside, shipped) if path.is_file() and path != file), None)
    except OSError:  # A name that no file can have.
        file_of_base = None
    if file_of_base is None:
        raise McuError(f"{file}: extends: no board is called {base!r}", "`mcu-build boards` lists them.")
    table = _read(file_of_base)
    if "extends" in table:
        raise McuError(
            f"{file}: extends: {base!r} itself extends another board",
            f"Write extends = {table['extends']!r}.",
        )
    return table


def _merge(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merge key by key; everything else is replaced, lists included."""
    merged = dict(base)
    for key, value in own.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _near(place: Sequence[Any]) -> str:
    """For a key of the board itself, the one that it may be meant to be."""
    known = ["extends", *Board.model_fields] if len(place) == 1 else []
    near = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f": did you mean {near[0]}?" if near else ""


def _mistakes(error: ValidationError) -> Iterator[str]:
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            yield f"{key}: no such key{_near(item['loc'])}"
        elif key:
            yield (
                f"{key}: {message} (found {item['input']!r})"
                if item["type"] != "missing"
                else f"{key}: missing"
            )
        else:
            yield from message.split("\n")
