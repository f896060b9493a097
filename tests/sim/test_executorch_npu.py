"""Delegates for Ethos-U under ExecuTorch's own runtime: equal outputs, failures told as what they are."""

import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.errors import McuError
from mcu_build.ir.program import load
from mcu_build.npu.payload import parse
from mcu_build.simulate.run import run
from tests.sim.test_ethos_u_models import DIGITS, MODELS, check_proof
from tests.sim.test_executorch import symbols
from tests.support.cli import mcu_build
from tests.support.firmware import Project

HOST = find_board("host")
INPUTS = np.linspace(0, 16, 64, dtype=np.float32).tobytes()
NPUS = ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256")


def prove(model: Path, npu: str, build_dir: Path, *options: object):
    words = ("test", "--board", "host", "--runtime", "executorch", "--npu", npu, model)
    return mcu_build(*words, "--build-dir", build_dir, "--vectors", 3, "--json", *options)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The folder of digits for U55-128, proven."""
    folder = tmp_path_factory.mktemp("build")
    assert check_proof(prove(DIGITS, "ethos-u55-128", folder), 3)["differing"] == 0
    (found,) = (folder / "digits").iterdir()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("model", sorted(MODELS))
def test_a_model(model, tmp_path):
    for npu in NPUS:
        check_proof(prove(MODELS[model], npu, tmp_path), 3)


BOTH_RUNTIMES = """
#include <cstdio>
#include "fixed.h"
#include "loaded.h"

int main() {
    for (int round = 0; round < 2; ++round) {
        for (float& value : fixed::input()) value = 8.0f * round;
        fixed::run();
        for (const float value : fixed::output()) std::printf("%.9g ", value);
        for (float& value : loaded::input()) value = 8.0f * round;
        loaded::run();
        std::printf("\\n");
        for (const float value : loaded::output()) std::printf("%.9g ", value);
        std::printf("\\n");
    }
}
"""


@pytest.mark.slow
def test_both_runtimes_share_an_npu_and_an_arena(tmp_path):
    models = "".join(
        f"mcu_add_model({name} MODEL {DIGITS} BOARD host NPU ethos-u55-128 RUNTIME {runtime})\n"
        for name, runtime in (("fixed", "static"), ("loaded", "executorch"))
    )
    project = Project(tmp_path).write(
        f"{models}mcu_add_firmware(both SOURCES main.cpp MODELS fixed loaded SHARE_ARENA)", main=BOTH_RUNTIMES
    )
    image = project.made(None).tree / "both.elf"
    command = [sys.executable, "-m", "mcu_build", "run", "--board", "host", "--npu", "ethos-u55-128", image]
    ran = process.run(command)
    zeros, again, eights, eights_again = ran.stdout.splitlines()
    assert zeros == again != eights == eights_again


@pytest.mark.slow
@pytest.mark.parametrize("place", ["program", "file"])
def test_weights_that_lie_apart(built, place, tmp_path):
    from executorch.exir._serialize._named_data_store import NamedDataStore
    from executorch.exir._serialize._program import deserialize_pte_binary, serialize_pte_binary
    from executorch.exir._serialize.data_serializer import DataPayload
    from executorch.extension.flat_tensor.serialize.serialize import FlatTensorSerializer

    words = ("run", "--board", "host", "--npu", "ethos-u55-128", "--runtime", "executorch", "--build-dir")
    together, apart = tmp_path / "together.pte", tmp_path / "apart.pte"
    together.write_bytes((built / "program.pte").read_bytes())
    file = deserialize_pte_binary(together.read_bytes())
    delegate = file.program.backend_delegate_data[0]
    weights = parse(delegate.data).weights
    start = delegate.data.index(b"weight_data")
    end = start + 32 + (len(weights) + 15) // 16 * 16
    reference = struct.pack("<16sIB11x", b"weight_data", 64, 1) + b"k" * 64
    delegate.data = delegate.data[:start] + reference + delegate.data[end:]
    store = NamedDataStore()
    store.add_named_data("k" * 64, weights, alignment=16)
    named, data = store.get_named_data_store_output(), tmp_path / "weights.ptd"
    if place == "program":
        file.named_data = named
    else:
        payload = DataPayload(named.buffers, named.pte_data)
        data.write_bytes(bytes(FlatTensorSerializer().serialize(payload)))
    apart.write_bytes(bytes(serialize_pte_binary(file, extract_delegate_segments=True)))
    found = []
    for program, options in ((together, ()), (apart, ("--data", data) if place == "file" else ())):
        outputs = tmp_path / f"{program.stem}.npz"
        result = mcu_build(*words, tmp_path, program, "--outputs", outputs, *options)
        assert result.status == 0, result.err
        found.append(np.load(outputs)["output_0"])
    assert (found[0] == found[1]).all() and found[0].std(axis=0).max() > 0


def test_the_back_end_is_linked_where_a_program_has_delegates(built):
    for image in ("firmware.elf", "test.elf"):
        linked = symbols(built / image)
        assert {"mcu::et::add_ethos_u", "mcu::vela::read", "mcu::ethos_u::run"} <= linked
        # The static runtime's call of the driver is in the same archive.
        assert "mcu::kernels::ethos_u" not in linked


def outputs(built: Path, folder: Path, old: bytes, new: bytes, npu: str = "ethos-u55-128") -> bytes | str:
    """Outputs of the test image with `old` in its program made `new`, or what is told where it fails."""
    program, image = (built / "delegated.pte").read_bytes(), (built / "test.elf").read_bytes()
    assert image.count(program) == 1 and program.count(old) == 1 and len(old) == len(new)
    changed = shutil.copy2(built / "test.elf", folder / "changed.elf")
    changed.write_bytes(image.replace(program, program.replace(old, new)))
    try:
        return run(HOST, changed, INPUTS, 60, npu=HOST.choose_npu(npu)).outputs
    except McuError as error:
        return error.message


def test_flipped_bits_are_seen(built, tmp_path):
    """The negative control: the NPU runs what the program carries."""
    delegate = parse(load(built / "program.pte").delegates[0].payload)
    weights, stream = delegate.weights, delegate.stream
    right = outputs(built, tmp_path, weights, weights)
    assert isinstance(right, bytes)
    wrong = 0
    for place in range(100, len(weights), len(weights) // 16):
        flipped = weights[:place] + bytes([weights[place] ^ 0x20]) + weights[place + 1 :]
        found = outputs(built, tmp_path, weights, flipped)
        wrong += isinstance(found, bytes) and found != right
    assert wrong > 1
    text = outputs(built, tmp_path, stream, stream[:1] + bytes([stream[1] ^ 0x20]) + stream[2:])
    assert "EthosUBackend: the NPU does not take a command of the stream" in text
    assert "of the command stream" in text and "the NPU: command 0" in text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"cmd_data", b"cmd_date", "EthosUBackend: a block of it is missing"),
        (b"vela_end_stream", b"vela_end_strean", "EthosUBackend: the payload is cut short"),
        (b"COP1", b"COP9", "EthosUBackend: there is no command stream in a format that is known"),
        (b"EthosUBackend", b"EthosVBackend", "EthosVBackend: not linked; build with --ops-from"),
    ],
)
def test_damage_is_named(built, tmp_path, old, new, words):
    text = outputs(built, tmp_path, old, new)
    assert words in text and "ExecuTorch's runtime could not load or run its program" in text


def test_a_program_for_another_npu_is_refused_when_it_is_loaded(built, tmp_path):
    for npu, words in (("ethos-u55-256", "number of MACs"), ("ethos-u65-256", "another Ethos-U")):
        text = outputs(built, tmp_path, b"COP1", b"COP1", npu)
        assert f"EthosUBackend: the command stream is for another {words.removeprefix('another ')}" in text
        assert "a delegate of the program has no back end here, or is for another device" in text


def test_an_npu_that_does_not_answer_is_told(built, tmp_path):
    (tmp_path / "inputs.bin").write_bytes(INPUTS)
    ended = process.run([built / "test.elf"], cwd=tmp_path)
    assert ended.status == 17 and "EthosUBackend: its device does not answer" in ended.stderr


def test_a_pool_that_is_too_small_is_told(built):
    words = prove(DIGITS, "ethos-u55-128", built.parents[1], "--temp-pool", 512)
    assert words.status == 1
    message = words.json["error"]["message"]
    assert "--temp-pool: 512 bytes, the program takes" in message and "too few" in message
