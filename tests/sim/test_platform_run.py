"""A small image runs on every simulated core, from both compilers; when it fails, we say how."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mcu_build.board import Board, find_board
from mcu_build.codegen.target import Toolchain
from mcu_build.errors import Exit, McuError
from mcu_build.simulate import Outcome, run
from tests.support.image import CROSS, Mode, build_image, expected, fake_model, misbehaving_model, vector

BOARDS = ("corstone-300", "mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "microbit", "netduinoplus2")
# In every run each board with one of the compilers, in turns.
PAIRS = [
    pytest.param((board, toolchain), id=f"{board}-{toolchain}", marks=[pytest.mark.slow] * turn)
    for place, board in enumerate(BOARDS)
    for toolchain, turn in zip(CROSS, (place % 2, 1 - place % 2), strict=True)
]
STACK_LIMIT_CORES = ("cortex-m33", "cortex-m55")

Images = Callable[[Board, Toolchain], Path]


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """The misbehaving image of a board and a toolchain, built once."""
    built: dict[tuple[str, Toolchain], Path] = {}

    def image(board: Board, toolchain: Toolchain) -> Path:
        key = (board.id, toolchain)
        if key not in built:
            folder = tmp_path_factory.mktemp(f"{board.id}-{toolchain}")
            built[key] = build_image(folder, board, toolchain, misbehaving_model())
        return built[key]

    return image


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest) -> tuple[str, Toolchain]:
    return request.param


@pytest.fixture
def board(pair: tuple[str, Toolchain]) -> Board:
    return find_board(pair[0])


@pytest.fixture
def toolchain(pair: tuple[str, Toolchain]) -> Toolchain:
    return pair[1]


def run_mode(images: Images, board: Board, toolchain: Toolchain, *modes: int, timeout: float = 20) -> Outcome:
    return run(board, images(board, toolchain), b"".join(vector(mode) for mode in modes), timeout)


def failure(images: Images, board: Board, toolchain: Toolchain, mode: int, timeout: float = 20) -> McuError:
    with pytest.raises(McuError) as caught:
        run_mode(images, board, toolchain, mode, timeout=timeout)
    return caught.value


def test_outputs_of_every_vector(images: Images, board: Board, toolchain: Toolchain) -> None:
    inputs = b"".join(vector(first) for first in range(100))
    outcome = run(board, images(board, toolchain), inputs, 20)
    assert outcome.outputs == expected(inputs)
    assert (outcome.status, outcome.vectors, outcome.console) == (0, 100, "")
    assert 0 < outcome.stack_used < outcome.stack_size == board.stack_size


def test_a_corrupted_output_is_seen(images: Images, board: Board, toolchain: Toolchain) -> None:
    outcome = run_mode(images, board, toolchain, 5, Mode.CORRUPT, 6)
    right = expected(vector(5) + vector(Mode.CORRUPT) + vector(6))
    differ = [index for index, (a, b) in enumerate(zip(outcome.outputs, right, strict=True)) if a != b]
    assert differ == [15]


def test_a_frame_of_1_kb_raises_the_high_water_mark_by_1_kb(
    images: Images, board: Board, toolchain: Toolchain
) -> None:
    small = run_mode(images, board, toolchain, 1)
    large = run_mode(images, board, toolchain, 1, Mode.BIG_FRAME, 1)
    assert 1024 - small.stack_used <= large.stack_used - small.stack_used <= 1024 + 64
    assert large.stack_used > 1024


# What the core's fault registers, or on a Cortex-M0 the instruction, allow to say.
FAULTS = {
    Mode.UNDEFINED: ("undefined instruction", "undefined instruction"),
    Mode.DIVIDE: ("divide by zero", "divide by zero"),
    Mode.BUS: ("bus fault", "bus fault or unaligned access"),
    Mode.BRANCH: (
        "instruction fetch from memory that may not be executed",
        "branch to an address that holds no code",
    ),
    Mode.SVC: ("an exception that nothing handles", "an exception that nothing handles"),
}


@pytest.mark.parametrize("mode", FAULTS)
def test_a_fault_is_named_with_its_registers(
    images: Images, board: Board, toolchain: Toolchain, mode: Mode
) -> None:
    error = failure(images, board, toolchain, mode)
    assert error.exit_code == Exit.FIRMWARE
    assert "a fault stopped it (status 14)" in error.message
    name = FAULTS[mode][board.core == "cortex-m0"]
    exception = 11 if mode is Mode.SVC else 3
    assert f"mcu: fault: {name} (exception {exception})\n" in error.message
    registers = ("pc", "lr", "xpsr", "r0", "r1", "r2", "r3", "r12", "sp")
    assert all(f" {register} 0x" in error.message for register in registers)
    if mode is Mode.BUS and board.core != "cortex-m0":
        assert "address 0xe8000000" in error.message


def test_an_interrupt_without_a_handler_is_named(images: Images, board: Board, toolchain: Toolchain) -> None:
    error = failure(images, board, toolchain, Mode.INTERRUPT)
    assert error.exit_code == Exit.FIRMWARE
    assert "nothing handles interrupt 3" in error.message


def test_an_endless_recursion_is_a_stack_overflow(images: Images, board: Board, toolchain: Toolchain) -> None:
    error = failure(images, board, toolchain, Mode.OVERFLOW)
    assert error.exit_code == Exit.FIRMWARE
    assert "its stack overflowed (status 15)" in error.message
    assert "mcu: fault: stack overflow" in error.message
    # bit 20 of CFSR, STKOF: the core itself stopped at the limit
    assert ("cfsr 0x00100000" in error.message) == (board.core in STACK_LIMIT_CORES)


def test_a_stack_that_only_touched_its_guard_overflowed(
    images: Images, board: Board, toolchain: Toolchain
) -> None:
    error = failure(images, board, toolchain, Mode.GUARD)
    assert error.exit_code == Exit.FIRMWARE
    assert "its stack overflowed (status 15)" in error.message


def test_a_hang_is_a_time_out(images: Images, board: Board, toolchain: Toolchain) -> None:
    error = failure(images, board, toolchain, Mode.HANG, timeout=1)
    assert error.exit_code == Exit.TIMEOUT
    assert "no end after 1 s" in error.message


def test_success_without_its_proof_is_a_failure(images: Images, board: Board, toolchain: Toolchain) -> None:
    error = failure(images, board, toolchain, Mode.EXIT_OK)
    assert error.exit_code == Exit.FIRMWARE
    assert "exited with status 0 but wrote no status.txt" in error.message


def test_a_status_arrives(images: Images, board: Board, toolchain: Toolchain) -> None:
    error = failure(images, board, toolchain, Mode.EXIT_77)
    assert error.exit_code == Exit.FIRMWARE
    assert "it ended with status 77" in error.message


def test_a_fault_in_the_fault_handler_is_a_lock_up(images: Images) -> None:
    error = failure(images, find_board("corstone-300"), "arm-clang", Mode.LOCKUP)
    assert error.exit_code == Exit.FIRMWARE
    assert "the core locked up" in error.message


@pytest.mark.parametrize(
    ("inputs", "words"),
    [(b"", "found no vectors"), (vector(1) + b"x", "not hold a whole number of vectors")],
)
def test_wrong_inputs_are_named(images: Images, inputs: bytes, words: str) -> None:
    board = find_board("corstone-300")
    with pytest.raises(McuError, match=words) as caught:
        run(board, images(board, "arm-clang"), inputs, 20)
    assert caught.value.exit_code == Exit.FIRMWARE


def test_constants_of_several_megabytes_run(tmp_path: Path) -> None:
    # More than any memory for code: the board keeps weights elsewhere.
    big = 'extern const unsigned char big[6 << 20]; __attribute__((section(".rodata.mcu_constants.big"))) '
    big += "const unsigned char big[6 << 20] = {7};"
    body = "const volatile unsigned char* const b = big; if (b[0] != 7 || b[(6 << 20) - 1] != 0) return;"
    for name in ("corstone-300", "mps2-an386"):
        board = find_board(name)
        image = build_image(tmp_path / name, board, "arm-clang", fake_model(body, big))
        assert run(board, image, vector(9), 20).outputs == expected(vector(9))


# memcpy and memset of every length to 39, compared byte by byte; by pointers that no compiler sees through.
_BLOCKS = """
    auto* volatile const copy = &memcpy;
    auto* volatile const fill = &memset;
    unsigned char from[48], to[48];
    for (int length = 0; length < 40; ++length) {
        for (int call = 0; call < 2; ++call) {
            for (int i = 0; i < 48; ++i) {
                from[i] = static_cast<unsigned char>(3 * i + 1);
                to[i] = 0xEE;
            }
            void* const made = call ? fill(to + 5, 0x1A7, length) : copy(to + 5, from + 1, length);
            if (made != to + 5) return;
            for (int i = 0; i < 48; ++i) {
                const int wanted = i < 5 || i >= 5 + length + WRONG ? 0xEE : (call ? 0xA7 : from[i - 4]);
                if (to[i] != wanted) return;
            }
        }
    }
"""


@pytest.mark.parametrize("toolchain", CROSS)
def test_blocks_are_copied_and_filled(tmp_path: Path, toolchain: Toolchain) -> None:
    board = find_board("corstone-300")
    outputs = []
    for wrong in ("0", "1"):
        model = fake_model(_BLOCKS.replace("WRONG", wrong), "#include <cstring>\n")
        image = build_image(tmp_path / wrong, board, toolchain, model)
        outputs.append(run(board, image, vector(9), 20).outputs)
    assert outputs[0] == expected(vector(9)) != outputs[1]


# A fault in an image without semihosting: the UART tells, and the core stops.
PRODUCTION = {"main.cpp": '#include "mcu/platform.h"\nint main() { __asm volatile("udf #1"); }\n'}


@pytest.mark.parametrize("name", ["corstone-300", "mps2-an386", "mps2-an505", "microbit", "netduinoplus2"])
def test_a_production_image_tells_its_fault_on_the_uart(tmp_path: Path, name: str) -> None:
    board = find_board(name)
    image = build_image(tmp_path, board, "arm-clang", PRODUCTION, image="production", with_harness=False)
    with pytest.raises(McuError) as caught:
        run(board, image, b"", 2)
    assert caught.value.exit_code == Exit.TIMEOUT
    assert "mcu: fault: undefined instruction (exception 3)" in caught.value.message
