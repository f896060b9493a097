"""Plan → the C++ of a model whose plan is data: the table, the kernels by number, what runs it. Pure text.

The header is that of compiled calls (codegen/model.py), so applications stay as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mcu_build.codegen import model
from mcu_build.codegen.blob import arena_section, constants_section, lines_of, region
from mcu_build.codegen.header import BANNER, arena_size, header
from mcu_build.codegen.kernel_set import KernelSet
from mcu_build.codegen.loaded_ports import loaded_ports
from mcu_build.codegen.slot import ALIGNMENT as SLOT_ALIGNMENT
from mcu_build.codegen.slot import FIRST_SEQUENCE, Region, slot_file, slots_config
from mcu_build.codegen.table import encode
from mcu_build.ir.plan import ALIGNMENT, Plan


@dataclass(frozen=True)
class Deployment:
    """What a firmware has for plans that are data: more than its own plan needs, where others come later.

    Where there are `slots`, a production image finds the plan there. `ram` and `scratch` are bytes that arena
    and fast scratch memory have at least.
    """

    kernels: KernelSet
    slots: Region | None = None
    ram: int = 0
    scratch: int = 0
    is_host: bool = False

    def memory(self, plan: Plan) -> tuple[int, int, int]:
        """Bytes of arena, fast scratch memory and state."""
        return max(arena_size(plan), self.ram), max(plan.fast_size, self.scratch), len(plan.initial_state)

    def slot_symbol(self, plan: Plan) -> str:
        """`name=address`: what the link of a production image defines, whose slots are in flash apart."""
        if self.slots is None or self.is_host:
            return ""
        return f"{_slots_name(plan)}={self.slots.address:#x}"


def generate(plan: Plan, deployment: Deployment) -> dict[str, str]:
    """The files of a model by name, as codegen/model.py has them; the constants are a table."""
    name = plan.name
    table = table_of(plan, deployment)
    size, fast, _ = deployment.memory(plan)
    grown = plan.with_arena(replace(plan.arena, size=size))
    config = model.cmake_config(plan, deployment.kernels.sources)
    config += slots_config(deployment.slot_symbol(plan), deployment.slots)
    include, functions = (_SLOT_INCLUDES, _SLOT_FUNCTIONS) if deployment.slots else ("", "")
    return {
        f"{name}.h": header(grown, include, functions),
        f"{name}.cpp": source(plan, deployment, len(table)),
        f"{name}_constants.cpp": _slots(plan, deployment) if deployment.slots else constants(name, table),
        f"{name}_arena.cpp": model.arena(grown, fast),
        model.CMAKE_CONFIG: config,
    }


def table_of(plan: Plan, deployment: Deployment) -> bytes:
    """The plan as data."""
    return encode(plan, deployment.kernels.numbers)


def first_slot(plan: Plan, deployment: Deployment) -> bytes:
    """What a slot holds of it."""
    key = deployment.slots.key if deployment.slots else None
    return slot_file(table_of(plan, deployment), deployment.kernels.numbers.lines, FIRST_SEQUENCE, key)


_SLOT_INCLUDES = '#include "mcu/runtime/plan.h"\n#include "mcu/slot.h"\n'
_SLOT_FUNCTIONS = """\
// Loads the newest plan that can be loaded. Without it, the first use of an input or of run() does, and ends
// the firmware where that fails.
mcu::runtime::Status load() noexcept;
// The program slots, for mcu::slot::Update. load() says in them what it has found.
mcu::slot::Slots& slots() noexcept;

"""


def source(plan: Plan, deployment: Deployment, size: int) -> str:
    """What runs a table of `size` bytes, and access to inputs and outputs."""
    name, kernels = plan.name, deployment.kernels
    state = f"{name}_state_bytes"
    memories = dict(zip((f"{name}_arena", f"{name}_fast", state), deployment.memory(plan), strict=True))
    brought = [memory for memory in (f"{name}_arena", f"{name}_fast") if memories[memory]]
    places = ", ".join(memory if size else "{}" for memory, size in memories.items())
    array = f"const unsigned char {_slots_name(plan)}[{deployment.slots.size}]" if deployment.slots else ""
    return "".join(
        (
            BANNER,
            f'#include "{name}.h"\n\n#include <span>\n\n',
            *kernels.includes(),
            f'{deployment.slots.includes}#include "mcu/runtime/slot_loader.h"\n' if deployment.slots else "",
            "\n",
            *kernels.emitted(),
            'extern "C" {\n',
            *(f"extern unsigned char {memory}[{memories[memory]}];\n" for memory in brought),
            f"extern {array or f'const unsigned char {name}_plan[{size}]'};\n",
            model.memory(state, arena_section(state), memories[state]) if memories[state] else "",
            "}\n\nnamespace {\n\n",
            kernels.array(),
            f"constinit mcu::runtime::Plan loaded(kernels_of_model, {{{places}}});\n\n",
            *(_newest(plan, deployment.slots) if deployment.slots else _own(plan)),
            "// A plan that is not whole ends the firmware, as any fault does.\n"
            "const mcu::runtime::Plan& plan() noexcept {\n"
            "    if (!loaded.is_loaded() && load_plan() != mcu::runtime::Status::kOk) {\n"
            "        __builtin_trap();\n    }\n    return loaded;\n}\n\n}  // namespace\n\n",
            _slot_functions(plan) if deployment.slots else "",
            *loaded_ports(plan, "plan()", "plan().{kind}_count()", "unsigned char"),
            *_state(plan),
            *_run(plan),
        )
    )


def _own(plan: Plan) -> Iterator[str]:
    yield "mcu::runtime::Status load_plan() noexcept {\n"
    yield f"    return loaded.load({plan.name}_plan);\n}}\n\n"


def _newest(plan: Plan, slots: Region) -> Iterator[str]:
    for kind, ids in (("input", plan.inputs), ("output", plan.outputs)):
        sizes = ", ".join(str(plan.tensors[id].nbytes) for id in ids)
        yield f"constexpr std::size_t {kind}_sizes[] = {{{sizes}}};\n"
    yield slots.definition(_slots_name(plan), "mcu::runtime::kFormat", "kernels_of_model.id")
    yield (
        "\nmcu::runtime::Status load_plan() noexcept {\n"
        "    return mcu::runtime::load_newest(loaded, program_slots, input_sizes, output_sizes);\n}\n\n"
    )


def _slot_functions(plan: Plan) -> str:
    return (
        f"namespace {plan.name} {{\n\n"
        "mcu::runtime::Status load() noexcept {\n    return load_plan();\n}\n\n"
        "mcu::slot::Slots& slots() noexcept {\n    return program_slots;\n}\n\n"
        f"}}  // namespace {plan.name}\n\n"
    )


def _slots_name(plan: Plan) -> str:
    return f"{plan.name}_program_slots"


def _slots(plan: Plan, deployment: Deployment) -> str:
    """Both slots, the first with the plan, as part of the image."""
    assert deployment.slots is not None
    return (
        f"{BANNER}// Both program slots: part of the image on the host, which has no flash, and in tests.\n"
        + region(
            _slots_name(plan),
            first_slot(plan, deployment),
            deployment.slots.size,
            SLOT_ALIGNMENT,
            deployment.is_host,
        )
    )


def constants(name: str, table: bytes) -> str:
    """The table, everything that stays in flash."""
    macro = f"{name.upper()}_CONSTANTS_SECTION"
    declared = f"const unsigned char {name}_plan[{len(table)}]"
    lines = "".join(f"    {line},\n" for line in lines_of(table))
    return (
        f'{BANNER}#ifndef {macro}\n#define {macro} "{constants_section(name)}"\n#endif\n\n'
        f'extern "C" {{\nextern {declared};\n'
        f'alignas({ALIGNMENT}) __attribute__((section({macro} ".plan"))) {declared} = {{\n{lines}}};\n}}\n'
    )


def _state(plan: Plan) -> Iterator[str]:
    """reset() and state(). Loading the plan resets: nobody else has to clear it."""
    if plan.initial_state:
        yield f"void {plan.name}_reset() noexcept {{\n    plan().reset();\n}}\n\n"
        yield (
            f"void *{plan.name}_state() noexcept {{\n"
            f"    (void)plan();\n    return {plan.name}_state_bytes;\n}}\n\n"
        )


def _run(plan: Plan) -> Iterator[str]:
    name, macro = plan.name, f"{plan.name.upper()}_ON_STEP"
    yield f"void {name}_run() noexcept {{\n#ifdef {macro}\n"
    yield "    for (size_t index = 0; index < plan().step_count(); ++index) {\n"
    yield f"        plan().step(index);\n        {name}_on_step(index);\n    }}\n#else\n"
    yield "    plan().run();\n#endif\n}\n\n"
    yield f"void {name}_step(size_t index) noexcept {{\n    if (index < plan().step_count()) {{\n"
    yield "        plan().step(index);\n    }\n}\n"
