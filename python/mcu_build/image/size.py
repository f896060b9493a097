"""Where flash and RAM go. Every byte of the image is in one row, so rows add up to the image.

Flash is what is loaded: the bytes of the .bin files. RAM is what a program writes: arena, variables, stack.
The initial values of variables count in both.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from mcu_build.board import Board
from mcu_build.errors import McuError
from mcu_build.image.elf import Image, Piece, Section, demangle, read_elf, read_map

Kind = Literal["code", "constants", "arena", "static", "stack"]
FLASH: tuple[Kind, ...] = ("code", "constants")
RAM: tuple[Kind, ...] = ("arena", "static", "stack")
PADDING = "[padding]"
_ARENA_PIECES = (".bss.mcu_arena.", ".bss.mcu_arena_in.", ".bss.mcu_fast.")


@dataclass(frozen=True)
class Row:
    """`size` bytes of `region` (empty on the host): a symbol, the rest of an input section, or padding."""

    name: str
    section: str
    region: str
    kind: Kind
    size: int
    source: str


@dataclass(frozen=True)
class Region:
    """A memory of the board: bytes in use, from the first to the last, and bytes that there are."""

    name: str
    used: int
    size: int


@dataclass(frozen=True, repr=False)
class Size:
    """An image, measured. `symbols` are all rows, the largest first; they add up to `flash` and `ram`."""

    regions: tuple[Region, ...]
    flash: dict[str, int]
    ram: dict[str, int]
    symbols: tuple[Row, ...]

    def __repr__(self) -> str:
        return f"<size: {self.flash['total']:,} bytes of flash, {self.ram['total']:,} of RAM>"


@dataclass(frozen=True)
class _Span:
    """A section at one of its places: where it is loaded, or where it runs."""

    section: Section
    start: int
    region: str
    rows: tuple[Row, ...]


def measure(elf: Path, map_file: Path, board: Board) -> Size:
    """Measure the image of `elf` with the linker's map of the same link. McuError where they do not agree."""
    image = read_elf(elf)
    pieces = read_map(map_file, image)
    spans = [
        span for section in image.sections for span in _spans(section, pieces[section.name], image, board)
    ]
    rows = list(_with_gaps(spans))
    names = demangle([row.name for row in rows])
    rows = [Row(**{**asdict(row), "name": name}) for row, name in zip(rows, names, strict=True)]
    used = {
        memory.name: sum(row.size for row in rows if row.region == memory.name) for memory in board.memory
    }
    return Size(
        tuple(Region(memory.name, used[memory.name], memory.size) for memory in board.memory),
        _totals(rows, FLASH),
        _totals(rows, RAM),
        tuple(sorted(rows, key=lambda row: (-row.size, row.region, row.section, row.name, row.source))),
    )


def _totals(rows: list[Row], kinds: tuple[Kind, ...]) -> dict[str, int]:
    parts: dict[str, int] = {kind: sum(row.size for row in rows if row.kind == kind) for kind in kinds}
    return {**parts, "total": sum(parts.values())}


def _spans(section: Section, pieces: tuple[Piece, ...], image: Image, board: Board) -> Iterator[_Span]:
    """The places of a section: in flash where it is loaded, in RAM where it runs at another address."""
    ram = _ram_kind(section)
    loaded = section.load_address is not None
    if section.load_address is not None:
        kind: Kind = "code" if section.executable or section.name == ".vectors" else "constants"
        yield _span(section, section.load_address, kind, pieces, image, board)
    if not loaded or section.load_address != section.address or (board.is_host and section.writable):
        yield _span(section, section.address, ram, pieces, image, board)


def _ram_kind(section: Section) -> Kind:
    if section.name == ".stack":
        return "stack"
    # The NPU's fast scratch memory is a part of the arena that lies elsewhere.
    return "arena" if section.name == ".fast" or section.name.startswith(".arena") else "static"


def _span(
    section: Section, start: int, kind: Kind, pieces: tuple[Piece, ...], image: Image, board: Board
) -> _Span:
    region = _region(board, start, section)
    rows = tuple(
        Row(name, section.name, region, _kind_of_piece(kind, piece), size, source)
        for name, piece, size, source in _parts(section, pieces, image, kind)
    )
    return _Span(section, start, region, rows)


def _region(board: Board, address: int, section: Section) -> str:
    if board.is_host:
        return ""
    for memory in board.memory:
        origins = [memory.origin] if memory.secure_alias is None else [memory.origin, memory.secure_alias]
        if any(origin <= address and address + section.size <= origin + memory.size for origin in origins):
            return memory.name
    raise McuError(
        f"{section.name} at {address:#010x} ({section.size:,} bytes) is in no memory of {board.id}",
        "Is this image for another board?",
    )


def _kind_of_piece(kind: Kind, piece: str) -> Kind:
    """Strings and tables lie among the code, but are constants; on the host the arena lies in .bss."""
    if kind == "code" and piece.startswith(".rodata"):
        return "constants"
    return "arena" if kind == "static" and piece.startswith(_ARENA_PIECES) else kind


def _parts(
    section: Section, pieces: tuple[Piece, ...], image: Image, kind: Kind
) -> Iterator[tuple[str, str, int, str]]:
    """(name, input section, bytes, object) of every byte of a section, in order."""
    if kind == "stack":
        yield "stack", section.name, section.size, ""
        return
    at, last = section.address, ""
    for piece in pieces:
        start, end = max(piece.address, at), min(piece.address + piece.size, section.end)
        if end <= start:
            continue
        if start > at:
            yield PADDING, last, start - at, ""
        for symbol in image.within(start, end):
            if symbol.address < start:
                continue
            if symbol.address > start:
                yield f"[{piece.name}]", piece.name, symbol.address - start, piece.source
            stop = min(symbol.address + symbol.size, end)
            yield symbol.name, piece.name, stop - symbol.address, piece.source
            start = stop
        if end > start:
            yield f"[{piece.name}]", piece.name, end - start, piece.source
        at, last = end, piece.name
    if section.end > at:
        yield PADDING, last, section.end - at, ""


def _with_gaps(spans: list[_Span]) -> Iterator[Row]:
    """The rows of all spans, and the padding between neighbours in a memory."""
    ordered = sorted(spans, key=lambda span: (span.region, span.start))
    for region, group in groupby(ordered, key=lambda span: span.region):
        before: _Span | None = None
        for span in group:
            gap = span.start - before.start - before.section.size if before and region else 0
            if before and gap > 0:
                yield Row(PADDING, before.section.name, region, before.rows[-1].kind, gap, "")
            yield from span.rows
            before = span
