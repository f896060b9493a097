"""Functions for the inputs and outputs of a model that something else runs. Pure text."""

from collections.abc import Iterator

from mcu_build.ir.plan import Plan
from mcu_build.ir.ports import Kind, port_names


def loaded_ports(plan: Plan, model: str, count: str, byte: str) -> Iterator[str]:
    """The functions of the header that give inputs and outputs, by name and by number.

    `model` is an expression for what has them, as spans of `byte`; `count` one for how many there are, with
    {kind} in it, "input" or "output".
    """
    kinds: tuple[tuple[Kind, tuple[int, ...]], ...] = (("input", plan.inputs), ("output", plan.outputs))
    for kind, ids in kinds:
        for index, (id, name) in enumerate(zip(ids, port_names(plan, kind), strict=True)):
            type = plan.tensors[id].dtype.c_name
            yield (
                f"{type} *{plan.name}_{name}() noexcept {{\n"
                f"    return reinterpret_cast<{type}*>({model}.{kind}({index}).data());\n}}\n\n"
            )
        yield (
            f"void *{plan.name}_{kind}_at(size_t index, size_t *bytes) noexcept {{\n"
            f"    const bool is_there = index < {count.format(kind=kind)};\n"
            f"    const auto data = is_there ? {model}.{kind}(index) : std::span<{byte}>();\n"
            "    *bytes = data.size();\n    return data.data();\n}\n\n"
        )
