"""The size report on native programs: sums, tables, refusals. tests/cross has those of every board."""

import json
from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.errors import McuError
from mcu_build.image.size import FLASH, RAM, Region, Row, Size, measure
from mcu_build.report.size import document, table

SOURCE = """
alignas(16) __attribute__((section(".bss.mcu_arena.tiny"))) unsigned char tiny_arena[320];
extern const unsigned char weights[100];
__attribute__((section(".rodata.mcu_constants.tiny"))) const unsigned char weights[100] = {1, 2, 3};
int counter = 7;
int zeros[50];
int run(int step) { return counter += weights[step] + zeros[step] + tiny_arena[step]; }
int main(int count, char**) { return run(count); }
"""


def compiled(folder, source=SOURCE):
    """An ELF and its map."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.cpp").write_text(source)
    elf, map_file = folder / "tiny.elf", folder / "tiny.map"
    finished = process.run(["g++", "-O1", folder / "tiny.cpp", f"-Wl,-Map={map_file}", "-no-pie", "-o", elf])
    assert finished.status == 0, finished.stderr
    return elf, map_file


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("size"))


@pytest.fixture(scope="module")
def size(image: tuple[Path, Path]) -> Size:
    return measure(*image, find_board("host"))


def row(size, name):
    found = [one for one in size.symbols if one.name == name]
    assert len(found) == 1, found
    return found[0]


def test_rows_add_up_to_the_sections_of_the_program(image, size):
    listed = process.run(["readelf", "-S", "-W", image[0]]).stdout
    columns = [line.partition("]")[2].split() for line in listed.splitlines() if line.startswith("  [")]
    sections = {one[0]: int(one[4], 16) for one in columns if len(one) > 7 and "A" in one[6]}
    assert len(sections) > 10
    for name, expected in sections.items():
        kinds = {one.kind for one in size.symbols if one.section == name}
        counted = sum(one.size for one in size.symbols if one.section == name and one.kind in FLASH)
        reserved = sum(one.size for one in size.symbols if one.section == name and one.kind in RAM)
        assert {counted, reserved} <= {0, expected}, (name, kinds)
        assert counted or reserved, name
    for totals, kinds in ((size.flash, FLASH), (size.ram, RAM)):
        assert totals["total"] == sum(totals[kind] for kind in kinds)
        assert totals["total"] == sum(one.size for one in size.symbols if one.kind in kinds)


def test_symbols_are_told_by_their_names_in_cpp_with_their_object(size):
    assert row(size, "run(int)").kind == "code"
    assert row(size, "weights").size == 100
    assert row(size, "weights").kind == "constants"
    assert row(size, "zeros").kind == "static"
    assert row(size, "tiny_arena").kind == "arena"
    assert size.ram["arena"] == 320
    assert row(size, "run(int)").source.endswith(".o")
    # An initial value is loaded, and the variable takes RAM.
    assert sorted(one.kind for one in size.symbols if one.name == "counter") == ["constants", "static"]


def test_rows_are_sorted_and_the_same_every_time(image: tuple[Path, Path], size: Size) -> None:
    assert size == measure(*image, find_board("host"))
    assert [one.size for one in size.symbols] == sorted((one.size for one in size.symbols), reverse=True)


def test_what_is_no_image_is_refused(image, tmp_path):
    elf, map_file = image
    (tmp_path / "text.elf").write_text("not an ELF")
    (tmp_path / "half.elf").write_bytes(elf.read_bytes()[:3000])
    (tmp_path / "noise.map").write_bytes(bytes(range(256)))
    (tmp_path / "text.map").write_text("not a map")
    other = compiled(tmp_path / "other", SOURCE.replace("zeros[50]", "zeros[500]"))
    for files in (
        (tmp_path / "text.elf", map_file),
        (tmp_path / "half.elf", map_file),
        (tmp_path / "none.elf", map_file),
        (elf, tmp_path / "none.map"),
        (elf, tmp_path / "noise.map"),
        (elf, tmp_path / "text.map"),
        (elf, other[1]),
    ):
        with pytest.raises(McuError) as caught:
            measure(*files, find_board("host"))
        assert caught.value.exit_code == 1
        assert "uild" in caught.value.hint


def test_an_image_for_another_board_is_refused(image: tuple[Path, Path]) -> None:
    with pytest.raises(McuError, match="is in no memory of microbit"):
        measure(*image, find_board("microbit"))


MEASURED = Size(
    (Region("flash", 96, 262144), Region("ram", 2048, 16384)),
    {"code": 64, "constants": 32, "total": 96},
    {"arena": 0, "static": 0, "stack": 2048, "total": 2048},
    (
        Row("stack", ".stack", "ram", "stack", 2048, ""),
        Row("main", ".text", "flash", "code", 60, "main.cpp.obj"),
        Row("[.rodata]", ".text", "flash", "constants", 32, "main.cpp.obj"),
        Row("[padding]", ".text", "flash", "code", 4, ""),
    ),
)


def test_the_table_shows_regions_totals_and_the_largest_symbols():
    lines = [line.split() for line in table(MEASURED, 3).splitlines()]
    assert ["flash", "96", "262,144", "0.0", "%"] in lines
    assert ["ram", "2,048", "16,384", "12.5", "%"] in lines
    assert ["flash", "total", "96"] in lines
    assert ["ram", "stack", "2,048"] in lines
    assert ["[.rodata]", "constants", "flash", "32", "main.cpp.obj"] in lines
    assert ["1", "more", "4"] in lines


def test_the_document_is_json_with_regions_and_symbols():
    text = json.loads(json.dumps(document(MEASURED)))
    assert text["regions"][0] == {"name": "flash", "used": 96, "size": 262144}
    assert text["symbols"][1] == {
        "name": "main",
        "section": ".text",
        "region": "flash",
        "kind": "code",
        "size": 60,
        "source": "main.cpp.obj",
    }
    assert text["flash"]["total"] == 96
