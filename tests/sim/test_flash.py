"""Flash through a GDB server onto machines started empty: load, verify, reset, run, test on the device."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mcu_build.board import Board, find_board
from mcu_build.errors import Exit, McuError
from mcu_build.flash import device, gdb_server
from mcu_build.flash.image import LoadImage, Segment, check, read_image
from mcu_build.flash.probe import PC, SP, LostError, program, verify
from mcu_build.flash.via import doing
from tests.support.boards import empty_board, until, wire
from tests.support.cli import mcu_build
from tests.support.image import Mode, build_image, expected, misbehaving_model, vector

BOARDS = ("netduinoplus2", "microbit", "corstone-300")
GREETING = 'int main() { mcu::platform::write_console("it runs\\n"); }\n'


@pytest.fixture(scope="module", params=BOARDS)
def board(request: pytest.FixtureRequest) -> Board:
    return find_board(request.param)


@pytest.fixture(scope="module")
def image(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The device image of the board, which misbehaves where a vector asks for it."""
    return build_image(tmp_path_factory.mktemp(board.id), board, "arm-clang", misbehaving_model(), "device")


def test_load_verify_reset_run_console(board: Board, tmp_path: Path) -> None:
    files = {"main.cpp": '#include "mcu/platform.h"\n' + GREETING}
    elf = build_image(tmp_path, board, "arm-clang", files, "production", with_harness=False)
    loaded = read_image(elf)
    check(loaded, board)
    with empty_board(board, tmp_path) as target:
        with gdb_server.connect(target.via) as probe:
            with pytest.raises(McuError, match="verification failed"):
                verify(probe, loaded)  # nothing is there yet
            program(probe, loaded)
            probe.reset()
            table = probe.read_memory(loaded.vectors, 8)
            stack, start = (int.from_bytes(table[at : at + 4], "little") for at in (0, 4))
            assert (probe.read_register(SP), probe.read_register(PC)) == (stack, start & ~1)
            assert start == loaded.symbols["mcu_reset"]
            assert target.uart == ""
            probe.leave()
        until(lambda: target.uart == "it runs\n")


def run_on(board: Board, image: Path, folder: Path, inputs: bytes, timeout: float = 20) -> device.Outcome:
    with empty_board(board, folder) as target, gdb_server.connect(target.via) as probe:
        loaded = read_image(image)
        program(probe, loaded)
        return device.run(probe, loaded, image, inputs, timeout)


def test_exact_outputs_on_the_device(board: Board, image: Path, tmp_path: Path) -> None:
    inputs = b"".join(vector(first) for first in range(100))
    outcome = run_on(board, image, tmp_path, inputs)
    assert outcome.outputs == expected(inputs)
    assert (outcome.vectors, outcome.console, outcome.cycles) == (100, "", None)  # QEMU's DWT does not count
    assert 0 < outcome.stack_used < outcome.stack_size == board.stack_size


def test_a_second_run_starts_from_reset(board: Board, image: Path, tmp_path: Path) -> None:
    with empty_board(board, tmp_path) as target:
        for first in (1, 2):  # the second connection finds a core that runs
            with gdb_server.connect(target.via) as probe:
                loaded = read_image(image)
                program(probe, loaded)
                outcome = device.run(probe, loaded, image, vector(first), 20)
                assert outcome.outputs == expected(vector(first))
                probe.leave()


@pytest.mark.parametrize(
    ("mode", "status", "words"),
    [
        (Mode.CORRUPT, None, ""),
        (Mode.UNDEFINED, Exit.FIRMWARE, "a fault stopped it (status 14); the console's end:\n  mcu: fault: "),
        (Mode.OVERFLOW, Exit.FIRMWARE, "its stack overflowed (status 15)"),
        (Mode.EXIT_OK, Exit.FIRMWARE, "exited with status 0 but wrote no status.txt"),
        (Mode.EXIT_77, Exit.FIRMWARE, "it ended with status 77"),
        (Mode.HANG, Exit.TIMEOUT, "no end after 1 s; the core runs at pc 0x"),
    ],
    ids=lambda value: value.name if isinstance(value, Mode) else "",
)
def test_what_fails_on_the_device_fails_as_in_a_simulator(
    board: Board, image: Path, tmp_path: Path, mode: Mode, status: Exit | None, words: str
) -> None:
    inputs = vector(5) + vector(mode)
    if status is None:
        assert run_on(board, image, tmp_path, inputs).outputs != expected(inputs)
        return
    with pytest.raises(McuError) as caught:
        run_on(board, image, tmp_path, inputs, 1 if mode is Mode.HANG else 20)
    assert caught.value.exit_code == status and words in caught.value.message


def test_no_vectors_are_named(board: Board, image: Path, tmp_path: Path) -> None:
    with pytest.raises(McuError, match="found no vectors"):
        run_on(board, image, tmp_path, b"")


def with_one_bit_changed(image: LoadImage) -> LoadImage:
    last = image.segments[-1]
    data = last.data[:-1] + bytes([last.data[-1] ^ 0x10])
    return replace(image, segments=(*image.segments[:-1], Segment(last.address, data)))


def test_a_corrupted_image_fails_verification(board: Board, image: Path, tmp_path: Path) -> None:
    loaded = read_image(image)
    with empty_board(board, tmp_path) as target, gdb_server.connect(target.via) as probe:
        program(probe, with_one_bit_changed(loaded))
        with pytest.raises(McuError) as caught:
            verify(probe, loaded)
        assert f"1 of {loaded.size:,} bytes differ, at {loaded.segments[-1].end - 1:#010x}" in (
            caught.value.message
        )
        assert caught.value.exit_code == Exit.FIRMWARE
        program(probe, loaded)


def first_write(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Bytes that a client sends, `change` done to the first piece of them that writes memory."""
    done: list[bool] = []

    def disturb(data: bytes) -> bytes:
        if b"$M" not in data or done:
            return data
        done.append(True)
        return change(data)

    return disturb


def one_digit_changed(data: bytes) -> bytes:
    """The first packet's last digit of memory is another, with the checksum that fits."""
    head, _, rest = data.partition(b"$M")
    payload, _, rest = (b"M" + rest).partition(b"#")
    payload = payload[:-1] + (b"0" if payload[-1:] != b"0" else b"1")
    return head + b"$%b#%02x" % (payload, sum(payload) & 0xFF) + rest[2:]


def test_a_wire_that_changes_a_digit_is_found_out(board: Board, image: Path, tmp_path: Path) -> None:
    with (
        empty_board(board, tmp_path) as target,
        wire(target, tmp_path, first_write(one_digit_changed)) as via,
        gdb_server.connect(via) as probe,
        pytest.raises(McuError, match=r"verification failed: 1 of "),
    ):
        program(probe, read_image(image))


def test_unplugged_in_the_middle_and_tried_again(board: Board, image: Path, tmp_path: Path) -> None:
    loaded, inputs = read_image(image), vector(3)
    with empty_board(board, tmp_path) as target:

        def unplug(data: bytes) -> bytes:
            target.simulator.finish(0)
            raise OSError

        with (
            wire(target, tmp_path, first_write(unplug)) as via,
            gdb_server.connect(via) as probe,
            pytest.raises(LostError, match="the connection to the board was lost while writing it") as caught,
            doing("writing it"),
        ):
            program(probe, loaded)
    assert caught.value.exit_code == Exit.FIRMWARE and "repeat the command" in caught.value.hint
    assert run_on(board, image, tmp_path, inputs).outputs == expected(inputs)


def test_memory_that_is_not_there_is_refused_by_board_and_server(tmp_path: Path) -> None:
    board = find_board("netduinoplus2")
    nowhere = LoadImage("far.elf", (Segment(0x0900_0000, b"1234"),), 0x0900_0000, {})
    with pytest.raises(McuError, match="it lies in no memory of netduinoplus2"):
        check(nowhere, board)
    with (
        empty_board(board, tmp_path) as target,
        gdb_server.connect(target.via) as probe,
        pytest.raises(McuError, match="error 14: it cannot read memory at 0x09000000"),
    ):
        program(probe, nowhere)


def test_nothing_listens(tmp_path: Path) -> None:
    with pytest.raises(McuError, match="no GDB server answers there") as caught:
        gdb_server.connect(str(tmp_path / "nothing"))
    assert caught.value.exit_code == Exit.TOOL_MISSING


def test_the_command_flashes_an_image_and_says_what_it_did(tmp_path: Path) -> None:
    board = find_board("netduinoplus2")
    files = {"main.cpp": '#include "mcu/platform.h"\n' + GREETING}
    elf = build_image(tmp_path, board, "arm-gcc", files, "production", with_harness=False)
    with empty_board(board, tmp_path) as target:
        text = mcu_build("flash", "--board", board.id, "--via", "gdb", target.via, "--json", elf)
        assert text.status == 0, text.err
        assert (text.json["verified"], text.json["bytes"]) == (True, read_image(elf).size)
        until(lambda: target.uart == "it runs\n")
    for words, status, message in (
        (["--via", "gdb", target.via, elf], Exit.TOOL_MISSING, "no GDB server answers there"),
        (["--via", "gdb", target.via, tmp_path / "none.elf"], Exit.INPUT, "there is no such image"),
        (["--via", "uf2", elf], Exit.INPUT, "the board shows no drive"),
    ):
        text = mcu_build("flash", "--board", board.id, *words)
        assert text.status == status and message in text.err


@pytest.mark.slow
@pytest.mark.parametrize("name", BOARDS)
def test_digits_on_the_device(tmp_path: Path, name: str) -> None:
    with empty_board(find_board(name), tmp_path) as target:
        words = ["--board", name, "--npu", "none", "--via", "gdb", target.via, "--on-device", "--vectors", 20]
        model = Path(__file__).parents[2] / "examples/digits/model.py"
        text = mcu_build("test", *words, "--build-dir", tmp_path / "build", "--json", model)
        assert text.status == 0, text.err
        assert (text.json["vectors"], text.json["mismatches"], text.json["differing"]) == (20, 0, 0)
        assert text.json["outputs_vary"] and text.json["cycles"] is None
