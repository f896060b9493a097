"""End to end on the core alone: every model on every board, its outputs against the quantized program's."""

from pathlib import Path

import pytest

from mcu_build.board import board_files, load_board
from tests.support.cli import mcu_build

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits" / "model.py"
MODELS = {file.stem: file for file in sorted((ROOT / "tests" / "models").glob("*.py")) if file.stem[0] != "_"}
MODELS["digits"] = DIGITS
# Boards that only an FVP runs are built in tests/cross.
BOARDS = sorted(
    board.id for board in map(load_board, board_files().values()) if board.is_host or board.run.qemu
)
# 16 KiB of RAM: what fits is tested, what does not must be told.
TOO_SMALL = "microbit"


def prove(model: str, board: str, build_dir: Path, *options: object):
    words = ("test", "--board", board, "--npu", "none", MODELS[model], "--build-dir", build_dir, "--json")
    return mcu_build(*words, "--vectors", 3, *options)


def check_proof(result) -> None:
    assert result.status == 0, result.out + result.err
    proof = result.json
    assert proof["vectors"] == 3
    assert proof["outputs_vary"]
    assert proof["mismatches"] == 0
    # To the bit, floats too.
    assert proof["differing"] == 0


# Each board in turns has one of these, or two; MLPerf Tiny has the first board, too. With --all
# every model runs on every board. What kinds of layers give is compared in test_random_models.
MLPERF_TINY = ("ds_cnn", "mobilenet_v1_025", "resnet8", "autoencoder")
QUICK = (
    "ds_cnn",
    "digits",
    "conv1d",
    "lstm",
    "mobilenet_v1_025",
    "resnet8",
    "text_classifier",
    "autoencoder",
    "unet",
    "two_in_two_out",
)


def boards_of(model: str) -> list[str]:
    turn = BOARDS[QUICK.index(model) % len(BOARDS)]
    return list(dict.fromkeys([turn, *BOARDS[: model in MLPERF_TINY]]))


def test_every_board_has_its_turn():
    assert {board for model in QUICK for board in boards_of(model)} == set(BOARDS)


@pytest.mark.parametrize(
    ("model", "boards"),
    [
        *(pytest.param(model, boards_of(model), id=model) for model in QUICK),
        *(pytest.param(model, BOARDS, id=f"{model}-everywhere", marks=pytest.mark.slow) for model in MODELS),
    ],
)
def test_a_model_on_boards(model, boards, tmp_path):
    for board in boards:
        result = prove(model, board, tmp_path)
        if board == TOO_SMALL and result.status == 1:
            message = result.json["error"]["message"]
            assert "needs" in message and "bytes" in message, message
            continue
        check_proof(result)


# In every run each board with one of the models, in turns.
@pytest.mark.parametrize(
    ("board", "model"),
    [
        pytest.param(board, model, marks=[pytest.mark.slow] if (place + other) % 2 else [])
        for place, board in enumerate(board for board in BOARDS if board not in ("host", TOO_SMALL))
        for other, model in enumerate(("digits", "transformer"))
    ],
)
def test_gcc_builds_working_images(board, model, tmp_path):
    check_proof(prove(model, board, tmp_path, "--toolchain", "arm-gcc"))


@pytest.mark.parametrize("board", ["corstone-300", "mps2-an386"])
def test_int8_boundaries(board, tmp_path):
    check_proof(prove("digits", board, tmp_path, "--io", "int8"))


def test_digits_on_held_out_data(tmp_path):
    words = ("test", "--board", "corstone-300", "--npu", "none", DIGITS, "--build-dir", tmp_path, "--json")
    result = mcu_build(*words, "--min-accuracy", 0.95)
    assert result.status == 0, result.out + result.err
    proof = result.json
    assert proof["vectors"] >= 300
    assert proof["mismatches"] == proof["differing"] == 0
    assert proof["accuracy"]["int8"] == proof["accuracy"]["device"] > 0.95
