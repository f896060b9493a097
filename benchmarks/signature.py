"""What it takes a core to verify a program's signature (firmware/include/mcu/ed25519.h), simulated.

    .venv/bin/python benchmarks/signature.py

Instructions and modelled cycles for a program of no length, and for each further KiB.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: E402

from mcu_build.board import find_board  # noqa: E402
from mcu_build.cache import Cache  # noqa: E402
from mcu_build.image.elf import Symbol  # noqa: E402
from mcu_build.profile.attribute import Counts  # noqa: E402
from mcu_build.profile.measure import Executable, count, cycles_of, read  # noqa: E402
from tests.support.image import build_image, fake_model, vector  # noqa: E402

# Board that is simulated, and the core whose cycles are modelled: QEMU has no Cortex-M0+.
CORES = (
    ("microbit", "cortex-m0plus"),
    ("mps2-an385", "cortex-m3"),
    ("mps2-an386", "cortex-m4"),
    ("corstone-300", "cortex-m55"),
)
KIB = 1024
STACK = 4096  # the harness and the check


class Checking(Executable):
    """An image that verifies a signature in place of a model."""

    @property
    def run(self) -> Symbol:
        """What is counted."""
        return self.symbol("_ZN4fake3runEv")


def array(name: str, data: bytes) -> str:
    """A constant of C++."""
    return f"static const unsigned char {name}[{max(len(data), 1)}] = {{{', '.join(map(str, data))}}};\n"


def counted(board_name: str, core: str, size: int, folder: Path) -> tuple[int, int]:
    """Instructions and cycles to verify the signature of so many bytes."""
    board = find_board(board_name)
    board = board.model_copy(update={"stack_size": max(board.stack_size, STACK)})
    key, message = Ed25519PrivateKey.from_private_bytes(bytes(range(32))), bytes(size)
    constants = {"key": key.public_key().public_bytes_raw(), "signature": key.sign(message), "bytes": message}
    text = '#include "mcu/ed25519.h"\n' + "".join(array(*one) for one in constants.items())
    check = f"if (!mcu::ed25519::verify(key, {{bytes, {size}}}, {{}}, signature)) return;"
    # A wrong answer is a wrong output, which ends the run.
    found = read(build_image(folder, board, "arm-clang", fake_model(check, text)), "fake", board.core)
    image = Checking(found.file, found.name, core, found.image, found.code)
    steps = count(image, board, vector(3), 300, Cache()).inferences[0]
    cycles = [cycles_of(replace(step, counts=Counts(step.counts)), image) or {} for step in steps]
    return sum(sum(step.counts.values()) for step in steps), round(sum(sum(c.values()) for c in cycles))


def rows(folder: Path) -> Iterator[str]:
    """A line for each core."""
    for board, core in CORES:
        empty, longer = (counted(board, core, size, folder / f"{board}_{size}") for size in (0, 4 * KIB))
        yield (
            f"{core:<14} {empty[0]:>12,} instructions {empty[1]:>12,} cycles, "
            f"{(longer[1] - empty[1]) // 4:>8,} more for each KiB"
        )


def main() -> None:
    """Print a line for each core."""
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(Path(folder)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
