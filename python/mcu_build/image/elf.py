"""What lies where in an image: sections and symbols of the ELF, input sections of the linker's map."""

from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

from mcu_build import process
from mcu_build.errors import McuError

# Names of mangled symbols on one command line.
_NAMES_PER_CALL = 500
_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4


@dataclass(frozen=True)
class Section:
    """A section that takes memory. `load_address` is None where nothing is loaded, such as for zeros."""

    name: str
    address: int
    size: int
    load_address: int | None
    writable: bool
    executable: bool

    @property
    def end(self) -> int:
        """The address behind its last byte."""
        return self.address + self.size


@dataclass(frozen=True)
class Symbol:
    """A function or an object, `size` bytes from `address`."""

    name: str
    address: int
    size: int


@dataclass(frozen=True)
class Image:
    """Sections with memory, by address, and the symbols that have a size, by address."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]

    def within(self, start: int, end: int) -> tuple[Symbol, ...]:
        """The symbols that begin from `start` on and before `end`."""
        first = bisect_left(self.symbols, start, key=lambda symbol: symbol.address)
        last = bisect_left(self.symbols, end, key=lambda symbol: symbol.address)
        return self.symbols[first:last]


@dataclass(frozen=True)
class Piece:
    """An input section in an output section: `source` is the object file, as 'lib.a(member)' or a name."""

    name: str
    source: str
    address: int
    size: int


def read_elf(file: Path) -> Image:
    """Read an ELF. McuError names the file where it is none."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with file.open("rb") as stream:
            return _image(ELFFile(stream))
    except OSError as error:
        raise McuError(f"{file}: {error.strerror}", "Build it first.") from error
    except (ELFError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise McuError(f"{file}: not an ELF, or a damaged one: {error}", "Build it again.") from error


def read_map(file: Path, image: Image) -> dict[str, tuple[Piece, ...]]:
    """The input sections of each section of `image`, by address, from a map of GNU ld or lld.

    McuError where the map is of another image than this.
    """
    from mapfile_parser import MapFile

    try:
        # The parser ends the thread over a file that it cannot read.
        file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise McuError(f"{file}: cannot be read as a map: {error}", "Build again.") from error
    parsed = MapFile()
    parsed.readMapFile(file)
    segments = {(segment.name, segment.vram, segment.size): segment for segment in parsed}
    pieces: dict[str, tuple[Piece, ...]] = {}
    for section in image.sections:
        segment = segments.get((section.name, section.address, section.size))
        if segment is None:
            raise McuError(
                f"{file}: {section.name}: is not that of the ELF", "Build again: one is of another build."
            )
        listed = [
            Piece(part.sectionType, Path(part.filepath).name, part.vram, part.size)
            for part in segment
            if part.size and not part.isFill and part.vram is not None
        ]
        pieces[section.name] = tuple(sorted(listed, key=lambda piece: piece.address))
    return pieces


def _image(elf: "ELFFile") -> Image:  # type: ignore[name-defined]  # noqa: F821
    # On Arm, bit 0 of a function's address says Thumb.
    mask = ~1 if elf["e_machine"] == "EM_ARM" else ~0
    segments = [segment.header for segment in elf.iter_segments() if segment["p_type"] == "PT_LOAD"]
    sections, symbols = [], []
    for section in elf.iter_sections():
        header = section.header
        if not header["sh_flags"] & _SHF_ALLOC or not header["sh_size"]:
            continue
        sections.append(
            Section(
                section.name,
                header["sh_addr"],
                header["sh_size"],
                None if header["sh_type"] == "SHT_NOBITS" else _load_address(header, segments),
                bool(header["sh_flags"] & _SHF_WRITE),
                bool(header["sh_flags"] & _SHF_EXECINSTR),
            )
        )
    table = elf.get_section_by_name(".symtab")
    for symbol in table.iter_symbols() if table else ():
        kind = symbol["st_info"]["type"]
        if kind in ("STT_FUNC", "STT_OBJECT") and symbol["st_size"] and symbol["st_shndx"] != "SHN_UNDEF":
            address = symbol["st_value"] & (mask if kind == "STT_FUNC" else ~0)
            symbols.append(Symbol(symbol.name, address, symbol["st_size"]))
    return Image(
        tuple(sorted(sections, key=lambda section: section.address)),
        # Of several names for one place the largest is reported, then the first by name.
        tuple(sorted(symbols, key=lambda symbol: (symbol.address, -symbol.size, symbol.name))),
    )


def _load_address(header: dict[str, int], segments: list[dict[str, int]]) -> int | None:
    for segment in segments:
        offset = header["sh_offset"] - segment["p_offset"]
        if offset >= 0 and offset + header["sh_size"] <= segment["p_filesz"]:
            return segment["p_paddr"] + offset
    return None


def demangle(names: list[str]) -> list[str]:
    """Names as they are written in C++, where a tool for it is installed."""
    import shutil

    tools = ("c++filt", "arm-none-eabi-c++filt", "llvm-cxxfilt-19", "llvm-cxxfilt")
    tool = next((path for name in tools if (path := shutil.which(name))), None)
    mangled = sorted({name for name in names if name.startswith("_Z")})
    plain: dict[str, str] = {}
    for first in range(0, len(mangled) if tool else 0, _NAMES_PER_CALL):
        chunk = mangled[first : first + _NAMES_PER_CALL]
        lines = process.run([str(tool), *chunk]).stdout.splitlines()
        if len(lines) == len(chunk):
            plain.update(zip(chunk, lines, strict=True))
    return [plain.get(name, name) for name in names]
