"""Lowering to Ethos-U: what goes where and why, and delegates through the plan."""

import contextlib
import struct
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from executorch.backends.arm._passes import ArmPassManager
from executorch.backends.arm.ethosu import EthosUCompileSpec, EthosUPartitioner
from executorch.exir._serialize._named_data_store import NamedDataStore
from executorch.exir._serialize._program import deserialize_pte_binary, serialize_pte_binary
from executorch.exir._serialize.data_serializer import DataPayload
from executorch.exir.backend.partitioner import PartitionResult
from executorch.extension.flat_tensor.serialize.serialize import FlatTensorSerializer
from torch import nn

from mcu_build.board import find_board
from mcu_build.codegen.model import generate
from mcu_build.errors import Exit, McuError
from mcu_build.frontend import quantize_npu
from mcu_build.frontend.quantize_npu import quantize_for_npu
from mcu_build.ir.plan import Plan
from mcu_build.ir.program import Program, parse
from mcu_build.ir.weights import load_weights
from mcu_build.lower.npu import vela_defects
from mcu_build.lower.npu.ethos_u import LoweredForNpu, lower
from mcu_build.lower.npu.partition import Partitioner
from mcu_build.npu import payload
from mcu_build.oracle.reference import evaluate
from mcu_build.plan.compile import Settings, compile_program
from mcu_build.plan.delegate import NpuTarget, join_scratch
from mcu_build.plan.describe import where
from mcu_build.plan.memory.fit import check_fit
from mcu_build.plan.select import operators, select
from mcu_build.stages.front_end import quantization_kind
from tests.support.cli import mcu_build

BOARD = find_board("corstone-300")
U55 = BOARD.choose_npu("ethos-u55-128")
TARGET = NpuTarget("ethos-u55-128")
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "model.py"


class Half(nn.Module):
    """The convolution in the middle is wider than the NPU's kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Conv2d(3, 8, 3, padding=1)
        self.wide = nn.Conv2d(8, 8, (1, 71), padding=(0, 35))
        self.scores = nn.Linear(8, 6)

    def forward(self, x):
        x = torch.sin(torch.relu(self.wide(torch.relu(self.before(x)))))
        return self.scores(x.mean((2, 3)))


class Twice(nn.Module):
    """What the NPU reads first is read again behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.wide = nn.Conv2d(4, 4, (1, 71), padding=(0, 35))

    def forward(self, x):
        x = self.wide(x)
        return self.wide(self.conv(x)) + x


class Around(nn.Module):
    """One half of a layer goes around the core, which the other passes through."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.wide = nn.Conv2d(4, 8, 3), nn.Conv2d(4, 4, (1, 71), padding=(0, 35))

    def forward(self, x):
        first, second = self.both(x).chunk(2, 1)
        return first * self.wide(second)


def draw(seed: int, channels: int) -> tuple[torch.Tensor]:
    made = torch.randn(1, channels, 8, 12, generator=torch.Generator().manual_seed(seed))
    return (made.to(memory_format=torch.channels_last),)


class Product(nn.Module):
    """Attention, whose two products the NPU does not take in 16 bits, between layers that it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        y = self.before(x)
        return self.after(nn.functional.scaled_dot_product_attention(y, y, y))


def take(model: nn.Module, channels: int) -> LoweredForNpu:
    exported = torch.export.export(model.eval(), draw(0, channels))
    draws = (draw(seed, channels) for seed in range(6))
    quantized = quantize_for_npu(exported, draws, "ethos-u55").program
    return lower(quantized, U55, "cortex-m55", supported=frozenset(operators()))


def test_what_leaves_a_delegate_is_an_integer() -> None:
    plan = compile_program(program(take(Around(), 4)), "around", Settings(npu=TARGET))
    assert [step.kernel for step in plan.steps].count("ethos_u") == 2


def test_delegates_have_an_order() -> None:
    """The partitioner keeps tags in a set, whose order differs from process to process."""
    unordered = PartitionResult(None, {"tag2": None, "tag0": None, "tag1": None})
    with patch.object(EthosUPartitioner, "partition", return_value=unordered):
        tags = Partitioner(EthosUCompileSpec("ethos-u55-128")).partition(None).partition_tags
    assert list(tags) == ["tag0", "tag1", "tag2"]


def test_a_product_of_16_bits_runs_on_the_core() -> None:
    torch.manual_seed(4)
    samples = [(torch.randn(1, 4, 8),) for _ in range(4)]
    exported = torch.export.export(Product().eval(), samples[0])
    quantized = quantize_for_npu(exported, samples, "ethos-u55", 16).program
    lowered = lower(quantized, U55, "cortex-m55", supported=frozenset(operators())).program
    products = [row for row in lowered.operators if row.operator == "mcu_build::matmul_s16"]
    assert [row.where for row in products] == ["int16"] * 2
    for row in products:
        assert row.layer.startswith("test_lower_ethos_u.py:")
        assert "the NPU has no tensors of int16 there" in row.why
    assert {row.where for row in lowered.operators} == {"npu", "int16", "boundary"}
    assert sum("linear" in row.operator for row in lowered.operators if row.where == "npu") == 2


@pytest.fixture(scope="module")
def half() -> LoweredForNpu:
    torch.manual_seed(3)
    return take(Half(), 3)


@pytest.fixture(scope="module")
def twice() -> LoweredForNpu:
    torch.manual_seed(3)
    return take(Twice(), 4)


def program(lowered: LoweredForNpu) -> Program:
    return parse(lowered.program.pte)


def generated(found: Program) -> dict[str, str]:
    return generate(compile_program(found, "half", Settings(npu=TARGET)))


def copies(plan: Plan) -> list[str]:
    return [step.operator for step in plan.steps if step.operator.startswith("npu ")]


def test_what_the_npu_rejects_is_int8_on_the_core_with_the_reason(half):
    rows = {row.operator: row for row in half.program.operators}
    assert rows["aten::conv2d"].where == "npu"
    assert rows["aten::sin"].where == "npu"
    assert rows["aten::linear"].where == "npu"
    wide = rows["cortex_m::quantized_conv2d"]
    assert wide.where == "int8"
    assert "kernel" in wide.why and "71" in wide.why
    assert not [row for row in half.program.operators if row.where == "float"]


def test_a_mean_over_the_whole_image_goes_to_the_npu():
    """Its stride, as large as its window, is one that the NPU does not have; it takes no step."""
    lowered = take(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.AvgPool2d((8, 12))), 3)
    assert {row.where for row in lowered.program.operators} == {"npu", "boundary"}
    steps = take(nn.AvgPool2d((4, 4)), 3)
    assert any("stride" in row.why for row in steps.program.operators)


class Gate(nn.Module):
    """U55 has no comparisons."""

    def forward(self, x):
        return torch.where(torch.sin(x) > 0.25, x, x * 0.5)


def test_what_executorch_does_not_quantize_is_said_in_words():
    reason = quantize_npu.in_words("Node was not marked as quantized in the Arm backend.\n")
    assert reason == "executorch does not quantize it for an NPU"
    cast = "Output dtype torch.float32 is not supported in <Op: cast(Tensor)> for input dtype torch.bool."
    assert quantize_npu.in_words(cast) == "the NPU does not make float32 of bool"
    assert quantize_npu.in_words("another\n reason.") == "another reason"


def test_what_stays_in_float_tells_the_npu_s_reason_too():
    lowered = take(Gate(), 3)
    rows = {row.operator: row for row in lowered.program.operators}
    why = "the NPU has no tensors of bool there; no int8 form of this operator with these operands"
    assert rows["aten::gt.Tensor"].where == "float" and rows["aten::gt.Tensor"].why == why
    assert rows["aten::sin"].where == "npu"
    found = program(lowered)
    inputs = [tensor.numpy() for tensor in draw(9, 3)]
    (gated,) = evaluate(found, inputs, [one.tosa for one in lowered.delegates])
    assert np.abs(gated - Gate()(*draw(9, 3)).numpy()).mean() < 0.05


def test_what_the_proof_has_made_of_a_delegate_is_not_made_again(monkeypatch, tmp_path):
    made = []
    usual = ArmPassManager.transform_to_backend_pipeline
    monkeypatch.setattr(
        ArmPassManager,
        "transform_to_backend_pipeline",
        lambda *arguments, **options: made.append(options) or usual(*arguments, **options),
    )
    exported = torch.export.export(nn.Sequential(nn.Linear(8, 4)).eval(), (torch.ones(1, 8),))
    # The next proof removes what the first has left.
    first, second = [
        quantize_for_npu(
            exported, [(scale * torch.ones(1, 8),)], "ethos-u55", tosa_folder=tmp_path / "tosa"
        ).program
        for scale in (1, 3)
    ]
    assert len(made) == 2
    kept = lower(second, U55, "cortex-m55", tosa_folder=tmp_path / "tosa")
    assert len(made) == 2
    other = lower(first, U55, "cortex-m55", tosa_folder=tmp_path / "tosa")
    assert len(made) == 3
    assert lower(second, U55, "cortex-m55").delegates == kept.delegates != other.delegates
    assert len(made) == 4


def test_a_row_names_the_line_of_the_model(half):
    layers = {row.layer.split(":")[0] for row in half.program.operators if row.where == "npu"}
    assert layers == {Path(__file__).name}


def test_the_npus_operations_name_the_model_s_operators_and_lines(half):
    first, second = ([(row["output_of"], row["layer"]) for row in one.layers] for one in half.delegates)
    lines = {row.operator: row.layer for row in half.program.operators if row.where == "npu"}
    assert first == [("aten::conv2d", lines["aten::conv2d"])]
    # Of the sine only a table is left, which knows nothing but the name of its constant.
    assert list(dict.fromkeys(second)) == [
        (name, lines[name]) for name in ("aten::sin", "aten::mean.dim", "aten::linear")
    ]


@pytest.mark.parametrize("place", ["program", "file", "nowhere"])
def test_weights_may_lie_apart_from_their_delegate(half, place, tmp_path):
    """ExecuTorch's external blocks: data with a name, in the .pte or in a .ptd."""
    file = deserialize_pte_binary(half.program.pte)
    delegate = file.program.backend_delegate_data[0]
    content = payload.parse(delegate.data)
    start = delegate.data.index(b"weight_data")
    end = start + 32 + (len(content.weights) + 15) // 16 * 16
    key = "k" * 64
    reference = struct.pack("<16sIB11x", b"weight_data", len(key), 1) + key.encode()
    delegate.data = delegate.data[:start] + reference + delegate.data[end:]
    store = NamedDataStore()
    store.add_named_data(key, content.weights, alignment=16)
    entries = store.get_named_data_store_output()
    beside = tmp_path / "weights.ptd"
    beside.write_bytes(
        bytes(FlatTensorSerializer().serialize(DataPayload(entries.buffers, entries.pte_data)))
    )
    if place == "program":
        file.named_data = entries
    data = bytes(serialize_pte_binary(file, extract_delegate_segments=True))
    found = parse(data, weights=load_weights([beside] if place == "file" else []))
    if place == "nowhere":
        with pytest.raises(McuError, match="weight_data: it lies outside the program"):
            generated(found)
    else:
        assert generated(found) == generated(program(half))


def test_an_operator_between_two_sides_has_one_quantization(half):
    """No rescaling on the core: its convolution lies directly between the delegates."""
    kernels = [step.kernel for step in compile_program(program(half), "half", Settings(npu=TARGET)).steps]
    computing = [kernel for kernel in kernels if kernel != "copy"]
    assert computing == ["quantize_f32_s8", "ethos_u", "conv2d_s8", "ethos_u", "dequantize_s8_f32"]


def test_the_compilers_estimates_are_told(half):
    for delegate in half.delegates:
        assert delegate.estimates["cycles"] > 0
        assert delegate.estimates["macs"] > 0
        assert delegate.estimates["sram_used"] > 0


def test_the_program_means_what_the_model_means(half):
    """TOSA and the core's operators, against float: within a tenth of the range."""
    torch.manual_seed(3)
    model = Half().eval()
    inputs = [draw(seed, 3) for seed in range(10, 18)]
    with torch.no_grad():
        floats = np.stack([model(*item).numpy() for item in inputs])
    tosa = [one.tosa for one in half.delegates]
    found = np.stack([evaluate(program(half), [item[0].numpy()], tosa)[0] for item in inputs])
    assert (found != found[:1]).any()
    assert np.abs(found - floats).max() < 0.1 * np.ptp(floats)


class Negated(nn.Module):
    """Two scales become one."""

    def forward(self, x):
        return torch.cat((-torch.tanh(x), x * 4), 1)


class Twins(nn.Module):
    """One function twice, with two scales."""

    def forward(self, x):
        return torch.cat((torch.relu(torch.tanh(x)), torch.tanh(x) * 3), 1)


class JoinedClamp(nn.Module):
    """A ReLU behind a layer, in one scale with what has negative values."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        return torch.cat((self.first(x), torch.relu(self.second(x))), 1)


def largest_error(model: nn.Module) -> float:
    """Of its one delegate's outputs, against float."""
    calls = [(torch.randn(2, 8, generator=torch.Generator().manual_seed(seed)),) for seed in range(6)]
    exported = torch.export.export(model, calls[0])
    lowered = lower(quantize_for_npu(exported, calls, "ethos-u55").program, U55, "cortex-m55")
    tosa = [one.tosa for one in lowered.delegates]
    assert len(tosa) == 1
    errors = [evaluate(program(lowered), [x.numpy()], tosa)[0] - model(x).numpy() for (x,) in calls]
    return float(np.abs(errors).max())


def test_a_negative_keeps_its_size_where_it_is_concatenated(monkeypatch):
    assert largest_error(Negated()) < 0.15
    monkeypatch.setattr(quantize_npu, "NPU_RULES", {})
    assert largest_error(Negated()) > 0.5


def test_a_function_that_is_written_twice_has_both_scales(monkeypatch):
    assert largest_error(Twins()) < 0.15
    monkeypatch.setattr(vela_defects, "twins_kept_apart", contextlib.nullcontext)
    assert largest_error(Twins()) > 0.5


def test_a_relu_in_a_concatenation_cuts_off(monkeypatch):
    with torch.no_grad():
        assert largest_error(JoinedClamp()) < 0.05
        monkeypatch.setattr(vela_defects, "clamps_that_clamp", contextlib.nullcontext)
        assert largest_error(JoinedClamp()) > 0.5


def test_a_delegate_without_tosa_cannot_be_evaluated(half):
    with pytest.raises(McuError, match="delegate 0: its TOSA is not known"):
        evaluate(program(half), [draw(1, 3)[0].numpy()])


def test_delegates_work_on_their_neighbours_memory(half):
    """Every copy into and out of scratch memory goes; what the NPU reads lies where its stream expects it."""
    selected = select(program(half), "half", TARGET)
    assert copies(selected) == ["npu input", "npu output"] * 2
    plan = compile_program(program(half), "half", Settings(npu=TARGET))
    assert len(copies(plan)) < 4
    delegate = next(step for step in plan.steps if step.kernel == "ethos_u")
    scratch = plan.tensors[delegate.writes[0]]
    quantized = plan.tensors[plan.steps[0].writes[0]]
    assert plan.owner(quantized.id) == scratch
    assert plan.offset(delegate.writes[0]) % 16 == 0


def test_what_is_read_again_is_copied(twice):
    """The NPU may write over its input; the sum behind it still needs the bytes."""
    plan = join_scratch(select(program(twice), "twice", TARGET))
    index = next(place for place, step in enumerate(plan.steps) if step.operator == "npu input")
    source = plan.owner(plan.steps[index].arguments[0])
    later = [plan.owner(id) for step in plan.steps[index + 1 :] for id in step.arguments if id is not None]
    assert source in later


def test_generated_code_calls_the_driver(half):
    plan = compile_program(program(half), "half", Settings(npu=TARGET))
    files = generate(plan)
    assert "ethos_u" in files["model.cmake"]
    # In an inference as a whole, and in one that is run step by step.
    assert files["half.cpp"].count("kernels::ethos_u(step_") == 2 * 2
    assert '#include "mcu/kernels/ethos_u.h"' in files["half.cpp"]
    assert ".configuration = 6151" in files["half.cpp"]  # 0x1807: U55 with 128 MACs
    assert [where(plan, step) for step in plan.steps].count("npu") == 2


@pytest.mark.parametrize("npu", [None, NpuTarget("ethos-u55-256"), NpuTarget("ethos-u65-256")])
def test_a_program_for_another_npu_is_refused(half, npu):
    with pytest.raises(McuError, match="delegate 0 is made for ethos-u55-128"):
        select(program(half), "half", npu)


def test_a_boundary_of_another_size_is_refused(half):
    found = program(half)
    call = next(call for call in found.instructions if hasattr(call, "delegate"))
    tensor = found.values[call.arguments[0]]
    values = list(found.values)
    values[call.arguments[0]] = replace(tensor, shape=(1, 3, 8, 13))
    with pytest.raises(McuError, match=r"the NPU has 288 bytes of 1 each"):
        select(replace(found, values=tuple(values)), "half", TARGET)


def test_an_arena_that_the_npu_does_not_reach_is_refused(half):
    plan = compile_program(program(half), "half", Settings(npu=TARGET))
    check_fit(plan, BOARD)
    moved = BOARD.model_copy(update={"placement": BOARD.placement.model_copy(update={"arena": "dtcm"})})
    with pytest.raises(McuError, match=r"placement.arena: the NPU does not reach dtcm"):
        check_fit(plan, moved)


def test_u55_and_u65_share_a_quantization():
    kinds = {name: quantization_kind(BOARD.choose_npu(name)) for name in BOARD.npu.names}
    assert set(kinds.values()) == {"ethos-u55"}
    assert quantization_kind(None) is None


def test_an_unknown_npu_is_a_mistake_of_usage():
    result = mcu_build("build", "--board", "corstone-300", "--npu", "ethos-u55-99", DIGITS)
    assert result.status == Exit.USAGE
    assert "no NPU called 'ethos-u55-99'" in result.err
    assert "none, ethos-u55-32, ethos-u55-64, ethos-u55-128, ethos-u55-256, ethos-u65-256" in result.err


def test_a_board_without_an_npu_has_none_to_choose():
    result = mcu_build("build", "--board", "microbit", "--npu", "ethos-u55-128", DIGITS)
    assert result.status == Exit.USAGE
    assert "microbit has no NPU" in result.err
