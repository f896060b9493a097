"""The harness as a native program, and how a run is judged."""

import re
from pathlib import Path

import pytest

from mcu_build.board import Board, find_board
from mcu_build.errors import Exit, McuError
from mcu_build.resources import data_dir
from mcu_build.simulate import run
from mcu_build.simulate.outcome import STATUSES, judge
from tests.support.image import Mode, build_image, expected, fake_model, misbehaving_model, vector

STATUS = "vectors 2\noutput_size 3\nstack_used 10\nstack_size 20\ncycles_min 0\ncycles_max 0\ndone\n"


@pytest.fixture(scope="module")
def board() -> Board:
    return find_board("host")


@pytest.fixture(scope="module")
def image(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_image(tmp_path_factory.mktemp("host"), board, "host", misbehaving_model())


def failure(board: Board, image: Path, inputs: bytes, timeout: float = 20) -> McuError:
    with pytest.raises(McuError) as caught:
        run(board, image, inputs, timeout)
    return caught.value


def test_outputs_of_every_vector(board: Board, image: Path) -> None:
    inputs = b"".join(vector(first) for first in range(100))
    outcome = run(board, image, inputs, 20)
    assert outcome.outputs == expected(inputs)
    assert (outcome.status, outcome.vectors, outcome.stack_used, outcome.stack_size) == (0, 100, 0, 0)


def test_a_corrupted_output_is_seen(board: Board, image: Path) -> None:
    assert run(board, image, vector(Mode.CORRUPT), 20).outputs != expected(vector(Mode.CORRUPT))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (vector(Mode.EXIT_OK), "exited with status 0 but wrote no status.txt"),
        (vector(Mode.EXIT_77), "it ended with status 77"),
        (vector(Mode.BUS), "it ended by SIGSEGV"),
        (b"", "it found no vectors in inputs.bin"),
        (vector(1)[:-1], "inputs.bin does not hold a whole number of vectors"),
    ],
)
def test_a_failure_is_told_as_what_it_is(board: Board, image: Path, inputs: bytes, words: str) -> None:
    error = failure(board, image, inputs)
    assert error.exit_code == Exit.FIRMWARE
    assert words in error.message


def test_a_hang_is_a_time_out(board: Board, image: Path) -> None:
    error = failure(board, image, vector(Mode.HANG), timeout=0.5)
    assert error.exit_code == Exit.TIMEOUT
    assert "no end after 0.5 s" in error.message


def test_an_image_that_is_not_there(board: Board, tmp_path: Path) -> None:
    error = failure(board, tmp_path / "absent.elf", b"")
    assert error.exit_code == Exit.INPUT
    assert "absent.elf: there is no such image" in error.message


def test_a_missing_simulator_says_how_to_get_it(
    image: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = failure(find_board("corstone-300"), image, b"")
    assert error.exit_code == Exit.TOOL_MISSING
    assert error.hint == "apt-get install qemu-system-arm"


def test_a_board_without_a_simulator(image: Path) -> None:
    board = find_board("corstone-300")
    board = board.model_copy(update={"run": board.run.model_copy(update={"qemu": None, "fvp": None})})
    error = failure(board, image, b"")
    assert error.exit_code == Exit.INPUT
    assert "QEMU has no machine for this board" in error.message


def folder_with(folder: Path, status: str | None, outputs: bytes | None) -> Path:
    if status is not None:
        (folder / "status.txt").write_text(status)
    if outputs is not None:
        (folder / "outputs.bin").write_bytes(outputs)
    return folder


def test_all_proofs_of_success_make_an_outcome(tmp_path: Path) -> None:
    outcome = judge(Path("a.elf"), folder_with(tmp_path, STATUS, b"abcdef"), 0, "hello", 1.5)
    assert (outcome.vectors, outcome.outputs, outcome.stack_used, outcome.stack_size) == (
        2,
        b"abcdef",
        10,
        20,
    )
    assert (outcome.console, outcome.seconds) == ("hello", 1.5)


@pytest.mark.parametrize(
    ("status", "outputs", "words"),
    [
        (None, b"abcdef", "wrote no status.txt"),
        (STATUS.replace("done\n", ""), b"abcdef", "does not end with 'done'"),
        (STATUS.replace("stack_used 10\n", ""), b"abcdef", "lacks stack_used"),
        (STATUS, None, "wrote no outputs.bin"),
        (STATUS, b"abcde", "outputs.bin has 5 bytes, 2 vectors of 3 bytes were promised"),
        (STATUS, b"abcdefg", "outputs.bin has 7 bytes"),
    ],
)
def test_a_missing_proof_is_named(
    tmp_path: Path, status: str | None, outputs: bytes | None, words: str
) -> None:
    with pytest.raises(McuError, match=re.escape(words)) as caught:
        judge(Path("a.elf"), folder_with(tmp_path, status, outputs), 0, "the last words", 1)
    assert caught.value.exit_code == Exit.FIRMWARE
    assert "the last words" in caught.value.message


def test_every_status_of_the_firmware_has_words() -> None:
    header = (data_dir() / "firmware/include/mcu/system.h").read_text()
    statuses = {int(number) for number in re.findall(r"^    k\w+ = (\d+),", header, re.MULTILINE)}
    assert statuses - {0} == set(STATUSES)


def test_numbers_as_text(board: Board, tmp_path: Path) -> None:
    before = '#include "mcu/platform.h"\n#include "mcu/text.h"'
    body = """mcu::Text text;
    text.decimal(0).add(" ").decimal(4294967295u).add(" ").hexadecimal(0xDEADBEEF).add(" ").hexadecimal(0);
    for (int i = 0; i < 30; ++i) text.add("long ");
    mcu::platform::write_console(text.view());"""
    console = run(
        board, build_image(tmp_path, board, "host", fake_model(body, before)), vector(1), 20
    ).console
    whole = "0 4294967295 0xdeadbeef 0x00000000" + "long " * 30
    assert console == whole[: len(console)]
    assert len(console) == 96
