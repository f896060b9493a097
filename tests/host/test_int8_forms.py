"""Operators with an int8 form of our own: nothing stays in float, the firmware is the reference to the bit,
and both stay near the float model."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mcu_build import process
from mcu_build.frontend.quantize import quantize
from mcu_build.frontend.store import save
from mcu_build.ir.plan import Plan
from mcu_build.lower.upstream.quiet import quiet
from mcu_build.plan.compile import compile_program
from tests.support.cases import run_plans
from tests.support.int8_cases import Model, cases
from tests.support.lowering import Outcome, _like, take

CASES = cases()


def sqnr(found: np.ndarray, wanted: np.ndarray) -> float:
    """Signal to quantization noise in dB."""
    noise = float(np.square(found.astype(np.float64) - wanted).sum())
    return float(10 * np.log10(np.square(wanted.astype(np.float64)).sum() / max(noise, 1e-30)))


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return {name: take(case.model, case.example, items=16) for name, case in CASES.items()}


def _drawn(case: Model) -> list[torch.Tensor]:
    """The inputs that `take` evaluates: the last ones that it draws."""
    generator = torch.Generator().manual_seed(7)
    return [[_like(tensor, generator) for tensor in case.example] for _ in range(16)][-1]


def _bytes(plan: Plan, outputs: list[np.ndarray]) -> list[bytes]:
    orders = [plan.tensors[id].dim_order for id in plan.outputs]
    return [
        np.ascontiguousarray(array.transpose(order)).tobytes()
        for array, order in zip(outputs, orders, strict=True)
    ]


@pytest.mark.parametrize("name", CASES)
def test_all_is_int8_and_near_float(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    assert outcome.float_operators == []
    assert not outcome.lowered.warnings
    for found, wanted in zip(outcome.evaluated, outcome.in_float, strict=True):
        assert sqnr(found, wanted) > CASES[name].sqnr
        # Another input's answer is far from it.
        assert sqnr(np.flip(found), wanted) < 15


def test_a_stored_program_is_read_by_another_process(tmp_path: Path) -> None:
    """Cached programs hold float operators of our own, which a process that only lowers has to know."""
    case = CASES["attention, causal"]
    with quiet():
        exported = torch.export.export(case.model.eval(), case.example)
    save(quantize(exported, [_drawn(case)]), tmp_path / "q.pt2")
    read = "import sys; from pathlib import Path; from mcu_build.frontend.store import load_quantized; "
    script = f"{read}print(load_quantized(Path(sys.argv[1])).graph)"
    finished = process.run([sys.executable, "-c", script, tmp_path / "q.pt2"], timeout=300)
    assert finished.status == 0, finished.stderr
    assert "softmax_where" in finished.stdout


def test_the_firmware_is_the_reference(tmp_path: Path, outcomes: dict[str, Outcome]) -> None:
    plans = [compile_program(one.program, f"m{index}") for index, one in enumerate(outcomes.values())]
    inputs = [tensor.contiguous().numpy() for case in CASES.values() for tensor in _drawn(case)]
    wanted = [_bytes(plan, one.evaluated) for plan, one in zip(plans, outcomes.values(), strict=True)]
    data, at, wrong = run_plans(plans, inputs, tmp_path), 0, []
    for name, outputs in zip(outcomes, wanted, strict=True):
        for output in outputs:
            if data[at : at + len(output)] != output:
                wrong.append(name)
            at += len(output)
    assert wrong == []
    assert at == len(data)
