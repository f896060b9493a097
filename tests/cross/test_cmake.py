"""The CMake package: what a user's own project can do with it, and what it refuses."""

import re
import shutil
from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.image.elf import read_elf, read_map
from mcu_build.resources import data_dir
from tests.support.cli import mcu_build as command
from tests.support.firmware import Project, concatenation, dequantizer, model_sources, quantizer, write_model
from tests.support.mcuboot import is_signed, new_key

BOARD = "mps2-an386"
MAIN = """
#include "first.h"
#include "second.h"
int main() {
    first::run();
    second::run();
    return static_cast<int>(first::output()[0]) + static_cast<int>(second::output()[0]);
}
"""
LISTS = """
mcu_add_model(first GENERATED first)
mcu_add_model(second GENERATED second)
mcu_add_firmware(own SOURCES main.cpp MODELS first second)
mcu_add_firmware(shared SOURCES main.cpp MODELS first second SHARE_ARENA)
mcu_add_firmware(plain MODELS first)
mcu_add_firmware(tested MODELS first TEST)
mcu_add_model(other GENERATED other)
mcu_add_firmware(elsewhere MODELS other)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Two models that need the same kernel, one that is larger, in four images."""
    made = Project(tmp_path_factory.mktemp("cmake"))
    write_model(quantizer(64), "first", BOARD, "arm-clang", made.folder / "first")
    write_model(dequantizer(256), "second", BOARD, "arm-clang", made.folder / "second")
    # As with ARENA psram.
    write_model(quantizer(), "other", BOARD, "arm-clang", made.folder / "other", memories=("psram", ""))
    return made.write(LISTS, main=MAIN).made("arm-clang")


def objects(project: Project, image: str) -> set[str]:
    """The object files that have bytes in an image."""
    elf = read_elf(project.tree / f"{image}.elf")
    pieces = read_map(project.tree / f"{image}.map", elf)
    return {piece.source for found in pieces.values() for piece in found}


def arenas(project: Project, image: str) -> tuple[int, dict[str, int]]:
    """Bytes of the section of arenas, and the address of each arena by name."""
    elf = read_elf(project.tree / f"{image}.elf")
    size = next(section.size for section in elf.sections if section.name == ".arena")
    return size, {symbol.name: symbol.address for symbol in elf.symbols if symbol.name.endswith("_arena")}


def test_an_image_has_an_elf_a_hex_a_map_and_binaries(project):
    for image in ("own", "shared", "plain", "tested"):
        loaded = (".hex", ".bin", "-psram.bin") if image != "tested" else ()
        for suffix in (".elf", ".map", *loaded):
            assert (project.tree / f"{image}{suffix}").is_file()


def test_two_models_in_one_image_share_their_kernel(project):
    assert {"libmodel_first.a(first.cpp.obj)", "libmodel_second.a(second.cpp.obj)"} <= objects(project, "own")
    assert [name for name in objects(project, "own") if "kernel" in name] == [
        "libkernel_quantize.a(quantize.cpp.obj)"
    ]
    assert [path.name for path in project.tree.rglob("libkernel_*.a")] == ["libkernel_quantize.a"]


def test_models_have_an_arena_each_unless_they_share_one(project):
    size, places = arenas(project, "own")
    # 64 floats become bytes in their place; 256 bytes become floats in theirs.
    assert size == 256 + 1024
    assert places["first_arena"] != places["second_arena"]
    size, places = arenas(project, "shared")
    assert size == 1024
    assert places["first_arena"] == places["second_arena"] == places["mcu_arena"]


def test_a_model_lies_in_the_memory_that_it_names(project):
    origin = find_board(BOARD).memory_named("psram").origin
    addresses = {symbol.name: symbol.address for symbol in read_elf(project.tree / "elsewhere.elf").symbols}
    assert addresses["other_arena"] >= origin > arenas(project, "own")[1]["first_arena"]


def test_a_production_image_has_no_semihosting(project):
    assert "semihosting.cpp.obj" in objects(project, "tested")
    assert "semihosting.cpp.obj" not in objects(project, "plain")
    # bkpt #0xAB, the instruction that asks the debugger.
    assert b"\xab\xbe" in (project.tree / "tested.elf").read_bytes()
    assert b"\xab\xbe" not in (project.tree / "plain.bin").read_bytes()


def test_nothing_is_built_twice(project):
    assert "no work to do" in project.build()


def test_only_what_stands_on_a_changed_model_is_built_again(project):
    source = project.folder / "first" / "first.cpp"
    source.write_text(source.read_text() + "// changed\n")
    text = project.build()
    assert "first.cpp.obj" in text and "own.elf" in text
    assert not re.search(r"Building .*(second|quantize|startup|main)", text), text


def test_a_changed_linker_script_links_again(project):
    script = project.folder / "first" / "memory.ld"
    script.write_text(script.read_text() + "/* changed */\n")
    text = project.build()
    assert "own.elf" in text and "Building" not in text


def test_a_changed_list_of_kernels_configures_again(project, tmp_path):
    copy = Project(tmp_path / "copy")
    shutil.copytree(project.folder, copy.folder, ignore=shutil.ignore_patterns("build"))
    copy.made("arm-clang")
    assert "libkernel_concat.a" not in {path.name for path in copy.tree.rglob("*.a")}
    for name, text in model_sources(concatenation(), "first").items():
        (copy.folder / "first" / name).write_text(text)
    copy.build()
    assert any("concat" in name for name in objects(copy, "own"))


def test_an_image_is_signed_for_mcuboots_slot(tmp_path):
    write_model(quantizer(), "first", "netduinoplus2", "arm-clang", tmp_path / "first")
    key = new_key(tmp_path / "key.pem")
    text = (
        "mcu_add_model(first GENERATED first)\nmcu_add_firmware(plain MODELS first)\n"
        "mcu_add_firmware(demo MODELS first SIGN key.pem VERSION 1.2.3 SECURITY_COUNTER auto CONFIRM)\n"
    )
    made = Project(tmp_path).write(text).made("arm-clang")
    signed, update = (made.tree / f"demo.{kind}.bin" for kind in ("signed", "update"))
    for file in (signed, update):
        assert is_signed(file, key)
    raw = (made.tree / "demo.bin").read_bytes()
    assert (
        signed.read_bytes()[0x200 : 0x200 + len(raw)] == raw
        and signed.read_bytes()[20:24] == b"\x01\x02\x03\0"
    )
    assert update.stat().st_size == 384 << 10
    symbols = {name: read_elf(made.tree / f"{name}.elf").symbols for name in ("plain", "demo")}
    places = {
        name: next(one.address for one in found if one.name == "mcu_vectors")
        for name, found in symbols.items()
    }
    assert places == {"plain": 0x0800_0000, "demo": 0x0802_0200}
    # What is linked for elsewhere is not signed, with that script or without.
    words = ("sign", "-b", "netduinoplus2", "--sign", tmp_path / "key.pem", made.tree / "plain.elf")
    output = command(*words)
    assert output.status == 1 and "behind the header of MCUboot's slot is 0x08020200" in output.err
    # Another version signs again; nothing changed does not.
    assert "no work to do" in made.build()
    (tmp_path / "CMakeLists.txt").write_text(
        (tmp_path / "CMakeLists.txt").read_text().replace("1.2.3", "1.2.4")
    )
    made.build()
    assert signed.read_bytes()[20:24] == b"\x01\x02\x04\0"


def test_size_adds_up_to_the_image(project):
    text = project.build("own.size")
    loaded = sum(path.stat().st_size for path in project.tree.glob("own*.bin"))
    assert re.search(rf"flash total\s+{loaded:,}\n", text), text


@pytest.mark.parametrize("board", [BOARD, "host"])
def test_a_users_own_library_gets_the_options_of_the_board(tmp_path, board):
    toolchain = None if board == "host" else "arm-gcc"
    write_model(quantizer(), "first", board, toolchain or "host", tmp_path / "first")
    (tmp_path / "plain.c").write_text("int answer(int given) { int unused; return given + 1; }\n")
    source = (
        'extern "C" int answer(int);\n#include "first.h"\nint main() { first::run(); return answer(-1); }\n'
    )
    project = Project(tmp_path).write(
        f"mcu_add_model(first GENERATED first)\nadd_library(mine STATIC plain.c)\n"
        f"target_link_libraries(mine PRIVATE mcu::board::{board})\n"
        "mcu_add_firmware(demo SOURCES main.cpp MODELS first)\ntarget_link_libraries(demo PRIVATE mine)\n",
        "C CXX",
        main=source,
    )
    project.made(toolchain)
    if board == "host":
        project.build("demo.run")


def test_a_model_links_into_a_program_that_is_not_ours(tmp_path):
    write_model(quantizer(), "first", "host", "host", tmp_path / "first")
    project = Project(tmp_path).write(
        "mcu_add_model(first GENERATED first)\nadd_executable(demo main.cpp)\n"
        "target_link_libraries(demo PRIVATE mcu::model::first)\n",
        main='#include "first.h"\nint main() {\n'
        "    for (float& x : first::input()) x = 0.75f;\n"
        "    first::run();\n    return first::output()[63] == 8 ? 0 : 1;\n}\n",
    )
    project.made(None)
    assert process.run([project.tree / "demo"]).status == 0


def test_fetchcontent_brings_the_functions(tmp_path):
    write_model(quantizer(), "first", "host", "host", tmp_path / "first")
    project = Project(tmp_path).write("")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.24)\nproject(user LANGUAGES CXX)\ninclude(FetchContent)\n"
        f"FetchContent_Declare(mcu_build SOURCE_DIR {data_dir()})\nFetchContent_MakeAvailable(mcu_build)\n"
        "mcu_add_model(first GENERATED first)\nmcu_add_firmware(demo MODELS first)\n"
    )
    project.made(None).build("demo.run")


def test_make_and_the_oldest_cmake_that_a_distribution_has(tmp_path):
    write_model(quantizer(), "first", "microbit", "arm-gcc", tmp_path / "first")
    project = Project(tmp_path).write(
        "mcu_add_model(first GENERATED first)\nmcu_add_firmware(demo MODELS first)"
    )
    installed = Path("/usr/bin/cmake")
    program = installed if installed.is_file() else Path(shutil.which("cmake") or "cmake")
    words = ("-G", "Unix Makefiles") if shutil.which("make") else ()
    finished = project.configure("arm-gcc", *words, program=program)
    assert finished.status == 0, finished.stderr
    project.build()
    assert (project.tree / "demo.bin").stat().st_size > 1000


GENERATED = "mcu_add_model(first GENERATED first)\n"
REFUSED = {
    "mcu_add_model(kws MODEL m.py BORD x)": ["unknown argument 'BORD'", "NPU, IO, LATENCY"],
    "mcu_add_model(kws MODEL m.py)": ["BOARD: missing", "mcu-build boards"],
    "mcu_add_model(kws MODEL m.py BOARD)": ["BOARD: its value is missing"],
    "mcu_add_model(kws BOARD mps2-an386)": ["MODEL: missing", "model.py, .pt2 or .pte"],
    "mcu_add_model(kws MODEL n.py BOARD mps2-an386)": ["n.py: no such file", "`mcu-build new`"],
    "mcu_add_model(kws MODEL m.py BOARD none.toml)": ["BOARD: no such file", "none.toml"],
    "mcu_add_model(kws MODEL m.py BOARD mps2-an38)": ["no board is called 'mps2-an38'", "mps2-an386"],
    "mcu_add_model(kws MODEL m.py BOARD host)": ["host is not for this compiler", "without a toolchain file"],
    "mcu_add_model(kws MODEL m.py BOARD mps2-an386 IO int4)": ["IO: 'int4' is none of float, int8"],
    "mcu_add_model(kws MODEL m.py BOARD mps2-an386 OPTIMIZE it)": ["OPTIMIZE: 'it' is none of speed"],
    GENERATED + "mcu_add_model(second GENERATED second)": ["other compiler options", "size, or none"],
    "mcu_add_model(k-ws MODEL m.py BOARD mps2-an386)": ["letters, digits and underscores"],
    "mcu_add_model(kws MODEL m.py GENERATED first)": ["MODEL and GENERATED: give one"],
    "mcu_add_model(kws GENERATED nowhere)": ["no model.cmake and board.cmake", "mcu-build generate"],
    "mcu_add_model(kws GENERATED first)": ["holds the model 'first'"],
    "mcu_add_model(first GENERATED first BOARD microbit)": ["was generated for mps2-an386"],
    "mcu_add_model(first GENERATED other)": ["not for this compiler", "arm-gcc.cmake"],
    GENERATED + "mcu_add_model(first GENERATED first)": ["exists already"],
    GENERATED + "mcu_add_firmware(demo SOURCES main.cpp)": ["MODELS: missing", "There are: first"],
    GENERATED + "mcu_add_firmware(demo MODELS first vww)": ["'vww' is neither a model", "Models are: first"],
    GENERATED + "mcu_add_firmware(demo MODELS first BOARD microbit)": ["made for mps2-an386, not"],
    GENERATED + "mcu_add_firmware(demo SOURCES main.cpp FOO MODELS first)": ["'FOO' is not a source file"],
    GENERATED + "mcu_add_firmware(demo SOURCES main.cpp MODELS first TEST)": ["a main of its own"],
    GENERATED + "mcu_add_firmware(demo FOO MODELS first)": ["unknown argument 'FOO'"],
    GENERATED + "mcu_add_firmware(demo MODELS first VERSION 1.2.3)": ["VERSION: for signed images only"],
    GENERATED + "mcu_add_firmware(demo MODELS first SIGN k.pem)": ["SIGN: mps2-an386 describes no slot"],
    GENERATED + "mcu_add_firmware(demo MODELS first SIGN k.pem TEST)": ["SIGN: a test image is not signed"],
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_is_refused_with_a_reason(tmp_path, text):
    write_model(quantizer(), "first", BOARD, "arm-clang", tmp_path / "first")
    write_model(quantizer(), "first", BOARD, "arm-gcc", tmp_path / "other")
    write_model(quantizer(), "second", BOARD, "arm-clang", tmp_path / "second", "size")
    (tmp_path / "m.py").write_text("")
    finished = Project(tmp_path).write(text, main=MAIN).configure("arm-clang")
    output = " ".join(finished.stderr.split())
    assert finished.status != 0
    for words in REFUSED[text]:
        assert words in output


def test_without_a_toolchain_file_it_says_what_to_pass(tmp_path):
    (tmp_path / "m.py").write_text("")
    finished = Project(tmp_path).write("mcu_add_model(kws MODEL m.py BOARD mps2-an386)").configure(None)
    text = " ".join(finished.stderr.split())
    assert finished.status != 0
    assert "mps2-an386 is not for this compiler" in text
    assert f"-DCMAKE_TOOLCHAIN_FILE={data_dir()}/toolchains/arm-clang.cmake" in text
