"""Streams of Vela through our driver in QEMU, on the model of the NPU, against the TOSA reference model."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mcu_build.board import find_board
from mcu_build.errors import Exit, McuError
from mcu_build.npu import config
from mcu_build.npu.commands import decode
from mcu_build.npu.registers import BASEP, Npu
from mcu_build.resources import data_dir
from mcu_build.simulate import Outcome, cosim
from tests.support import npu_modules
from tests.support.image import build_image
from tests.support.npu_cases import Builder, Case, make
from tests.support.npu_operators import build

BOARD = find_board("corstone-300")
TARGETS = ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256")
FAST_SCRATCH = 384 << 10

HEADER = """#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
namespace fake {
inline constexpr uint32_t kScratchSize = SCRATCH, kFastSize = FAST, kConfig = CONFIG, kId = ID;
inline constexpr struct { uint32_t offset, size; } inputs[] = {INPUTS}, outputs[] = {OUTPUTS};
inline constexpr std::size_t input_count = std::size(inputs), output_count = std::size(outputs);
std::span<std::byte> input_bytes(std::size_t index);
std::span<std::byte> output_bytes(std::size_t index);
inline constexpr std::size_t state_size = 0;
void run();
inline void reset() {}
inline std::span<std::byte> state() { return {}; }
}
"""
SOURCE = """#include "fake.h"
#include "mcu/drivers/ethos_u.h"
#include "mcu/platform.h"
__asm(".section .rodata.mcu_constants.fake, \\"a\\"\\n .balign 16\\n"
      "commands: .incbin \\"FOLDER/commands.bin\\"\\n commands_end: .balign 16\\n"
      "weights: .incbin \\"FOLDER/weights.bin\\"\\n weights_end: .previous");
extern "C" const uint32_t commands[], commands_end[];
extern "C" const std::byte weights[], weights_end[];
alignas(32) __attribute__((section(".bss.mcu_arena.fake"))) std::byte scratch[fake::kScratchSize];
alignas(32) __attribute__((section(".bss.mcu_arena.fast"))) std::byte fast[fake::kFastSize];
namespace fake {
std::span<std::byte> input_bytes(std::size_t index) {
    return std::span(scratch).subspan(inputs[index].offset, inputs[index].size);
}
std::span<std::byte> output_bytes(std::size_t index) {
    return std::span(scratch).subspan(outputs[index].offset, outputs[index].size);
}
void run() {
    const auto result = mcu::ethos_u::run({.commands = {commands, 4 * size_t(commands_end - commands)},
                                           .configuration = kConfig,
                                           .id = kId,
                                           .weights = {weights, size_t(weights_end - weights)},
                                           .scratch = {scratch, sizeof scratch},
                                           .fast_scratch = {fast, sizeof fast}});
    if (result.error != mcu::ethos_u::Error::kNone) {
        mcu::platform::write_console(mcu::ethos_u::in_words(result.error));
        mcu::platform::exit(mcu::platform::Status::kFault);
    }
}
}
"""


def image(folder: Path, case: Case, stream: bytes | None = None, weights: bytes | None = None) -> Path:
    payload = case.payload
    (folder / "commands.bin").write_bytes(stream or payload.stream)
    (folder / "weights.bin").write_bytes(weights or payload.weights)
    facts = {
        "SCRATCH": payload.scratch_size,
        "FAST": FAST_SCRATCH,
        "CONFIG": payload.config,
        "ID": payload.id,
        "INPUTS": ", ".join(f"{{{b.offset}, {b.nbytes}}}" for b in payload.inputs),
        "OUTPUTS": ", ".join(f"{{{b.offset}, {b.nbytes}}}" for b in payload.outputs),
    }
    header = HEADER
    for name, value in facts.items():
        header = header.replace(name, str(value))
    files = {
        "fake.h": header,
        "fake.cpp": SOURCE.replace("FOLDER", str(folder)),
        "driver.cpp": f'#include "{data_dir()}/firmware/drivers/ethos_u/ethos_u.cpp"\n',
    }
    return build_image(folder, BOARD, "arm-clang", files)


def simulate(firmware: Path, case: Case, target: str, model: type[Npu] = Npu) -> Outcome:
    inputs = b"".join(array.tobytes() for run in case.inputs for array in run)
    kind = target.rpartition("-")[0]
    return cosim.run(BOARD, firmware, inputs, 60, kind, lambda memory: model(config.find(target), memory))


def expected(case: Case) -> bytes:
    kinds = {1: np.int8, 2: np.int16, 4: np.int32}
    return b"".join(
        array.astype(kinds[binding.element_size]).tobytes()
        for run in case.outputs
        for array, binding in zip(run, case.payload.outputs, strict=True)
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "module", [npu_modules.starter, partial(build, "max_pool2d upsample_nearest2d softmax", 0, 1)]
)
def test_outputs_are_those_of_the_reference_model(tmp_path: Path, module: Builder, target: str) -> None:
    case = make(module, target)
    outcome = simulate(image(tmp_path, case), case, target)
    right = expected(case)
    assert outcome.outputs == right
    # A comparison counts only where outputs vary with the inputs.
    size = len(right) // len(case.inputs)
    assert len({right[start : start + size] for start in range(0, len(right), size)}) == len(case.inputs)
    use = outcome.npu
    assert use is not None and use.interrupts == len(case.inputs)
    assert use.bytes_read > 0 and use.bytes_written > 0


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.mark.parametrize("what", ["stream", "weights", "base"])
def test_a_flipped_bit_is_caught(tmp_path: Path, what: str) -> None:
    case = make(npu_modules.starter, "ethos-u55-128")
    payload = case.payload
    stream, weights = payload.stream, payload.weights
    if what == "stream":
        points = [one for one in decode(stream, "u55") if one.command.name == "SET_OFM_ZERO_POINT"]
        stream = flipped(stream, points[-1].offset + 2)
    if what == "weights":
        weights = flipped(weights, len(weights) // 2)
    firmware = image(tmp_path, case, stream, weights)

    class Model(Npu):
        def write(self, offset: int, value: int) -> None:
            super().write(offset, value ^ 0x100 if what == "base" and offset == BASEP else value)

    try:
        assert simulate(firmware, case, "ethos-u55-128", Model).outputs != expected(case)
    except McuError as error:
        assert error.exit_code == Exit.FIRMWARE
        assert "the NPU: command " in error.message


def test_a_stream_for_another_size_is_refused(tmp_path: Path) -> None:
    case = make(npu_modules.starter, "ethos-u55-128")
    with pytest.raises(McuError, match="the command stream is for another number of MACs"):
        simulate(image(tmp_path, case), case, "ethos-u55-256")
