"""The NPUs that are modelled: what their registers say of them and what of their build shows in results."""

from dataclasses import dataclass

from mcu_build.errors import Exit, McuError

_TABLE_BYTES = 2048


@dataclass(frozen=True)
class Config:
    """One build of an NPU.

    `config` and `id` are the registers CONFIG and ID. `streams` is the number of weight streams that an
    operation reads at once, `ofm_microblock` the depth of an output micro-block: they order weights.
    """

    name: str
    config: int
    id: int
    streams: int = 1
    ofm_microblock: int = 8

    @property
    def product(self) -> str:
        """ "u55", "u65" or "u85"."""
        return self.name.split("-")[1]

    @property
    def macs(self) -> int:
        """Multiplications of 8 bits in a cycle."""
        return int(self.name.split("-")[2])

    @property
    def internal_bytes(self) -> int:
        """Size of the memory that DMA calls internal: SHRAM, or on U85 the table RAM.

        U65-512 has two cores with half of the SHRAM each, and what is written for one is there for both.
        """
        return _TABLE_BYTES if self.product == "u85" else (self.config >> 8 & 0xFF) * 1024 // self.streams

    @property
    def table_base(self) -> int:
        """Where tables begin in that memory: its last 2 KB."""
        return self.internal_bytes - _TABLE_BYTES


_U55, _U65, _U85 = 0x10104201, 0x10066001, 0x20007001

CONFIGS = {
    config.name: config
    for config in (
        Config("ethos-u55-32", 0x00001005, _U55, ofm_microblock=4),
        Config("ethos-u55-64", 0x00001006, _U55),
        Config("ethos-u55-128", 0x00001807, _U55),
        Config("ethos-u55-256", 0x00003008, _U55),
        Config("ethos-u65-256", 0x10003008, _U65),
        Config("ethos-u65-512", 0x10006009, _U65, streams=2),
        Config("ethos-u85-128", 0x20000117, _U85),
        Config("ethos-u85-256", 0x20000118, _U85),
        Config("ethos-u85-512", 0x20001119, _U85, streams=2),
        Config("ethos-u85-1024", 0x2000251A, _U85, streams=4),
        Config("ethos-u85-2048", 0x2000261B, _U85, streams=4),
    )
}


def name_of(value: int | None) -> str | None:
    """The NPU whose CONFIG register is `value`, such as "ethos-u55-128"; None where none is known."""
    return next((config.name for config in CONFIGS.values() if config.config == value), None)


def find(name: str) -> Config:
    """The NPU of that name, such as "ethos-u55-128". McuError where there is none."""
    if name not in CONFIGS:
        raise McuError(f"NPU {name!r} is not known", f"Known are {', '.join(CONFIGS)}.", Exit.USAGE)
    return CONFIGS[name]


def of_register(value: int) -> Config:
    """The NPU whose register CONFIG is `value`. McuError where there is none."""
    for config in CONFIGS.values():
        if config.config == value:
            return config
    raise McuError(f"no NPU is known whose CONFIG is {value:#010x}", f"Known are {', '.join(CONFIGS)}.")
