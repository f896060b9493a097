"""How ExecuTorch is linked."""

from dataclasses import dataclass
from pathlib import Path

from mcu_build.codegen.slot import Region


@dataclass(frozen=True)
class Options:
    """How to link ExecuTorch: its install, other operators than the program's, pools that the user sets.

    `upstream` has ExecuTorch's own kernels run the program as it is. Where `ops` or `ops_from` are given, the
    image then has those operators, and the program must get along; without it, `ops_from` are programs whose
    kernels are linked, too. `program_slot` is where programs are kept apart from the image. `reserve_ram` are
    bytes that there are for memory plans at least.
    """

    prefix: Path | None = None
    ops: tuple[str, ...] = ()
    ops_from: tuple[Path, ...] = ()
    method_pool: int | None = None
    temp_pool: int | None = None
    program_slot: Region | None = None
    upstream: bool = False
    reserve_ram: int = 0
