"""End to end with an NPU: the unmodified image in QEMU, the NPU's model beside it, every output exact."""

from pathlib import Path

import pytest

from mcu_build.errors import McuError
from mcu_build.ir.program import load
from mcu_build.npu.payload import parse
from mcu_build.npu.registers import BASEP, Npu
from mcu_build.oracle.command_streams import CommandStream
from mcu_build.vectors import npz
from tests.support.cli import mcu_build

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits" / "model.py"
MODELS = {file.stem: file for file in sorted((ROOT / "tests" / "models").glob("*.py")) if file.stem[0] != "_"}
# DS-CNN runs in the model of the NPU alone in every run, bit for bit: tests/host/npu/test_models.py.
QUICK = ("two_in_two_out",)
OTHERS = ["ethos-u55-32", "ethos-u55-64", "ethos-u55-256", "ethos-u65-256", "ethos-u65-512"]


def slow_but(quick, names):
    """All `names` as parameters, but `quick` ones marked slow."""
    return [pytest.param(name, marks=[] if name in quick else pytest.mark.slow) for name in names]


def prove(model: Path, npu: str, build_dir: Path, *options: object):
    words = ("test", "--board", "corstone-300", "--npu", npu, model, "--build-dir", build_dir, "--json")
    return mcu_build(*words, *options)


def check_proof(result, vectors: int) -> dict:
    assert result.status == 0, result.out + result.err
    proof = result.json
    assert proof["vectors"] == vectors
    assert proof["outputs_vary"]
    assert proof["mismatches"] == 0
    assert proof["differing"] == 0
    assert proof["npu"]["interrupts"] >= vectors
    return proof


@pytest.mark.parametrize("model", slow_but(QUICK, MODELS))
def test_a_model_on_u55(model, tmp_path):
    check_proof(prove(MODELS[model], "ethos-u55-128", tmp_path, "--vectors", 3), 3)


@pytest.mark.parametrize("npu", slow_but(["ethos-u65-256"], OTHERS))
def test_every_npu_of_the_board(npu, tmp_path):
    check_proof(prove(MODELS["half_on_npu"], npu, tmp_path, "--vectors", 3), 3)


@pytest.mark.slow
@pytest.mark.parametrize("npu", OTHERS)
def test_digits_on_every_npu_of_the_board(npu, tmp_path):
    check_proof(prove(DIGITS, npu, tmp_path, "--vectors", 3), 3)


@pytest.mark.parametrize("images", [100, pytest.param(450, marks=pytest.mark.slow)])
def test_digits_on_held_out_data(images, tmp_path):
    words = ("--min-accuracy", 0.95, "--vectors", images)
    proof = check_proof(prove(DIGITS, "ethos-u55-128", tmp_path, *words), images)
    assert proof["differing"] == 0
    assert proof["accuracy"]["int8"] == proof["accuracy"]["device"] > 0.95


def test_int8_boundaries_and_gcc(tmp_path):
    result = prove(
        DIGITS, "ethos-u55-128", tmp_path, "--vectors", 3, "--io", "int8", "--toolchain", "arm-gcc"
    )
    assert check_proof(result, 3)["differing"] == 0


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A build folder of digits for U55-128."""
    folder = tmp_path_factory.mktemp("build")
    result = prove(DIGITS, "ethos-u55-128", folder, "--vectors", 3)
    assert result.status == 0, result.err
    return folder


def test_the_stack_of_a_run_is_known(built):
    from mcu_build.stages.manifest import require

    (build,) = (built / "digits").iterdir()
    assert 0 < require(build).memory["stack_needed"] < 1024


def run_with(folder: Path, old: bytes, new: bytes, tmp_path: Path, model: type[Npu] = Npu):
    """Outputs of the test image with `old` replaced, on the NPU `model`."""
    from mcu_build.board import find_board
    from mcu_build.npu.config import find
    from mcu_build.simulate import cosim
    from mcu_build.stages.manifest import require
    from mcu_build.vectors.pack import pack, unpack

    (build,) = (folder / "digits").iterdir()
    image = (build / "test.elf").read_bytes()
    assert image.count(old) == 1
    changed = tmp_path / "changed.elf"
    changed.write_bytes(image.replace(old, new))
    manifest = require(build)
    inputs = [array[:3] for array in npz.numbered(npz.load(build / "vectors-3.npz"), "input")]
    packed = pack(inputs, manifest.inputs)
    config = find("ethos-u55-128")
    board = find_board("corstone-300")
    outcome = cosim.run(board, changed, packed, 60, "ethos-u55", lambda memory: model(config, memory))
    return unpack(outcome.outputs, outcome.vectors, manifest.outputs)[0]


def payload(folder: Path):
    (build,) = (folder / "digits").iterdir()
    return parse(load(build / "program.pte").delegates[0].payload)


def test_an_image_that_is_not_changed_gives_the_same(built, tmp_path):
    weights = payload(built).weights
    first = run_with(built, weights, weights, tmp_path)
    assert (first == run_with(built, weights, weights, tmp_path)).all()


def test_a_bit_of_the_weights_is_seen(built, tmp_path):
    weights = payload(built).weights
    right = run_with(built, weights, weights, tmp_path)
    seen = False
    for place in (len(weights) // 2, len(weights) // 3, len(weights) - 5):
        flipped = bytearray(weights)
        flipped[place] ^= 0x10
        try:
            seen |= bool((run_with(built, weights, bytes(flipped), tmp_path) != right).any())
        except Exception as error:
            assert "NPU" in str(error)
            seen = True
    assert seen


def test_a_bit_of_the_command_stream_is_seen(built, tmp_path):
    stream = payload(built).stream
    right = run_with(built, stream, stream, tmp_path)
    flipped = bytearray(stream)
    flipped[4] ^= 0x20
    try:
        wrong = run_with(built, stream, bytes(flipped), tmp_path)
    except McuError as error:
        assert "NPU" in error.message
    else:
        assert (wrong != right).any()


@pytest.mark.parametrize("region", [0, 1])
def test_a_bit_of_a_base_pointer_is_seen(built, tmp_path, region):
    class Astray(Npu):
        def write(self, offset: int, value: int) -> None:
            super().write(offset, value ^ 0x10 if offset == BASEP + 8 * region else value)

    stream = payload(built).stream
    right = run_with(built, stream, stream, tmp_path)
    try:
        wrong = run_with(built, stream, stream, tmp_path, Astray)
    except McuError as error:
        assert "NPU" in error.message
    else:
        assert (wrong != right).any()


def test_the_build_tells_where_operators_run(tmp_path):
    words = ("build", "--board", "corstone-300", "--npu", "ethos-u55-128", MODELS["half_on_npu"])
    text = mcu_build(*words, "--build-dir", tmp_path)
    assert text.status == 0, text.err
    lines = text.out.splitlines()
    wide = next(line for line in lines if "int8 on the core" in line)
    assert "conv2d 8x8x8" in wide and "kernel" in wide
    assert any("sin 8x8x8" in line and "NPU" in line for line in lines)
    assert any("estimated by ethos-u-vela" in line and "not measured" in line for line in lines)

    found = mcu_build(*words, "--build-dir", tmp_path, "--json", "--emit", "tosa").json
    rows = {row["operator"]: row["where"] for row in found["npu"]["operators"]}
    assert rows["aten::sin"] == "npu" and rows["cortex_m::quantized_conv2d"] == "int8"
    assert [delegate["cycles"] > 0 for delegate in found["npu"]["compiler_estimates"]["delegates"]] == [
        True,
        True,
    ]
    for index in range(2):
        assert b"TOSA" in Path(found["artefacts"][f"delegate_{index}"]).read_bytes()


# Each operator that Vela compiles wrong, and outputs that are read again.
TRAPS = """
import torch
from torch import nn
from torch.nn import functional as f

class Traps(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first = nn.Conv2d(6, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.third = nn.Conv2d(8, 4, 1)
        self.many = nn.Conv2d(8, 16, 3, stride=3, padding=1, groups=8)

    def forward(self, x):
        read = torch.relu(self.first(x))
        enlarged = f.interpolate(read, scale_factor=2, mode="nearest")
        summed = self.second(enlarged) + enlarged
        return read, enlarged, self.third(summed), self.many(summed).amin(3)

model = Traps().eval()
calibration = [torch.randn(1, 6, 8, 8) for _ in range(8)]
example_inputs = (calibration[0],)
"""


def test_what_vela_compiles_wrong_is_right_in_firmware(tmp_path):
    file = tmp_path / "traps.py"
    file.write_text(TRAPS)
    assert check_proof(prove(file, "ethos-u55-128", tmp_path, "--vectors", 3), 3)["differing"] == 0
    words = ("build", "--board", "corstone-300", file, "--build-dir", tmp_path, "--json")
    rows = {row["operator"]: row for row in mcu_build(*words).json["npu"]["operators"]}
    for name in ("cortex_m::quantized_depthwise_conv2d", "aten::amin"):
        assert rows[name]["where"] == "int8" and "Vela 5.1 compiles it wrong" in rows[name]["why"]
    assert rows["aten::upsample_nearest2d.vec"]["where"] == "npu"


def test_verify_agrees_and_can_disagree(monkeypatch):
    words = ("verify", "--board", "corstone-300", "--npu", "ethos-u55-128", DIGITS, "--json", "--vectors")
    found = mcu_build(*words, 20)
    assert found.status == 0, found.err
    assert found.json["agrees"]
    assert found.json["outputs"][0]["mean_steps"] < 0.5

    from mcu_build.lower.npu import tosa_reference

    real = tosa_reference.TosaGraph.run

    def negated(graph, inputs):
        return [-1 - output for output in real(graph, inputs)]

    # Another number of vectors: what was quantized, and proven meanwhile, is found in the cache.
    monkeypatch.setattr(tosa_reference.TosaGraph, "run", negated)
    wrong = mcu_build(*words, 21)
    assert wrong.status == 4
    assert not wrong.json["agrees"]


def test_verify_wants_an_npu():
    result = mcu_build("verify", "--board", "corstone-300", "--npu", "none", DIGITS)
    assert result.status == 1
    assert "nothing to verify" in result.err


def test_a_pte_with_delegates_is_compared_as_far_as_can_be(built, tmp_path, monkeypatch):
    (build,) = (built / "digits").iterdir()
    program = tmp_path / "digits.pte"
    program.write_bytes((build / "program.pte").read_bytes())
    words = ("--board", "corstone-300", program, "--build-dir", tmp_path, "--json")
    ran = mcu_build("run", *words, "--npu", "ethos-u55-128")
    assert ran.status == 0, ran.out
    assert ran.json["vectors"] > 0
    tested = mcu_build("test", *words, "--npu", "ethos-u55-128")
    assert tested.status == 0, tested.out
    assert tested.json["delegates"] == "stream" and tested.json["outputs_vary"]
    assert tested.json["differing"] == 0
    # The control: an NPU that computes otherwise is seen, in another number of vectors.
    right = CommandStream.run
    monkeypatch.setattr(CommandStream, "run", lambda self, inputs: [~one for one in right(self, inputs)])
    assert mcu_build("test", *words, "--npu", "ethos-u55-128", "--vectors", 5).status == 4
    other = mcu_build("build", *words, "--npu", "ethos-u55-64")
    assert "made for ethos-u55-128" in other.json["error"]["message"]
    dedicated = mcu_build("build", *words, "--npu", "ethos-u65-256")
    assert "fast scratch memory" in dedicated.json["error"]["message"]
