"""What an image loads, and whether it may be loaded on a board."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcu_build.board import Board
from mcu_build.errors import McuError


@dataclass(frozen=True)
class Segment:
    """Bytes and the address that they are loaded to."""

    address: int
    data: bytes

    @property
    def end(self) -> int:
        """The address behind the last byte."""
        return self.address + len(self.data)

    def overlap(self, address: int, size: int) -> "Segment | None":
        """The part of it that lies in `size` bytes from `address`."""
        start, end = max(self.address, address), min(self.end, address + size)
        return Segment(start, self.data[start - self.address : end - self.address]) if start < end else None


@dataclass(frozen=True)
class LoadImage:
    """What to load, lowest address first, and where the vector table is. `symbols` are addresses by name."""

    name: str
    segments: tuple[Segment, ...]
    vectors: int
    symbols: dict[str, int]

    @property
    def size(self) -> int:
        """Bytes that are loaded."""
        return sum(len(segment.data) for segment in self.segments)


def read_image(file: Path) -> LoadImage:
    """The loadable part of an ELF. McuError where it is none, or has nothing to load."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    try:
        with file.open("rb") as stream:
            elf = ELFFile(stream)
            parts = [
                Segment(part["p_paddr"], part.data())
                for part in elf.iter_segments("PT_LOAD")
                if part["p_filesz"]
            ]
            table = elf.get_section_by_name(".symtab")
            names = table.iter_symbols() if isinstance(table, SymbolTableSection) else ()
            symbols = {symbol.name: int(symbol["st_value"]) for symbol in names if symbol.name}
    except FileNotFoundError:
        raise McuError(f"{file}: there is no such image", "Build it first: `mcu-build build`.") from None
    except (OSError, ELFError) as error:
        raise McuError(
            f"{file}: not an ELF image: {error}", "Give the firmware.elf of a build folder, or the model."
        ) from None
    if "mcu_vectors" not in symbols or not parts:
        raise McuError(
            f"{file}: not an image of mcu-build's: it has no mcu_vectors",
            "Give an image that mcu-build, mcu_add_firmware, McuFirmware or mcu_firmware has linked.",
        )
    return LoadImage(file.name, merged(parts), symbols["mcu_vectors"], symbols)


def merged(parts: Sequence[Segment]) -> tuple[Segment, ...]:
    """Segments by address, those that touch each other as one."""
    joined: list[Segment] = []
    for part in sorted(parts, key=lambda part: part.address):
        if joined and joined[-1].end == part.address:
            joined[-1] = Segment(joined[-1].address, joined[-1].data + part.data)
        else:
            joined.append(part)
    return tuple(joined)


def check(image: LoadImage, board: Board) -> None:
    """McuError names every place where the image would write what is not its own."""
    problems = [problem for segment in image.segments for problem in _problems(segment, board)]
    if problems:
        raise McuError(
            "\n".join(f"{image.name}: {problem}" for problem in problems),
            f"Nothing was written. The memories of {board.id}: `mcu-build boards {board.id}`.",
        )


def _problems(segment: Segment, board: Board) -> Iterator[str]:
    where = f"{segment.address:#010x} to {segment.end - 1:#010x}"
    for kept in board.protected:
        if segment.overlap(kept.origin, kept.size):
            yield f"{where}: it overlaps {kept.name} at {kept.origin:#010x}: {kept.why}"
    for block in board.fixed:
        overlap = segment.overlap(block.origin, len(block.data))
        if overlap and overlap.data != block.data[overlap.address - block.origin :][: len(overlap.data)]:
            yield f"{where}: it changes {block.name} at {block.origin:#010x}: {block.why}"
    if _covered(segment, board) < segment.end:
        yield f"{where}: it lies in no memory of {board.id}"


def _covered(segment: Segment, board: Board) -> int:
    """How far the board's memories, one behind the other, hold the segment."""
    ranges = {
        (start, start + memory.size)
        for memory in board.memory
        for start in (memory.origin, board.address(memory.name))
    }
    if board.mcuboot is not None:
        # MCUboot's header stands before the flash of an image in its slot.
        ranges.add((board.mcuboot.slot, board.mcuboot.slot + board.mcuboot.size))
    reached = segment.address
    for start, end in sorted(ranges):
        if start <= reached < end:
            reached = end
    return reached
