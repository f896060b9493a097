"""What goes into an image, and what the linker refuses."""

import re
import shutil
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from mcu_build import process
from mcu_build.board import Board, find_board, load_board
from mcu_build.codegen.target import Toolchain, target
from mcu_build.resources import data_dir
from tests.support.image import CROSS, build_image, fake_model, link

BOARDS = ("corstone-300", "mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "microbit", "netduinoplus2")
MAIN = {"main.cpp": "int main() { return 0; }\n"}

pytestmark = pytest.mark.parametrize("toolchain", CROSS)


def sections(image: Path) -> dict[str, tuple[int, int]]:
    """Address and size of each section that takes memory."""
    with image.open("rb") as file:
        elf = ELFFile(file)
        return {
            s.name: (s["sh_addr"], s["sh_size"])
            for s in elf.iter_sections()
            if s["sh_flags"] & 2 and s["sh_size"]
        }


def symbols(image: Path) -> set[str]:
    with image.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {symbol.name for symbol in table.iter_symbols() if symbol["st_shndx"] != "SHN_UNDEF"}


def semihosting_calls(image: Path) -> int:
    tool = shutil.which("arm-none-eabi-objdump")
    assert tool is not None
    listing = process.run([tool, "-d", image]).stdout
    return len(re.findall(r"\bbkpt\s+(?:0x00ab|#171)", listing))


@pytest.mark.parametrize("name", BOARDS)
def test_sections_lie_where_the_board_places_them(tmp_path: Path, name: str, toolchain: Toolchain) -> None:
    board = find_board(name)
    found = sections(build_image(tmp_path, board, toolchain, fake_model()))
    place = board.placement
    assert place is not None
    wanted = {
        ".vectors": place.vectors,
        ".text": place.code,
        ".constants": place.constants,
        ".stack": place.stack,
        ".data": place.data,
        ".bss": place.data,
        ".arena": place.arena,
    }
    assert set(found) == set(wanted)
    for section, memory in wanted.items():
        start, size = found[section]
        origin = board.address(memory)
        assert origin <= start and start + size <= origin + board.memory_named(memory).size, section
    assert found[".vectors"] == (board.address(place.vectors), 4 * (16 + board.interrupts))
    assert found[".stack"] == (board.address(place.stack), board.stack_size)
    assert found[".constants"][0] % 16 == found[".arena"][0] % 16 == 0


@pytest.mark.parametrize("name", ["corstone-300", "mps2-an386", "microbit"])
def test_a_production_image_has_no_semihosting(tmp_path: Path, name: str, toolchain: Toolchain) -> None:
    board = find_board(name)
    image = build_image(tmp_path, board, toolchain, MAIN, "production", with_harness=False)
    assert semihosting_calls(image) == 0


def test_the_search_for_semihosting_finds_it(tmp_path: Path, toolchain: Toolchain) -> None:
    image = build_image(tmp_path, find_board("corstone-300"), toolchain, MAIN, "test", with_harness=False)
    assert semihosting_calls(image) > 0


def test_an_image_is_the_same_from_any_folder(tmp_path: Path, toolchain: Toolchain) -> None:
    board = find_board("corstone-300")
    folders = [tmp_path / "here", tmp_path / "another-place" / "deeper"]
    first, second = (build_image(folder, board, toolchain, fake_model()).read_bytes() for folder in folders)
    assert first == second
    assert str(tmp_path).encode() not in first
    # Another body gives another image: the comparison can fail.
    changed = build_image(tmp_path / "changed", board, toolchain, fake_model("if (zero) return;"))
    assert changed.read_bytes() != first


def test_our_own_folder_is_mapped_away(tmp_path: Path, toolchain: Toolchain) -> None:
    options = target(find_board("mps2-an386"), toolchain)
    firmware, output = data_dir() / "firmware", tmp_path / "fault.o"
    source = firmware / "platform/cortex_m/fault.cpp"
    compile_it = [options.cxx, "-g", f"-I{firmware / 'include'}", "-c", source, "-o", output]

    def debug_information(*more: str) -> bytes:
        # What names files without fail.
        finished = process.run([*compile_it, *more], cwd=tmp_path)
        assert finished.status == 0, finished.stderr
        return output.read_bytes()

    assert str(firmware).encode() not in debug_information(*options.compile_options)
    unmapped = [option for option in options.compile_options if "-prefix-map" not in option]
    assert str(firmware).encode() in debug_information(*unmapped)


@pytest.mark.parametrize("name", ["corstone-300", "microbit"])
@pytest.mark.parametrize(
    ("body", "before", "words"),
    [
        (
            "count(1);",
            "struct Counter { Counter(); int n; }; static Counter counter;\n"
            "Counter::Counter() : n(zero) {} static void count(int n) { counter.n += n; }",
            "mcu-build: a global constructor is linked in",
        ),
        ("pointer = new int[3];", "static int* volatile pointer;", "operator new"),
        ("pointer = malloc(3);", "#include <cstdlib>\nstatic void* volatile pointer;", "_sbrk"),
        ('std::printf("%d", arena[0]);', "#include <cstdio>", "_sbrk"),
    ],
    ids=["global constructor", "new", "malloc", "printf"],
)
def test_what_firmware_may_not_use_does_not_link(
    tmp_path: Path, name: str, toolchain: Toolchain, body: str, before: str, words: str
) -> None:
    finished = link(tmp_path, find_board(name), toolchain, fake_model(body, before))
    assert finished.status != 0
    assert words in finished.stderr


OVERFLOWS = {
    ".arena": (
        "arena_big[0] = 1;",
        '__attribute__((section(".bss.mcu_arena.big"))) unsigned char arena_big[SIZE];',
    ),
    ".bss": ("bss_big[0] = 1;", "static volatile unsigned char bss_big[SIZE];"),
    ".constants": (
        "arena[8] = constant_big[arena[4]];",
        "extern const unsigned char constant_big[SIZE];\n"
        '__attribute__((section(".rodata.mcu_constants.big"))) const unsigned char constant_big[SIZE] = {1};',
    ),
}


@pytest.mark.parametrize("section", OVERFLOWS)
def test_a_full_memory_is_named(tmp_path: Path, toolchain: Toolchain, section: str) -> None:
    board = find_board("microbit")
    body, before = OVERFLOWS[section]
    memory = board.memory_named("flash" if section == ".constants" else "ram")
    for size, fits in (
        (memory.size - (20 << 10 if memory.name == "flash" else 6 << 10), True),
        (memory.size, False),
    ):
        files = fake_model(body, before.replace("SIZE", str(size)))
        finished = link(tmp_path / str(fits), board, toolchain, files)
        assert (finished.status == 0) == fits, finished.stderr
    assert f"mcu-build: microbit: {memory.name} ({memory.size} bytes) is too small for" in finished.stderr
    assert section in finished.stderr


def test_mathematics_bring_no_stdio_and_no_heap(tmp_path: Path, toolchain: Toolchain) -> None:
    board: Board = find_board("mps2-an386")
    body = "f = std::exp(f) + std::tanh(f) + std::erf(f) + std::sqrt(f) + std::pow(f, f) + std::log(f);"
    files = fake_model(body, "#include <cmath>\nstatic volatile float f = 1;")
    image = build_image(tmp_path, board, toolchain, files)
    found = symbols(image)
    assert {"expf", "__errno"} <= found
    assert not found & {"_impure_ptr", "_sbrk", "_malloc_r", "__sf", "_impure_data"}


# Cores without a board of ours: a board file of a user may name them.
@pytest.mark.parametrize(
    ("core", "features"),
    [
        ("cortex-m0plus", 'fpu = "none"'),
        ("cortex-m23", 'fpu = "none"\ntrustzone = true'),
        ("cortex-m33", 'fpu = "none"\ndsp = false'),
        ("cortex-m7", 'fpu = "single"\ndsp = true'),
        ("cortex-m55", 'fpu = "double"\ndsp = true\nmve = false'),
        ("cortex-m85", 'fpu = "double"\ndsp = true\nmve = true\ntrustzone = true'),
    ],
)
def test_every_core_links(tmp_path: Path, toolchain: Toolchain, core: str, features: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'extends = "mps2-an385"\ncore = "{core}"\n{features}\n')
    assert sections(build_image(tmp_path, load_board(file), toolchain, fake_model()))
