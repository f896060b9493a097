"""An NPU beside a native program: every output exact, and every way to fail told as what it is."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.errors import Exit, McuError
from mcu_build.ir.program import load
from mcu_build.npu.memory import Memory, MemoryRefusedError
from mcu_build.npu.payload import parse
from mcu_build.simulate import Outcome, native_npu
from mcu_build.simulate.native_npu import LentMemory
from mcu_build.simulate.run import run as run_image
from tests.sim.test_ethos_u_driver import (
    ADDED,
    COMMAND,
    COUNT,
    DATA,
    FILES,
    INTERRUPT,
    MACS,
    NONE,
    POLL,
    answers,
    vector,
)
from tests.sim.test_ethos_u_models import DIGITS, MODELS, check_proof
from tests.support import npu
from tests.support.cli import mcu_build
from tests.support.image import build_image

HOST = find_board("host")
U55 = HOST.choose_npu("ethos-u55-128")


def prove(model: Path, name: str, build_dir: Path, *options: object):
    words = ("test", "--board", "host", "--npu", name, model, "--build-dir", build_dir, "--json")
    return mcu_build(*words, "--vectors", 3, *options)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The folder of digits for U55-128, proven."""
    folder = tmp_path_factory.mktemp("build")
    proof = check_proof(prove(DIGITS, "ethos-u55-128", folder), 3)
    assert proof["differing"] == 0
    (found,) = (folder / "digits").iterdir()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ethos-u55-128", "ethos-u65-256", "ethos-u85-256"])
@pytest.mark.parametrize("model", MODELS)
def test_a_model(model, name, tmp_path):
    check_proof(prove(MODELS[model], name, tmp_path), 3)


def with_flipped_bit(built: Path, data: bytes, at: int, folder: Path) -> str | bytes:
    """Outputs of the test image with a bit of `data` flipped, or what is told where it fails."""
    inputs = np.linspace(0, 16, 64, dtype=np.float32).tobytes()
    image = bytearray((built / "test.elf").read_bytes())
    assert image.count(data) == 1
    image[image.index(data) + at] ^= 0x20 if at else 0
    changed = shutil.copy2(built / "test.elf", folder / "changed.elf")
    changed.write_bytes(image)
    try:
        return run_image(HOST, changed, inputs, 20, npu=U55).outputs
    except McuError as error:
        return error.message


def test_a_flipped_bit_is_seen(built, tmp_path):
    delegate = parse(load(built / "program.pte").delegates[0].payload)
    right = with_flipped_bit(built, delegate.weights, 0, tmp_path)
    size = len(delegate.weights)
    found = {with_flipped_bit(built, delegate.weights, size * part // 20, tmp_path) for part in range(1, 20)}
    assert sum(isinstance(one, bytes) and one != right for one in found) > 1
    text = with_flipped_bit(built, delegate.stream, 1, tmp_path)
    assert "its NPU reported an error" in text and "the NPU: command 0" in text


def test_a_program_without_a_link_has_no_npu(built, tmp_path):
    (tmp_path / "inputs.bin").write_bytes(bytes(64 * 4))
    ended = process.run([built / "test.elf"], cwd=tmp_path)
    assert ended.status == 16 and "no NPU answers at its address" in ended.stderr


def test_an_application_runs(built):
    ran = mcu_build("run", "--board", "host", "--npu", "ethos-u55-128", built / "firmware.elf")
    assert ran.status == 0, ran.err


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    """The program of the driver's tests."""
    return build_image(tmp_path_factory.mktemp("host"), HOST, "host", FILES)


def run(
    image: Path, *vectors: bytes, make: Callable[[Memory], npu.AddOne] = npu.AddOne, timeout: float = 20
) -> Outcome:
    return native_npu.run(image, b"".join(vectors), timeout, "ethos-u55", make)


def test_jobs_are_done_with_interrupts_counters_and_polling(image):
    outcome = run(image, vector(INTERRUPT), vector(POLL), vector(COUNT))
    results = answers(outcome)
    assert [result[:2] for result in results] == [(ADDED, NONE)] * 3
    assert results[2][4:] == ((5 << 32) + 1234, 10, 12, 11, 13)
    assert outcome.npu is not None
    assert (outcome.npu.interrupts, outcome.npu.bytes_written) == (3, 24)


def test_a_stream_for_another_npu_is_refused(image):
    (answer,) = answers(run(image, vector(INTERRUPT, (npu.U55_128[0], 0x00003008))))
    assert answer[:2] == (DATA, MACS)


def test_errors_of_the_npu_are_decoded(image):
    outcome = run(image, vector(INTERRUPT), make=lambda memory: npu.AddOne(memory, ends_with=npu.PARSE))
    assert answers(outcome)[0][1] == COMMAND

    class Astray(npu.AddOne):
        def _address(self, offset: int) -> int:
            return super()._address(offset) + (4096 if offset == npu.BASEP1 else 0)

    with pytest.raises(McuError, match="it reports success, but the NPU met an error: 8 bytes at 0x") as text:
        run(image, vector(INTERRUPT), make=Astray)
    assert text.value.exit_code == Exit.FIRMWARE
    assert "bus error: the NPU cannot reach that memory" in text.value.message


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda memory: npu.AddOne(memory, hangs=True), "the NPU still runs and has raised no interrupt"),
        (lambda memory: npu.AddOne(memory, raises=False), "the NPU does not run and has raised no interrupt"),
    ],
)
def test_a_program_that_waits_in_vain_is_late(image, make, words):
    with pytest.raises(McuError, match=words) as text:
        run(image, vector(INTERRUPT), make=make, timeout=0.5)
    assert text.value.exit_code == Exit.TIMEOUT


def test_the_npu_reaches_what_was_lent_and_nothing_else():
    memory = LentMemory()
    memory.lend([(0x1000, bytearray(b"abcd"))], [(0x2000, b"efgh")])
    assert memory.read(0x1001, 3) + memory.read(0x2000, 4) == b"bcdefgh"
    memory.write(0x1002, b"xy")
    for refused in (
        lambda: memory.read(0x1001, 4),
        lambda: memory.read(0x0FFF, 1),
        lambda: memory.write(0x2000, b"z"),
    ):
        with pytest.raises(MemoryRefusedError):
            refused()
    assert memory.take_back() == b"abxy"
    with pytest.raises(MemoryRefusedError):
        memory.read(0x1000, 1)
