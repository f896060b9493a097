"""Bad input: the file, the key, what is wrong and what to do, with the right status; nothing half written."""

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.support.cli import mcu_build

LINEAR = """
import torch
torch.manual_seed(0)
model = torch.nn.Linear(4, 3)
example_inputs = (torch.zeros(1, 4),)
calibration = [torch.randn(1, 4) for _ in range(8)]
"""


def write(folder: Path, text: str, name: str = "net.py") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def build(file: Path, *options: object, board: object = "host"):
    return mcu_build("--board", board, file, "--build-dir", file.parent / "build", *options)


MISTAKES = {
    "raises": ("import torch\nvalue = 1 / 0\n", ["line 2", "ZeroDivisionError"]),
    "syntax": ("def model(:\n", ["line 1"]),
    "no_model": ("x = 1\n", ["model", "ModelUnderTest"]),
    "wrong_model": ("model = 3\nexample_inputs = (1,)\n", ["model"]),
    "no_inputs": ("import torch\nmodel = torch.nn.ReLU()\n", ["example_inputs: not defined"]),
    "wrong_inputs": (
        "import torch\nmodel = torch.nn.ReLU()\nexample_inputs = ([1, 2],)\n",
        ["example_inputs[0][0]", "int"],
    ),
    "float64": (
        "import torch\nmodel = torch.nn.ReLU()\nexample_inputs = (torch.zeros(2, dtype=torch.float64),)\n",
        ["example_inputs", "float64"],
    ),
    "array_calibration": (
        LINEAR + "calibration = [torch.zeros(1, 4).numpy()]\n",
        ["calibration[0]", "torch.from_numpy(item)"],
    ),
    "wrong_calibration": (LINEAR + "calibration = [torch.zeros(1, 5)]\n", ["calibration"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_model_file(name, tmp_path):
    text, output = MISTAKES[name]
    file = write(tmp_path, text)
    result = build(file)
    assert result.status == 1
    assert f"error: {file}" in result.err
    assert all(word in result.err for word in output), result.err
    assert "hint: " in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "build").exists()


def test_no_model_file(tmp_path):
    result = build(tmp_path / "absent.py")
    assert (result.status, "absent.py: no such file" in result.err) == (1, True)


@pytest.mark.parametrize(
    ("suffix", "hint"), [(".onnx", "PyTorch source"), (".tflite", "PyTorch source"), ("", ".pte")]
)
def test_not_a_model_file(suffix, hint, tmp_path):
    result = build(write(tmp_path, "x", f"net{suffix}"))
    assert result.status == 1
    assert hint in result.err


def test_dynamic_shapes(tmp_path):
    import torch

    exported = torch.export.export(
        torch.nn.Linear(4, 3), (torch.zeros(2, 4),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    torch.export.save(exported, tmp_path / "net.pt2")
    result = build(tmp_path / "net.pt2")
    assert result.status == 1
    assert "dynamic" in result.err


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """A good .pte, as the pipeline makes it."""
    folder = tmp_path_factory.mktemp("good")
    result = build(write(folder, LINEAR), "--json")
    assert result.status == 0, result.out
    return Path(result.json["artefacts"]["program"])


def test_a_truncated_program(program, tmp_path):
    data = program.read_bytes()
    for length in (0, 3, 9, 60, len(data) // 2, len(data) - 1):
        file = tmp_path / "net.pte"
        file.write_bytes(data[:length])
        result = build(file)
        assert result.status == 1, length
        assert str(file) in result.err


def test_random_bytes_are_no_program(tmp_path):
    file = tmp_path / "net.pte"
    file.write_bytes(random.Random(1).randbytes(4000))
    result = build(file)
    assert result.status == 1
    assert "not an ExecuTorch program" in result.err


def test_a_program_of_a_newer_schema(program, tmp_path):
    data = bytearray(program.read_bytes())
    data[4:8] = b"ET13"
    file = tmp_path / "net.pte"
    file.write_bytes(data)
    result = build(file)
    assert result.status == 1
    assert "ET13" in result.err
    assert "ET12" in result.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "evaluation = [(torch.zeros(1, 4), 0), (torch.ones(1, 4), 3)]",
            "evaluation[1]: the label is 3, and the model's first output has 3 classes, 0 to 2",
        ),
        (
            "model.forward = lambda x: x * 0 / 0",
            "net.py: calibration[0]: output 0 is NaN, in PyTorch already, first in div 4 (net.py:",
        ),
        (
            "model.forward = lambda x: torch.nn.functional.linear(1 / (x * 0), torch.ones(3, 4))",
            "net.py: calibration: item 0: the model computes NaN or infinite",
        ),
        (
            "model.forward = lambda x: x * 10 - x * 10\nevaluation = [(torch.full((1, 4), 3e38), 0)]",
            "model: output 0 is NaN for every input",
        ),
    ],
)
def test_what_the_float_model_shows_is_told_before_quantization(tmp_path, change, words):
    result = build(write(tmp_path, LINEAR + change))
    assert result.status == 1
    assert words in result.err
    assert "lower" not in result.err


def test_an_unknown_board_is_told_the_nearest(tmp_path):
    result = build(write(tmp_path, LINEAR), board="mps2-386")
    assert result.status == 1
    assert "mps2-an386" in result.err


def test_three_mistakes_in_a_board_file_are_all_told(tmp_path):
    board = tmp_path / "mine.toml"
    board.write_text(
        'name = "Mine"\ncore = "cortex-m99"\n[[memory]]\nname = "flash"\norigin = 0\nsize = "many"\n'
        'access = "rx"\ncolour = "red"\n'
    )
    result = build(write(tmp_path, LINEAR), board=board)
    assert result.status == 1
    assert result.err.count(str(board)) >= 3
    assert all(word in result.err for word in ("core", "size", "colour"))


def test_a_model_too_large_for_the_board(tmp_path):
    file = write(tmp_path, LINEAR.replace("Linear(4, 3)", "Linear(4, 90000)"))
    result = build(file, board="microbit")
    assert result.status == 1
    assert "ram" in result.err
    assert "flash" in result.err
    assert "arena 360,000" in result.err
    assert "fullest at dequantize 90000" in result.err


def test_a_missing_compiler(tmp_path, monkeypatch):
    file = write(tmp_path, LINEAR)
    build(file)
    empty = tmp_path / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    result = build(file, board="corstone-300")
    assert result.status == 3
    assert "apt-get install" in result.err


def test_a_missing_simulator(tmp_path, monkeypatch):
    file = write(tmp_path, LINEAR)
    tools = tmp_path / "bin"
    tools.mkdir()
    for folder in os.environ["PATH"].split(os.pathsep):
        for tool in Path(folder).glob("*") if Path(folder).is_dir() else ():
            link = tools / tool.name
            if not tool.name.startswith("qemu-system") and not link.exists():
                link.symlink_to(tool)
    monkeypatch.setenv("PATH", str(tools))
    result = mcu_build("test", "--board", "mps2-an385", file, "--build-dir", tmp_path / "build")
    assert result.status == 3
    assert "apt-get install qemu-system-arm" in result.err


def test_a_build_folder_that_cannot_be_made(tmp_path):
    file = write(tmp_path, LINEAR)
    (tmp_path / "build").write_text("a file where the folder should be")
    result = build(file)
    assert result.status == 1
    assert "build" in result.err
    assert (tmp_path / "build").read_text() == "a file where the folder should be"


def test_no_room_for_a_build(tmp_path):
    file = write(tmp_path, LINEAR)
    folder = tmp_path / "build" / "net" / "host"
    folder.mkdir(parents=True)
    (folder / "src").symlink_to("/dev/full")
    result = build(file)
    assert result.status == 1
    assert "Traceback" not in result.err


def test_an_interrupted_build_is_taken_up(tmp_path, monkeypatch):
    import mcu_build.stages.images as driver

    file = write(tmp_path, LINEAR)
    real = driver.build

    def interrupt(*arguments, **named):
        real(*arguments, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(driver, "build", interrupt)
    result = build(file)
    assert result.status != 0
    assert "interrupted" in result.err
    assert not list((tmp_path / "build").rglob("manifest.json"))
    monkeypatch.setattr(driver, "build", real)
    assert build(file).status == 0
    shutil.rmtree(tmp_path / "build")
