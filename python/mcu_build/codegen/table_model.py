"""Plan → the C++ of a model whose plan is data: the table, the kernels by number, what runs it. Pure text.

The header is that of compiled calls (codegen/model.py), so applications stay as they are.
"""

from collections.abc import Iterator

from mcu_build.codegen import model
from mcu_build.codegen.blob import arena_section, constants_section, lines_of
from mcu_build.codegen.header import BANNER, arena_size, header
from mcu_build.codegen.kernel_set import KernelSet
from mcu_build.codegen.table import encode
from mcu_build.ir.plan import ALIGNMENT, Plan
from mcu_build.ir.ports import Kind, port_names


def generate(plan: Plan) -> dict[str, str]:
    """The files of a model by name, as codegen/model.py has them; the constants are a table."""
    kernels, name = KernelSet.of(plan.steps), plan.name
    table = encode(plan, kernels)
    return {
        f"{name}.h": header(plan),
        f"{name}.cpp": source(plan, kernels, len(table)),
        f"{name}_constants.cpp": constants(name, table),
        f"{name}_arena.cpp": model.arena(plan),
        model.CMAKE_FACTS: model.cmake_facts(plan),
    }


def source(plan: Plan, kernels: KernelSet, size: int) -> str:
    """What runs a table of `size` bytes, and access to inputs and outputs."""
    name = plan.name
    state = f"{name}_state_bytes"
    memories = {
        f"{name}_arena": arena_size(plan),
        f"{name}_fast": plan.fast_size,
        state: len(plan.initial_state),
    }
    brought = [memory for memory in (f"{name}_arena", f"{name}_fast") if memories[memory]]
    places = ", ".join(memory if size else "{}" for memory, size in memories.items())
    return "".join(
        (
            BANNER,
            f'#include "{name}.h"\n\n#include <span>\n\n',
            *kernels.includes(),
            "\n",
            *kernels.emitted(),
            'extern "C" {\n',
            *(f"extern unsigned char {memory}[{memories[memory]}];\n" for memory in brought),
            f"extern const unsigned char {name}_plan[{size}];\n",
            model.memory(state, arena_section(state), memories[state]) if memories[state] else "",
            "}\n\nnamespace {\n\n",
            kernels.array(),
            "\n// A plan that is not whole ends the firmware, as any fault does.\n"
            f"constinit mcu::runtime::Plan loaded(kernels_of_model, {{{places}}});\n\n"
            "const mcu::runtime::Plan& plan() noexcept {\n"
            f"    if (!loaded.is_loaded() && loaded.load({name}_plan) != mcu::runtime::Status::kOk) {{\n"
            "        __builtin_trap();\n    }\n    return loaded;\n}\n\n}  // namespace\n\n",
            *_ports(plan),
            *_state(plan),
            *_run(plan),
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


def _ports(plan: Plan) -> Iterator[str]:
    kinds: tuple[tuple[Kind, tuple[int, ...]], ...] = (("input", plan.inputs), ("output", plan.outputs))
    for kind, ids in kinds:
        for index, (id, name) in enumerate(zip(ids, port_names(plan, kind), strict=True)):
            type = plan.tensors[id].dtype.c_name
            yield (
                f"{type} *{plan.name}_{name}() noexcept {{\n"
                f"    return reinterpret_cast<{type}*>(plan().{kind}({index}).data());\n}}\n\n"
            )
        yield (
            f"void *{plan.name}_{kind}_at(size_t index, size_t *bytes) noexcept {{\n"
            f"    const bool is_there = index < plan().{kind}_count();\n"
            f"    const auto data = is_there ? plan().{kind}(index) : std::span<unsigned char>();\n"
            "    *bytes = data.size();\n    return data.data();\n}\n\n"
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
