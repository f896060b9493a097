"""Custom operators: the same C++ function under both runtimes, against the operator's Python definition."""

from pathlib import Path

import pytest

from mcu_build.codegen.user_calls import arguments, constants
from mcu_build.ir.calls.outside import UserCall, UserTensor, UserValue
from mcu_build.ir.tensor import DType
from tests.support.cli import mcu_build

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/custom_op"

# What is unusual about an operator, all in two: integers, a list, a flag, a keyword, an image that comes
# channels-last, several results; and torch.library's older way to define one.
OPERATORS = """
import torch
library = torch.library.Library("odd", "DEF")
library.define("mix(Tensor image, int[] shifts, bool negate, *, int by=3) -> (Tensor, Tensor)")
@torch.library.impl(library, "mix", "CompositeExplicitAutograd")
def mix(image, shifts, negate, by=3):
    shifted = torch.bitwise_right_shift(image, shifts[0]) + by
    return -shifted if negate else shifted, (image.to(torch.int32).sum((2, 3)) * shifts[1]).to(torch.int32)
@torch.library.register_fake("odd::mix")
def _(image, shifts, negate, by=3):
    return torch.empty(image.shape, dtype=image.dtype), torch.empty(image.shape[:2], dtype=torch.int32)
@torch.library.custom_op("odd::weigh", mutates_args=())
def weigh(x: torch.Tensor) -> torch.Tensor:
    return x * torch.arange(x.shape[3])
@weigh.register_fake
def _(x):
    return torch.empty(x.shape)
"""
MODEL = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.conv = torch.nn.Conv2d(2, 3, 3, padding=1)
    def forward(self, x, q):
        return torch.ops.odd.weigh(self.conv(x)), *torch.ops.odd.mix(q, [1, -2], True, by=4)
def one(i):
    dice = torch.Generator().manual_seed(i)
    image = torch.randint(-128, 128, (1, 3, 2, 2), generator=dice, dtype=torch.int8)
    return torch.randn(1, 2, 4, 5, generator=dice), image
model, example_inputs = Net(), one(0)
calibration = [one(i) for i in range(8)]
"""
KERNELS = """
#include "mcu/operator.h"
#include "factor.h"
namespace odd {
void mix(mcu::Tensor<const int8_t> image, std::span<const int64_t> shifts, bool negate, int64_t by,
         mcu::Tensor<int8_t> shifted, mcu::Tensor<int32_t> sums) {
    const size_t pixels = static_cast<size_t>(image.shape[2] * image.shape[3]);
    for (size_t i = 0; i < image.data.size(); ++i) {
        const int value = static_cast<int8_t>((image.data[i] >> shifts[0]) + by);
        shifted.data[i] = static_cast<int8_t>(negate ? -value : value);
        sums.data[i / pixels] = (i % pixels ? sums.data[i / pixels] : 0) + image.data[i] * int32_t(shifts[1]);
    }
}
void weigh(mcu::Tensor<const float> x, mcu::Tensor<float> result) {
    for (size_t i = 0; i < x.data.size(); ++i) {
        result.data[i] = x.data[i] * static_cast<float>(i % size_t(x.shape[3])) * FACTOR;
    }
}
}
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Path:
    """A folder with operators, a model, kernels and their header."""
    folder = tmp_path_factory.mktemp("odd")
    for name, text in (("ops.py", OPERATORS), ("odd.py", MODEL), ("kernels.cpp", KERNELS)):
        (folder / name).write_text(text)
    (folder / "factor.h").write_text("#define FACTOR 1.0F\n")
    return folder


def prove(verb: str, folder: Path, *options: object, sources: tuple[str, ...] = ("kernels.cpp",)):
    library = ("--op-library", folder / "ops.py")
    given = [word for name in sources for word in ("--kernel-sources", folder / name)]
    words = ("--board", "host", "--build-dir", folder / "build", "--json", *library, *given, *options)
    return mcu_build(verb, *words, folder / "odd.py")


@pytest.mark.parametrize("runtime", ["static", "executorch"])
def test_integers_lists_keywords_and_several_results(odd, runtime):
    text = prove("test", odd, "--runtime", runtime)
    assert text.status == 0, text.err
    assert text.json["mismatches"] == 0 and text.json["outputs_vary"]


def test_another_kernel_gives_other_outputs(odd):
    """The negative control, by a header alone: headers beside the sources are inputs of the build."""
    assert prove("test", odd).status == 0
    (odd / "factor.h").write_text("#define FACTOR 1.5F\n")
    text = prove("test", odd)
    (odd / "factor.h").write_text("#define FACTOR 1.0F\n")
    assert text.status == 4 and text.json["mismatches"] > 0


def test_a_program_takes_its_operators_too(odd):
    assert prove("build", odd).status == 0
    program, kernels = odd / "build/odd/host/program.pte", odd / "kernels.cpp"
    words = ("test", "--board", "host", "--build-dir", odd / "pte", "--json", "--kernel-sources", kernels)
    text = mcu_build(*words, "--op-library", odd / "ops.py", program)
    assert text.status == 0 and text.json["mismatches"] == 0


def test_what_is_missing_or_wrong_is_named(odd):
    text = prove("build", odd, sources=()).json["error"]
    assert "no kernel for odd::weigh, odd::mix" in text["message"]
    assert "void odd::weigh(mcu::Tensor<const float> x, mcu::Tensor<float> out);" in text["hint"]
    (odd / "other_types.cpp").write_text(KERNELS.replace("int64_t by", "int by"))
    text = prove("build", odd, sources=("other_types.cpp",)).json["error"]
    assert "no function in the kernel sources for odd::mix" in text["message"]
    assert "bool negate, int64_t by, mcu::Tensor<int8_t> out0" in text["hint"]
    (odd / "broken.cpp").write_text("int broken(")
    text = prove("build", odd, sources=("kernels.cpp", "broken.cpp")).json["error"]
    assert "broken.cpp:1:12: error:" in text["message"]
    assert "gone.cpp: no such file" in prove("build", odd, sources=("gone.cpp",)).json["error"]["message"]
    (odd / "unknown.py").write_text(MODEL.replace("odd.weigh", "nowhere.weigh"))
    words = ("build", "--board", "host", "--json", "--op-library", odd / "ops.py")
    text = mcu_build(*words, odd / "unknown.py").json["error"]
    assert "unknown.py: line 9: cannot be run" in text["message"] and "--op-library" in text["hint"]


def test_the_example(tmp_path):
    options = ("--kernel-sources", EXAMPLE / "kernels.cpp", "--build-dir", tmp_path)
    text = mcu_build("test", "--board", "host", "--json", *options, EXAMPLE / "model.py")
    assert text.status == 0, text.err
    assert text.json["vectors"] == 32 and text.json["mismatches"] == 0 and text.json["outputs_vary"]


def test_numbers_that_cpp_has_no_literal_for():
    call = UserCall(
        "odd::f",
        (
            UserTensor("scalar", DType.F32, (), written=False),
            UserValue("low", -(1 << 63)),
            UserValue("none", ()),
            UserValue("inf", float("-inf")),
            UserTensor("out", DType.BOOL, (2,), written=True),
        ),
    )
    assert arguments("s", call, ["a", "b"]) == (
        "{{a, 1}, {}}, (-9223372036854775807 - 1), {}, -__builtin_inf(), {{b, 2}, s_4}"
    )
    assert constants("s", call) == "constexpr int32_t s_4[] = {2};\n"
