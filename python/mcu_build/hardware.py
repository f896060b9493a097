"""The parts of a board file: cores, memories, blocks, consoles, NPUs, ways to write and to run it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mcu_build.choices import ConsoleKind as ConsoleKind

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_size(value: object) -> object:
    """'512K', '4M' or a number of bytes → bytes."""
    if isinstance(value, str) and value[:-1].isdigit() and value[-1:] in _UNITS:
        return int(value[:-1]) * _UNITS[value[-1]]
    return value


NpuKind = Literal["ethos-u55", "ethos-u65", "ethos-u85"]
# A core has 32-bit addresses.
ADDRESSES = 1 << 32
Size = Annotated[int, BeforeValidator(parse_size), Field(gt=0, le=ADDRESSES)]
Address = Annotated[int, Field(ge=0, lt=ADDRESSES)]
# What a register holds.
Word = Annotated[int, Field(ge=0, lt=1 << 32)]


class Strict(BaseModel):
    """A table of the file: no key but those that are known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# The memory that --program-slot sets apart.
PROGRAM_SLOTS = "program_slots"


class MemoryTiming(Strict):
    """How long the core waits for a memory: what cycles are modelled with.

    `waits` cycles for each read of `line` bytes, of which the last is kept; with `prefetch` the next line of
    code is read while one executes; `cache` bytes in front of it, of lines of that size.
    """

    kind: Literal["tcm", "sram", "flash"]
    waits: int = Field(0, ge=0, le=1000)
    line: Literal[4, 8, 16, 32, 64] = 4
    prefetch: bool = False
    cache: Size | None = None

    @property
    def wait_of_byte(self) -> float:
        """Cycles that a byte waits where memory is read in its order."""
        return self.waits / self.line

    @model_validator(mode="after")
    def _check(self) -> "MemoryTiming":
        if self.kind == "tcm" and self.waits:
            raise ValueError("waits: a tightly coupled memory (tcm) has none")
        if self.prefetch and self.kind != "flash":
            raise ValueError(f"prefetch: {self.kind} has none, flash may")
        if self.cache is not None and self.cache % self.line:
            raise ValueError(f"cache: {self.cache} bytes are not whole lines of {self.line}")
        return self


class Dma(Strict):
    """What copies weights ahead. `driver`: one of firmware/platform/dma, whose registers begin at `base`.

    Or "application", whose mcu_dma_start() and mcu_dma_wait() do.
    """

    driver: Literal["application", "stm32-mdma", "dma-330"]
    base: Address | None = None

    @model_validator(mode="after")
    def _check(self) -> "Dma":
        if self.driver == "application" and self.base is not None:
            raise ValueError("base: the application's own driver knows its registers")
        if self.driver != "application" and self.base is None:
            raise ValueError(f"base: missing; where the registers of the {self.driver} begin")
        return self


class Memory(Strict):
    """A range of addresses: `secure_alias` is its secure view, `npu` and `dma` whether these reach it.

    `dma_alias` is where the DMA sees it, if elsewhere than the core.
    """

    name: str
    origin: Address
    secure_alias: Address | None = None
    size: Size
    access: Literal["rx", "rw", "rwx"]
    npu: bool = False
    dma: bool = True
    dma_alias: Address | None = None
    timing: MemoryTiming | None = None

    def address(self, secure: bool) -> int:
        """Where a core finds it: in the secure state at its secure alias, where it has one."""
        return self.secure_alias if secure and self.secure_alias is not None else self.origin


class Placement(Strict):
    """Which memory holds what, by name.

    `fast` is for an NPU's fast scratch memory, which without it lies in the arena. A file may list memories
    for `arena` and `constants`: what the first has no room for lies in those of `arena_then` and
    `constants_then`.
    """

    vectors: str
    code: str
    constants: str
    data: str
    arena: str
    stack: str
    fast: str | None = None
    constants_then: tuple[str, ...] = ()
    arena_then: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, table: object) -> object:
        """`arena = ["dtcm", "sram"]`: the first, and then the others."""
        if not isinstance(table, dict):
            return table
        split = dict(table)
        for role in ("arena", "constants"):
            names = table.get(role)
            if not isinstance(names, list | tuple):
                continue
            if not names or len(set(map(str, names))) < len(names):
                raise ValueError(f"{role}: {list(names)} is no list of different memories")
            split[role], split[f"{role}_then"] = names[0], tuple(names[1:])
        return split

    @property
    def arenas(self) -> tuple[str, ...]:
        """Memories for activations, those that are taken first in front."""
        return (self.arena, *self.arena_then)

    @property
    def weights(self) -> tuple[str, ...]:
        """Memories for constants, those that are taken first in front."""
        return (self.constants, *self.constants_then)

    @property
    def roles(self) -> tuple[tuple[str, str], ...]:
        """What is held, and the memory, for each."""
        roles = [("vectors", self.vectors), ("code", self.code)]
        roles += [("constants", name) for name in self.weights]
        roles += [("data", self.data), *(("arena", name) for name in self.arenas), ("stack", self.stack)]
        return (*roles, *([("fast", self.fast)] if self.fast is not None else []))


class Protected(Strict):
    """Addresses that no image of ours may touch: a bootloader, option bytes. `why` says what they hold."""

    name: str
    origin: Address
    size: Size
    why: str


class Fixed(Strict):
    """Bytes that every image has at an address, as the boot ROM needs them; no image may differ there."""

    name: str
    origin: Address
    content: Annotated[str, Field(pattern="^([0-9a-fA-F]{8})+$")]
    why: str

    @property
    def data(self) -> bytes:
        """The bytes: a whole number of words."""
        return bytes.fromhex(self.content)


class Uart(Strict):
    """A UART that a production image can print on. `divider` is the value of its baud rate register."""

    kind: Literal["cmsdk-uart", "nrf-uart", "stm32-usart", "stm32-usart-v2", "pl011", "kinetis-uart"]
    base: Address
    divider: Word = Field(gt=0)
    baud: Word = Field(115_200, gt=0)


class SetupStep(Strict):
    """A register written before main, in the order of the file: `why` says what for.

    `value` is written as it is; `clear` and `set` change bits. Then all bits of `wait` are waited for.
    """

    address: Address
    width: Literal[16, 32] = 32
    value: Word | None = None
    clear: Word = 0
    set: Word = 0
    wait: Word = 0
    why: str

    @property
    def masks(self) -> tuple[int, int]:
        """The bits that are cleared and those that are set."""
        return (self.clear, self.set) if self.value is None else ((1 << self.width) - 1, self.value)


class PyocdFlash(Strict):
    """The board as pyocd knows it; `pack` is the part whose CMSIS-Pack brings a target not built in."""

    target: str
    pack: str | None = None


class OpenocdFlash(Strict):
    """The board as OpenOCD knows it: its configuration files (.cfg, .tcl) and commands, in order.

    `needs` says which OpenOCD has the files, where release 0.12.0 does not.
    """

    config: tuple[str, ...] = Field(min_length=1)
    needs: str | None = None

    @property
    def arguments(self) -> list[str]:
        """The configuration as OpenOCD's command takes it."""
        return [
            word for file in self.config for word in ("-f" if file.endswith((".cfg", ".tcl")) else "-c", file)
        ]


class Uf2Flash(Strict):
    """The drive that the board's boot ROM shows: its name, and the family that a UF2 file must be of."""

    family: int = Field(ge=0, lt=1 << 32)
    volume: str


class FlashWays(Strict):
    """The ways to write the board, besides a GDB server."""

    pyocd: PyocdFlash | None = None
    openocd: OpenocdFlash | None = None
    uf2: Uf2Flash | None = None


class Mcuboot(Strict):
    """Where MCUboot looks for an image: `slot`, `size` bytes, of which the first `header` are its own.

    `model_slot` and `model_size` likewise, for a model that is a second image.
    """

    slot: Address
    size: Size
    model_slot: Address | None = None
    model_size: Size | None = None
    header: Size = 0x200
    align: Literal[1, 2, 4, 8, 16, 32] = 4


class NpuOptions(Strict):
    """Sizes of one kind of NPU that a board can have, and how Vela calls the system around it."""

    kind: NpuKind
    macs: tuple[Literal[32, 64, 128, 256, 512, 1024, 2048], ...]
    system_config: str
    memory_mode: str

    @property
    def names(self) -> tuple[str, ...]:
        """What `--npu` calls them, such as "ethos-u55-128"."""
        return tuple(f"{self.kind}-{macs}" for macs in self.macs)


class Qemu(Strict):
    """How QEMU runs the board."""

    machine: str
    cpu: str | None = None


def _pairs(value: object) -> object:
    """A table as pairs: a board can be hashed."""
    return tuple(value.items()) if isinstance(value, dict) else value


class Fvp(Strict):
    """Arm's models of the board: what their parameters are called, and the program for each kind of NPU.

    The first program runs images without an NPU too.
    """

    platform: Literal["mps3", "mps4"]
    binaries: Annotated[tuple[tuple[NpuKind, str], ...], BeforeValidator(_pairs)] = Field(min_length=1)

    def binary(self, kind: str | None) -> str:
        """The program for a kind of NPU, or None."""
        return next(name for has, name in self.binaries if kind in (None, has))


class RunTargets(Strict):
    """The simulators that know the board."""

    qemu: Qemu | None = None
    fvp: Fvp | None = None


Core = Literal[
    "cortex-m0",
    "cortex-m0plus",
    "cortex-m3",
    "cortex-m4",
    "cortex-m7",
    "cortex-m23",
    "cortex-m33",
    "cortex-m55",
    "cortex-m85",
    "host",
]


@dataclass(frozen=True)
class CoreFeatures:
    """What a core can be made with: its maker's options."""

    fpus: tuple[str, ...] = ("none",)
    dsp: tuple[bool, ...] = (False,)
    mve: tuple[bool, ...] = (False,)
    trustzone: bool = False


CORES: Mapping[str, CoreFeatures] = {
    "cortex-m0": CoreFeatures(),
    "cortex-m0plus": CoreFeatures(),
    "cortex-m3": CoreFeatures(),
    "cortex-m4": CoreFeatures(("none", "single"), dsp=(True,)),
    "cortex-m7": CoreFeatures(("none", "single", "double"), dsp=(True,)),
    "cortex-m23": CoreFeatures(trustzone=True),
    "cortex-m33": CoreFeatures(("none", "single"), dsp=(False, True), trustzone=True),
    "cortex-m55": CoreFeatures(("double",), dsp=(True,), mve=(False, True), trustzone=True),
    "cortex-m85": CoreFeatures(("double",), dsp=(True,), mve=(False, True), trustzone=True),
}


@dataclass(frozen=True)
class NpuChoice:
    """An NPU that a board has: its name for `--npu`, and how Vela calls the system around it."""

    name: str
    kind: str
    system_config: str
    memory_mode: str


class Npu(Strict):
    """Where the NPU is, and what it can be. `default` is a name of one of `options`, or "none"."""

    base: Address
    secure_alias: Address | None = None
    irq: int = Field(ge=0)
    default: str = "none"
    options: tuple[NpuOptions, ...]

    def address(self, secure: bool) -> int:
        """Where a core finds its registers: in the secure state at their secure alias, if there is one."""
        return self.secure_alias if secure and self.secure_alias is not None else self.base

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that `--npu` takes, besides "none"."""
        return tuple(name for option in self.options for name in option.names)

    def find(self, name: str) -> NpuChoice | None:
        """The NPU of that name, None where there is no such."""
        for option in self.options:
            if name in option.names:
                return NpuChoice(name, option.kind, option.system_config, option.memory_mode)
        return None
