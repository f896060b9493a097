"""Random models: each is exact on every target, or refused by name.

`python -m tests.support.generator 17 --board host --minimize` draws, checks and minimizes model 17 alone.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcu_build.ir.plan import Plan
from tests.support.generator import check as checks
from tests.support.generator.check import HOST, Target, check
from tests.support.generator.minimize import minimized
from tests.support.generator.models import PRECISE_FIRST, RARE_FIRST, STATE_FIRST, Net, draw, shapes, source
from tests.support.generator.operators import TEMPLATES
from tests.support.generator.rare import RARE
from tests.support.generator.state import STATE

# As many models in a batch as flash and RAM of the boards hold.
BATCH = 20
# 200 models in every run: plain ones, of rarer operators, with layers in float, int16 and int4.
QUICK = (*range(0, 140, BATCH), *range(RARE_FIRST, RARE_FIRST + 40, BATCH), PRECISE_FIRST)
ALL = (
    *range(0, 3000, BATCH),
    *range(RARE_FIRST, RARE_FIRST + 300, BATCH),
    *range(STATE_FIRST, STATE_FIRST + 100, BATCH),
    *range(PRECISE_FIRST, PRECISE_FIRST + 200, BATCH),
)
ON_M55 = QUICK[::3]
NPU_FIRST = 152  # Models of layers: convolutions, pools, norms.
M4, M55, NPU = Target("mps2-an386"), Target("corstone-300"), Target("host", "ethos-u55-128")


def written(net: Net, folder: Path) -> Path:
    file = folder / f"r{net.seed}.py"
    file.write_text(source(net))
    return file


def failures(first: int, count: int, targets: tuple[Target, ...], folder: Path) -> Iterator[str]:
    """What is neither exact nor refused among `count` models from number `first`."""
    files = [written(draw(seed), folder) for seed in range(first, first + count)]
    for target in targets:
        results = check(files, target, folder)
        assert any(result.outcome == "exact" for result in results.values()), target.name
        for file, result in results.items():
            if result.outcome not in ("exact", "refused"):
                yield f"{target.name}: {file.stem}: {result.outcome}: {result.why}"


def test_models_are_valid_and_the_same_each_time():
    for seed in range(20):
        net = draw(seed)
        assert net == draw(seed)
        assert shapes(net) is not None
        compile(source(net), "net.py", "exec")


def test_every_operator_is_drawn():
    seeds = (*range(len(TEMPLATES)), *range(RARE_FIRST, RARE_FIRST + len(RARE)))
    drawn = Counter(name for seed in seeds for name in draw(seed).operators)
    assert not [template.name for template in (*TEMPLATES, *RARE) if not drawn[template.name]]


def test_a_failing_model_is_made_small():
    """In place of a fault, whatever holds a softmax fails: nothing else is left of a net."""
    seed = next(number for number, template in enumerate(TEMPLATES) if template.name == "softmax")
    small = minimized(draw(seed), lambda net: "softmax" in net.operators)
    assert small.operators == ("softmax",)
    assert len(small.inputs) == len(small.outputs) == 1


def _other_constant(plan: Plan) -> Plan:
    """The plan with its largest constant changed throughout, since no single byte of a table need be read."""
    largest = max((one for one in plan.tensors.values() if one.data), key=lambda tensor: tensor.nbytes)
    assert largest.data is not None
    data = bytes(byte ^ 0x20 for byte in largest.data)
    return dataclasses.replace(
        plan, tensors={**plan.tensors, largest.id: dataclasses.replace(largest, data=data)}
    )


def test_a_wrong_plan_is_found(tmp_path, monkeypatch):
    """The control: the second of two models computes with another constant, and is the one reported."""
    seed = next(number for number, template in enumerate(TEMPLATES) if template.name == "linear")
    files = [written(draw(number), tmp_path) for number in (seed + len(TEMPLATES), seed)]
    plan_program = checks.plan_program

    def wrong(lowered, name, board):
        plan = plan_program(lowered, name, board)
        return _other_constant(plan) if name == files[1].stem else plan

    monkeypatch.setattr(checks, "plan_program", wrong)
    results = check(files, HOST, tmp_path)
    assert [results[file].outcome for file in files] == ["exact", "wrong"]


@pytest.mark.parametrize("first", QUICK)
def test_random_models(first, tmp_path):
    """All models on the host and on M4, which share a program; some on M55, for the time it takes."""
    targets = (HOST, M4, M55) if first in ON_M55 else (HOST, M4)
    assert not list(failures(first, BATCH, targets, tmp_path))


def test_models_with_state(tmp_path):
    """A ring, a cache, cells and layers; the other kinds with all models."""
    assert not list(failures(STATE_FIRST + 6, len(STATE) - 6, (HOST,), tmp_path))


def test_random_models_on_the_npu(tmp_path):
    """Fewer, since a model takes as long there as several without an NPU."""
    assert not list(failures(NPU_FIRST, 4, (NPU,), tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("first", ALL)
def test_every_random_model_on_every_target(first, tmp_path):
    assert not list(failures(first, BATCH, (HOST, M4, M55, NPU), tmp_path))
