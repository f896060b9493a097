"""Programs under ExecuTorch's own runtime: equal outputs, and nothing linked for naught."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import ninja
import pytest

import cmake
from mcu_build import process
from mcu_build.board import find_board
from mcu_build.codegen.executorch_operators import ADAPTERS
from mcu_build.codegen.table import sealed
from mcu_build.errors import Exit, McuError
from mcu_build.ir.program import load
from mcu_build.resources import data_dir
from mcu_build.simulate.run import run
from tests.sim.test_models import MODELS, check_proof
from tests.support.cli import mcu_build
from tests.support.firmware import Project

QUICK = ("digits",)
# All that the program of digits calls, and what the arguments of a user's operator would need.
DIGITS_KERNELS = {
    *("conv2d_s8", "depthwise_conv2d_s8", "linear_s8", "max_pool2d_s8", "permute"),
    *("quantize_f32_s8", "dequantize_s8_f32"),
}


def prove(model: str, build_dir: Path, *options: object, vectors: int = 3):
    words = ("--runtime", "executorch", "--build-dir", build_dir, "--vectors", vectors, "--json")
    return mcu_build("test", "--board", "host", MODELS[model], *words, *options)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A build folder for all of them: what is compiled for one option is there for the next."""
    return tmp_path_factory.mktemp("build")


def symbols(elf: Path) -> set[str]:
    """The functions of an image, demangled, without their parameters."""
    text = subprocess.run(["nm", "-C", elf], capture_output=True, text=True, check=True).stdout
    return {line.split(" ", 2)[2].split("(")[0] for line in text.splitlines() if " T " in line}


@pytest.mark.parametrize(
    "model", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def test_a_model_and_what_is_linked_for_it(model, built):
    check_proof(prove(model, built))
    folder = built / model / "host-executorch"
    program = load(folder / "delegated.pte")
    assert [one.id for one in program.delegates] == ["McuBackend"] and not program.operators
    for image in ("firmware.elf", "test.elf"):
        linked = symbols(folder / image)
        assert not linked & {f"mcu::et::{adapter.function}" for adapter in ADAPTERS.values()}
        kernels = {
            name.removeprefix("mcu::kernels::") for name in linked if name.startswith("mcu::kernels::")
        }
        assert model != "digits" or kernels == DIGITS_KERNELS
        assert not any("register_kernel" in name for name in linked)
        assert not any("ethos_u" in name or "vela" in name for name in linked)


def test_the_steps_are_those_of_the_static_runtime(built):
    """One plan, whoever runs it: the same kernels on the same memory."""
    check_proof(prove("digits", built))
    check_proof(prove("digits", built, "--runtime", "static"))
    plans = [
        json.loads((built / "digits" / folder / "plan.json").read_text())
        for folder in ("host", "host-executorch")
    ]
    assert plans[0]["steps"] == plans[1]["steps"] and plans[0]["arena"] == plans[1]["arena"]


def changed(built: Path, change: Callable[[bytes], bytes]) -> bytes | str:
    """What digits gives with another program in its image, or what it says where it ends."""
    folder, board = built / "digits" / "host-executorch", find_board("host")
    program = (folder / "delegated.pte").read_bytes()
    image = (folder / "test.elf").read_bytes()
    assert image.count(program) == 1 and len(change(program)) == len(program)
    shutil.copy2(folder / "test.elf", folder / "changed.elf")
    (folder / "changed.elf").write_bytes(image.replace(program, change(program)))
    try:
        return run(board, folder / "changed.elf", bytes(64 * 4), 60).outputs
    except McuError as error:
        return error.message


def test_a_delegate_is_checked_to_its_last_byte(built):
    """The negative control: the image runs the program that it carries."""
    check_proof(prove("digits", built))
    (delegate,) = load(built / "digits/host-executorch/delegated.pte").delegates
    table = delegate.payload

    def made(new: bytes) -> bytes | str:
        return changed(built, lambda program: program.replace(table, new))

    right = made(table)
    assert isinstance(right, bytes)
    for at in (100, len(table) // 2, len(table) - 1):
        text = made(table[:at] + bytes([table[at] ^ 1]) + table[at + 1 :])
        assert "McuBackend: the plan's checksum is wrong" in text
    weights = made(sealed(table[:-64] + bytes(byte ^ 0x11 for byte in table[-64:])))
    assert isinstance(weights, bytes) and weights != right
    text = made(sealed(table[:16] + bytes(8) + table[24:]))
    assert "McuBackend: the plan was made for firmware with other kernels" in text
    assert "for another device" in text
    text = made(sealed(table[:24] + b"\0\0\1\0" + table[28:]))
    assert "McuBackend: the plan needs more memory than this firmware has" in text
    # The first place is the input's.
    place = 64 + 12 * int.from_bytes(table[40:44], "little")
    text = made(sealed(table[:place] + bytes([table[place] ^ 16]) + table[place + 1 :]))
    assert "McuBackend: inputs or outputs of the plan are not those" in text


def test_an_image_that_another_build_has_made_is_proven(built, tmp_path):
    check_proof(prove("digits", built))
    words = ("--build-dir", tmp_path, "--image", built / "digits/host-executorch/test.elf", "--vectors", 3)
    for runtime in ("static", "executorch"):
        options = ("--board", "host", "--runtime", runtime, *words, "--json")
        check_proof(mcu_build("test", *options, MODELS["digits"]))
        wrong = mcu_build("test", *options, MODELS["transformer"])
        assert wrong.status == Exit.FIRMWARE
        assert "its inputs and outputs are not the model's" in wrong.json["error"]["message"]


def test_pools_fit(built):
    result = prove("digits", built, "--method-pool", 512)
    assert result.status == 1
    assert "--method-pool: 512 bytes, the program takes" in result.json["error"]["message"]
    assert "too few" in result.json["error"]["message"]


TWO_MODELS = """
#include <cstdio>
#include "digits.h"
#include "lstm.h"

template <typename Values>
void print(const char* name, const Values& values) {
    std::printf("%s", name);
    for (const auto value : values) std::printf(" %.9g", static_cast<double>(value));
    std::printf("\\n");
}

int main() {
    for (int round = 0; round < 2; ++round) {
        for (float& value : digits::input()) value = 0.5f * round;
        digits::run();
        print("digits", digits::output());
        for (float& value : lstm::input()) value = 1.0f - round;
        lstm::run();
        print("lstm", lstm::output());
    }
}
"""


@pytest.mark.slow
def test_two_models_share_an_arena(tmp_path):
    """The same application, with both models under either runtime: what it prints is the same."""
    (tmp_path / "main.cpp").write_text(TWO_MODELS)
    text = {}
    for runtime in ("static", "executorch"):
        for model in ("digits", "lstm"):
            folder = tmp_path / runtime / model
            words = ("--board", "host", "--runtime", runtime, "--name", model, "--output", folder)
            assert mcu_build("generate", MODELS[model], *words).status == 0
        (tmp_path / runtime / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.28)\nproject(two LANGUAGES CXX)\n"
            f"include({data_dir()}/cmake/McuBuildConfig.cmake)\n"
            "mcu_add_model(digits GENERATED digits)\nmcu_add_model(lstm GENERATED lstm)\n"
            "mcu_add_firmware(both SOURCES ../main.cpp MODELS digits lstm SHARE_ARENA)\n"
        )
        tools = Path(cmake.CMAKE_BIN_DIR) / "cmake", f"-DCMAKE_MAKE_PROGRAM={Path(ninja.BIN_DIR) / 'ninja'}"
        build = tmp_path / runtime / "build"
        for command in (
            [tools[0], "-G", "Ninja", tools[1], "-S", build.parent, "-B", build],
            [tools[0], "--build", build],
        ):
            finished = process.run(command)
            assert finished.status == 0, finished.stdout + finished.stderr
        text[runtime] = process.run([build / "both.elf"]).stdout
    lines = text["executorch"].splitlines()
    assert len(set(lines)) == 4, lines
    assert text["executorch"] == text["static"]
    assert symbols(tmp_path / "executorch/build/both.elf") & {"mcu::et::add_mcu"}


BOTH_RUNTIMES = """
#include <cstdio>
#include "fixed.h"
#include "loaded.h"

int main() {
    for (int round = 0; round < 2; ++round) {
        for (float& value : fixed::input()) value = 0.5f * round;
        for (float& value : loaded::input()) value = 0.5f * round;
        fixed::run();
        loaded::run();
        for (const float value : fixed::output()) std::printf("%.9g ", value);
        std::printf("\\n");
        for (const float value : loaded::output()) std::printf("%.9g ", value);
        std::printf("\\n");
    }
}
"""


@pytest.mark.slow
def test_cmake_builds_a_model_for_either_runtime_into_one_image(tmp_path):
    models = "".join(
        f"mcu_add_model({name} MODEL {MODELS['digits']} BOARD host RUNTIME {runtime})\n"
        for name, runtime in (("fixed", "static"), ("loaded", "executorch"))
    )
    project = Project(tmp_path).write(
        f"{models}mcu_add_firmware(both SOURCES main.cpp MODELS fixed loaded)\n"
        "add_executable(own main.cpp)\n"
        "target_link_libraries(own PRIVATE mcu::model::fixed mcu::model::loaded)\n"
        "target_compile_features(own PRIVATE cxx_std_20)",
        main=BOTH_RUNTIMES,
    )
    tree = project.made(None).tree
    image = tree / "both.elf"
    printed = process.run([image]).stdout
    assert printed == process.run([tree / "own"]).stdout
    zeros, again, halves, halves_again = printed.splitlines()
    assert zeros == again != halves == halves_again
    assert "mcu::et::add_mcu" in symbols(image)
    project.write(f"mcu_add_model(fixed MODEL {MODELS['digits']} BOARD host RUNTIME none)")
    text = " ".join(project.configure(None).stderr.split())
    assert "RUNTIME: 'none' is none of static, table, executorch" in text


@pytest.mark.slow
def test_inputs_and_outputs_that_the_program_does_not_place(tmp_path):
    import torch
    from executorch.exir import ExecutorchBackendConfig, to_edge
    from executorch.exir.passes import MemoryPlanningPass

    class Join(torch.nn.Module):
        def forward(self, x, y):
            return torch.cat([x.transpose(0, 1), y], dim=1)

    exported = torch.export.export(Join(), (torch.randn(2, 3), torch.randn(3, 4)))
    places = MemoryPlanningPass(alloc_graph_input=False, alloc_graph_output=False)
    manager = to_edge(exported).to_executorch(ExecutorchBackendConfig(memory_planning_pass=places))
    file = tmp_path / "join.pte"
    file.write_bytes(manager.buffer)
    words = ("--board", "host", file, "--runtime", "executorch", "--build-dir", tmp_path, "--json")
    result = mcu_build("test", *words)
    assert result.status == 0, result.out
    assert result.json["outputs_vary"] and result.json["differing"] == 0
    # Two inputs and an output, 16 bytes apart.
    source = (tmp_path / "join/host-executorch/src/join.cpp").read_text()
    assert f"ports[{32 + 48 + 80}]" in source
