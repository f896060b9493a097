"""The build driver: images that agree with each other, errors that say what is wrong, nothing half made."""

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from intelhex import IntelHex

from mcu_build import process
from mcu_build.board import find_board, load_board
from mcu_build.errors import McuError
from mcu_build.files import write_changed
from mcu_build.image.elf import Image, read_elf, read_map
from mcu_build.image.size import FLASH, RAM, Size, measure
from mcu_build.stages.images import BuildInputs, build
from tests.support.firmware import concatenation, model_sources, quantizer

FVP_BOARDS = ("corstone-310", "corstone-315", "corstone-320")
BOARDS = (
    "corstone-300",
    *FVP_BOARDS,
    "mps2-an386",
    "mps2-an500",
    "mps2-an505",
    "mps2-an385",
    "microbit",
    "netduinoplus2",
)


def inputs(folder, board="mps2-an386", toolchain="arm-clang", case=None):
    """A generated model in a build folder, with constants unless another case is given."""
    for name, text in model_sources(case or concatenation(), "tiny").items():
        write_changed(folder / "src" / name, text)
    chosen = find_board(board) if isinstance(board, str) else board
    return BuildInputs("tiny", chosen, toolchain, folder)


def loaded_bytes(elf: Path) -> dict[int, bytes]:
    """What an ELF loads, by address."""
    from elftools.elf.elffile import ELFFile

    with elf.open("rb") as stream:
        segments = [s for s in ELFFile(stream).iter_segments("PT_LOAD") if s["p_filesz"]]
        return {segment["p_paddr"]: segment.data() for segment in segments}


def assert_reconciles(size: Size, binaries: list[bytes], elf: Image) -> None:
    """Rows add up to the totals, the regions, and the bytes that the image loads and reserves."""
    flash = sum(row.size for row in size.symbols if row.kind in FLASH)
    ram = sum(row.size for row in size.symbols if row.kind in RAM)
    assert flash == size.flash["total"] == sum(size.flash[kind] for kind in FLASH)
    assert flash == sum(len(binary) for binary in binaries)
    assert ram == size.ram["total"] == sum(size.ram[kind] for kind in RAM)
    assert flash + ram == sum(region.used for region in size.regions)
    reserved = [one for one in elf.sections if one.load_address != one.address]
    gaps = sum(row.size for row in size.symbols if row.name == "[padding]" and row.kind in RAM)
    assert sum(one.size for one in reserved) <= ram <= sum(one.size for one in reserved) + gaps


# In every run each board with one of the toolchains, in turns.
@pytest.mark.parametrize(
    ("board", "toolchain"),
    [
        pytest.param(board, toolchain, marks=[pytest.mark.slow] if (place + other) % 2 else [])
        for place, board in enumerate(BOARDS)
        for other, toolchain in enumerate(("arm-clang", "arm-gcc"))
    ],
)
def test_every_board_builds_and_its_images_agree(tmp_path, board, toolchain):
    given = inputs(tmp_path, board, toolchain)
    images = build(given)
    binaries = [file.read_bytes() for kind, file in sorted(images.items()) if kind.startswith("bin")]
    hexadecimal = IntelHex(str(images["hex"]))
    total = 0
    for address, data in loaded_bytes(images["elf"]).items():
        assert bytes(hexadecimal.tobinarray(start=address, size=len(data))) == data
        assert any(data in binary for binary in binaries)
        total += len(data)
    assert total == len(hexadecimal.addresses())
    size = measure(images["elf"], images["map"], given.board)
    assert_reconciles(size, binaries, read_elf(images["elf"]))
    assert size.ram["arena"] == 96  # 24 bytes, aligned to 16, then 64
    assert size.ram["stack"] == given.board.stack_size
    assert sum(row.size for row in size.symbols if row.section == ".constants") == 40


def test_sums_that_are_wrong_do_not_reconcile(tmp_path):
    images = build(inputs(tmp_path, "microbit"))
    size, elf = measure(images["elf"], images["map"], find_board("microbit")), read_elf(images["elf"])
    binary = images["bin"].read_bytes()
    assert_reconciles(size, [binary], elf)
    for wrong, data in (
        (size, binary[:-1]),
        (replace(size, symbols=size.symbols[1:]), binary),
        (replace(size, flash={**size.flash, "code": size.flash["code"] + 4}), binary),
        (replace(size, ram={**size.ram, "total": size.ram["total"] - 1}), binary),
    ):
        with pytest.raises(AssertionError):
            assert_reconciles(wrong, [data], elf)


def test_a_map_of_another_build_is_refused(tmp_path):
    first = build(inputs(tmp_path / "first"))
    second = build(inputs(tmp_path / "second", case=quantizer()))
    with pytest.raises(McuError, match="is not that of the ELF"):
        measure(first["elf"], second["map"], find_board("mps2-an386"))


def test_both_images_are_made_of_the_same_objects(tmp_path):
    images = build(inputs(tmp_path))
    sources = []
    for kind in ("", "test_"):
        pieces = read_map(images[f"{kind}map"], read_elf(images[f"{kind}elf"]))
        sources.append(
            {(piece.source, piece.name, piece.size) for found in pieces.values() for piece in found}
        )
    proven = [{one for one in found if one[0].startswith(("libmodel", "libkernel"))} for found in sources]
    assert len(proven[0]) > 5
    assert proven[0] == proven[1]
    # Of the platform, a production image leaves out what only the harness calls.
    ours = [{one for one in found if one[0].startswith(("startup", "vectors"))} for found in sources]
    assert len(ours[0]) > 5
    assert ours[0] <= ours[1]
    assert sources[0] != sources[1]
    assert len(list((tmp_path / "cmake/build").rglob("tiny.cpp.obj"))) == 1


@pytest.mark.parametrize("toolchain", ["arm-clang", pytest.param("arm-gcc", marks=pytest.mark.slow), "host"])
def test_the_same_inputs_give_the_same_bytes_in_any_folder(tmp_path, toolchain, monkeypatch):
    board = "host" if toolchain == "host" else "corstone-300"
    # Objects that other tests have compiled elsewhere, and then all of them here.
    first = build(inputs(tmp_path / "a", board, toolchain))
    other = build(inputs(tmp_path / "c", board, toolchain, quantizer()))
    monkeypatch.setenv("CCACHE_DISABLE", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXXFLAGS", "-O0 -g")
    monkeypatch.setenv("LDFLAGS", "-Wl,--nonsense")
    second = build(inputs(Path("a much longer name of a folder/b"), board, toolchain))
    for kind in set(first) - {"map", "test_map"}:
        assert first[kind].read_bytes() == second[kind].read_bytes(), kind
        assert str(tmp_path).encode() not in first[kind].read_bytes()
    assert first["elf"].read_bytes() != other["elf"].read_bytes()


def test_a_host_image_is_a_program(tmp_path):
    images = build(inputs(tmp_path, "host", "host"))
    (tmp_path / "inputs.bin").write_bytes(bytes(range(24)))
    assert process.run([images["test_elf"]], cwd=tmp_path).status == 0
    weights = bytes(value % 256 for value in range(-20, 20))
    assert (tmp_path / "outputs.bin").read_bytes() == bytes(range(24)) + weights
    finished = process.run([images["elf"]])
    assert finished.status == 0
    assert "outputs hash to 0x" in finished.stderr


def test_an_image_with_only_what_it_needs(tmp_path):
    images = build(inputs(tmp_path))
    pieces = read_map(images["map"], read_elf(images["elf"]))
    kernels = {piece.source for found in pieces.values() for piece in found if "kernel" in piece.source}
    assert kernels == {"libkernel_concat.a(concat.cpp.obj)"}


@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
def test_a_memory_that_overflows_is_named_with_need_and_size(tmp_path, toolchain):
    # An input of 80,000 bytes, quantized in place, and a stack of 2 KiB: the micro:bit has 16 KiB.
    with pytest.raises(McuError) as caught:
        build(inputs(tmp_path, "microbit", toolchain, quantizer(20_000)))
    assert caught.value.exit_code == 1
    line = caught.value.message.splitlines()[0]
    assert line.startswith("tiny: ram: needs 82,") and line.endswith("bytes, microbit has 16,384")
    assert not (tmp_path / "firmware.elf").exists()


def test_mistakes_of_the_compiler_are_told(tmp_path):
    given = inputs(tmp_path)
    source = tmp_path / "src" / "tiny.cpp"
    whole = source.read_text()
    source.write_text(whole.replace("void tiny_run()", "int missing = nonsense;\nvoid tiny_run()"))
    with pytest.raises(McuError) as caught:
        build(given)
    assert "tiny.cpp" in caught.value.message and "'nonsense'" in caught.value.message
    assert "build.log" in caught.value.hint
    assert "nonsense" in (tmp_path / "build.log").read_text()
    source.write_text(whole)
    assert build(given)["elf"].is_file()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    given = replace(inputs(tmp_path / "elsewhere"), folder=tmp_path / "file" / "build")
    with pytest.raises(McuError, match=r"file/build.*Not a directory"):
        build(given)


def test_an_interrupted_build_leaves_nothing_and_the_next_is_right(tmp_path):
    expected = build(inputs(tmp_path / "whole", "corstone-300"))
    folder = tmp_path / "stopped"
    inputs(folder, "corstone-300")
    # A shell starts what runs in its background with interrupts ignored, and children inherit that.
    words = (
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path\nfrom mcu_build.board import find_board\n"
        "from mcu_build.stages.images import BuildInputs, build\n"
        f"build(BuildInputs('tiny', find_board('corstone-300'), 'arm-clang', Path({str(folder)!r})))\n"
    )
    running = subprocess.Popen([sys.executable, "-c", words], stderr=subprocess.PIPE)
    limit = time.monotonic() + 60
    while not list(folder.rglob("*.obj")) and time.monotonic() < limit:
        time.sleep(0.005)
    running.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in running.communicate(timeout=60)[1]
    assert not [path for path in folder.iterdir() if path.suffix in (".elf", ".hex", ".bin", ".map")]
    # What a killed compiler may leave: half an object that looks new.
    for half in folder.rglob("*.obj"):
        half.write_bytes(half.read_bytes()[:100])
    images = build(inputs(folder, "corstone-300"))
    for kind in ("elf", "test_elf", "hex"):
        assert images[kind].read_bytes() == expected[kind].read_bytes()


def test_a_build_folder_may_be_moved(tmp_path):
    first = build(inputs(tmp_path / "here"))
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = build(inputs(tmp_path / "there"))
    assert moved["elf"].parent.name == "there"
    assert first.keys() == moved.keys()


def test_a_second_build_compiles_nothing(tmp_path):
    build(inputs(tmp_path))
    build(inputs(tmp_path))
    assert "no work to do" in (tmp_path / "build.log").read_text()


def test_a_memory_that_is_gone_leaves_no_binary(tmp_path):
    assert (build(inputs(tmp_path))["bin_psram"]).is_file()
    (tmp_path / "mps2-an386.toml").write_text('extends = "mps2-an386"\n[placement]\nconstants = "ssram1"\n')
    images = build(inputs(tmp_path, load_board(tmp_path / "mps2-an386.toml")))
    assert "bin_psram" not in images
    assert not (tmp_path / "firmware-psram.bin").exists()
