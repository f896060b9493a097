"""Steps take less memory where the arena would else be larger, and only there."""

from dataclasses import replace

from mcu_build.ir.calls.call import Portable
from mcu_build.ir.calls.portable import ConvertParams
from mcu_build.ir.plan import Plan, Step
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.memory.allocate import place
from mcu_build.plan.memory.low_scratch import choose_low_scratch

SIZES = {0: 3200, 1: 3200, 2: 160, 3: 160}
SCRATCH = (640, 320, 32)


def plan_of(scratch: tuple[int, ...] = SCRATCH) -> Plan:
    """Two steps, the first of them between large tensors, each with a choice of scratch memory."""
    tensors = {id: Tensor(id, f"t{id}", DType.I8, (size,), (0,)) for id, size in SIZES.items()}
    steps = []
    for index, (source, target) in enumerate(((0, 2), (2, 3))):
        ways = []
        for way, size in enumerate(scratch):
            id = 10 + 10 * index + way
            tensors[id] = Tensor(id, "scratch", DType.U8, (size,), (0,))
            call = Portable(ConvertParams(0), f"way_{way}", "op", (source,), (target, id))
            ways.append(Step.of("op", "", call))
        steps.append(replace(ways[0], low_scratch=tuple(ways[1:])))
    return Plan("m", tensors, tuple(steps), (0,), (3,))


def kernels(plan: Plan) -> list[str]:
    return [step.kernel for step in plan.steps]


def test_only_the_peak_is_made_leaner() -> None:
    chosen = choose_low_scratch(plan_of(), 0)
    assert kernels(chosen) == ["way_2", "way_0"]
    assert place(chosen).arena.size == 3200 + 160 + 32
    assert place(plan_of()).arena.size == 3200 + 160 + 640


def test_an_allowance_is_taken_by_the_fastest_way_within_it() -> None:
    least = 3200 + 160 + 32
    assert kernels(choose_low_scratch(plan_of(), 288 / least))[0] == "way_1"
    assert kernels(choose_low_scratch(plan_of(), 287 / least))[0] == "way_2"
    assert kernels(choose_low_scratch(plan_of(), 0.5))[0] == "way_0"
