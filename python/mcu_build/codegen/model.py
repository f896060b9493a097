"""Plan → the C++ of a model: the calls in order, constants and the arena, beside its header. Pure text."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import indent

import numpy as np

from mcu_build.codegen import push, start, user_calls
from mcu_build.codegen.blob import arena_section, constants_section, fast_section
from mcu_build.codegen.header import BANNER, arena_size, by_rows, header, ports
from mcu_build.codegen.literal import float_literal
from mcu_build.codegen.loops import Item, loops
from mcu_build.ir.calls.moves import Take
from mcu_build.ir.calls.outside import EthosU, UserFunction
from mcu_build.ir.calls.struct import Struct, Value
from mcu_build.ir.plan import Plan, Step
from mcu_build.ir.tensor import ALIGNMENT, Tensor
from mcu_build.npu.config import name_of
from mcu_build.npu.payload import driver_header

_VALUES_PER_LINE = 20
CMAKE_CONFIG = "model.cmake"


def generate(plan: Plan) -> dict[str, str]:
    """The files of a model by name: <name>.h, .cpp, _constants.cpp, _arena.cpp and model.cmake."""
    return {
        f"{plan.name}.h": header(plan, has_start=True),
        f"{plan.name}.cpp": source(plan),
        f"{plan.name}_constants.cpp": constants(plan),
        f"{plan.name}_arena.cpp": arena(plan),
        CMAKE_CONFIG: cmake_config(plan),
    }


def kernel_sources(plan: Plan) -> tuple[str, ...]:
    """Stems of the kernel sources that the plan calls, sorted."""
    return tuple(sorted({step.source for step in plan.steps if step.source}))


def cmake_config(plan: Plan, kernels: tuple[str, ...] | None = None) -> str:
    """What a build system needs to know of a model. `kernels` are sources that stand for the plan's own."""
    sources = " ".join(f"{plan.name}{suffix}.cpp" for suffix in ("", "_constants", "_arena"))
    return (
        BANNER.replace("//", "#")
        + f"set(MCU_MODEL_NAME {plan.name})\n"
        + f"set(MCU_MODEL_SOURCES {sources})\n"
        + f"set(MCU_MODEL_KERNELS {' '.join(kernel_sources(plan) if kernels is None else kernels)})\n"
        + f'set(MCU_MODEL_NPU "{name_of(plan.npu) or ""}")\n'
    )


def source(plan: Plan) -> str:
    """run(), the parameters of every step, and access to inputs and outputs."""
    includes = sorted(f'#include "mcu/kernels/{stem}.h"\n' for stem in kernel_sources(plan))
    users = [
        (index, step.call.user)
        for index, step in enumerate(plan.steps)
        if isinstance(step.call, UserFunction)
    ]
    if plan.initial_state or by_rows(plan):
        includes.append("#include <cstring>\n")
    if users:
        includes.append('#include "mcu/operator.h"\n')
    parts = [
        BANNER,
        f'#include "{plan.name}.h"\n\n',
        *includes,
        "\n",
        user_calls.declarations(user for _, user in users),
    ]
    parts += [f"{text}\n" for text in _emitted(plan)]
    elsewhere = [f"arena_{memory}" for memory in plan.arena.elsewhere]
    memories = ["arena", *elsewhere, *["fast"] * bool(plan.fast_size), *["image"] * bool(by_rows(plan))]
    parts += [f'extern "C" unsigned char {plan.name}_{memory}[];\n' for memory in memories]
    parts.append("\n")
    used = _used_constants(plan)
    if used:
        parts.append(f"namespace {plan.name}::constants {{\n")
        streams = _streams(plan)
        parts += [f"extern const {_element(t)} {_constant_name(t)}[{_space(t, streams)}];\n" for t in used]
        parts.append(f"}}  // namespace {plan.name}::constants\n\n")
    parts.append("namespace {\n\nnamespace kernels = mcu::kernels;\n")
    parts.append(f"namespace constants = {plan.name}::constants;\n\n" if used else "\n")
    names = _parameter_names(plan)
    parts += [
        parameters(name, step.params) + "\n"
        for index, step in enumerate(plan.steps)
        if step.params and (name := f"step_{index}") == names[index]
    ]
    parts += [user_calls.constants(f"step_{index}", user) for index, user in users]
    parts.append("}  // namespace\n\n")
    for port, id in zip(ports(plan), (*plan.inputs, *plan.outputs), strict=True):
        type = port.tensor.dtype.c_name
        parts.append(
            f"{type} *{plan.name}_{port.name}() noexcept {{\n    return {_pointer(plan, id)};\n}}\n\n"
        )
    parts.append(_port_table(plan, "input", plan.inputs))
    parts.append(_port_table(plan, "output", plan.outputs))
    parts.append(_state(plan))
    parts += _run(plan)
    parts.append(start.functions(plan, _jobs(plan)))
    parts.append(push.functions(plan))
    return "".join(parts)


def _emitted(plan: Plan) -> list[str]:
    """The functions that were made for this plan's calls, each of them once."""
    cores = {step.core.name: step.core.text for step in plan.steps if step.core}
    return [cores[name] for name in sorted(cores)]


def _run(plan: Plan) -> Iterator[str]:
    """run() as a straight line of calls, and step(), which an image without a call of it leaves out."""
    name, macro = plan.name, f"{plan.name.upper()}_ON_STEP"
    begin = f"    if (!is_begun) {{\n        {name}_reset();\n    }}\n" if plan.initial_state else ""
    names = _parameter_names(plan)
    calls = [_call(plan, index, step, names[index]) for index, step in enumerate(plan.steps)]
    yield f"void {name}_run() noexcept {{\n#ifdef {macro}\n"
    yield f"    for (size_t index = 0; index < {len(calls)}; ++index) {{\n"
    yield f"        {name}_step(index);\n        {name}_on_step(index);\n    }}\n#else\n"
    yield from (begin, *_looped(plan, names))
    yield "#endif\n}\n\n"
    takes = [index for index, step in enumerate(plan.steps) if isinstance(step.call, Take)]
    others = [index for index in range(len(calls)) if index not in takes]
    if not takes:
        yield f"void {name}_step(size_t index) noexcept {{\n{begin}{_switch(calls, others)}}}\n"
        return
    # Of its own, for push_row(): it names no array for the whole image.
    inner = f"void {push.STEP}(size_t index) noexcept {{\n{_switch(calls, others)}}}"
    yield f"namespace {{\n\n{inner}\n\n}}  // namespace\n\n"
    rest = f"{push.STEP}(index);\n            "
    yield f"void {name}_step(size_t index) noexcept {{\n{begin}{_switch(calls, takes, rest)}}}\n"


def _switch(calls: Sequence[str], indices: Sequence[int], rest: str = "") -> str:
    """A call by its index; of any other `rest`."""
    alike: dict[str, list[int]] = {}
    for index in indices:
        # Bands that differ in nothing but their number are one case.
        alike.setdefault(calls[index].partition("\n")[2], []).append(index)
    cases = (
        "".join(f"        case {index}:\n" for index in same)
        + f"{indent(calls[same[0]], '        ')}            break;\n"
        for same in alike.values()
    )
    return f"    switch (index) {{\n{''.join(cases)}        default:\n            {rest}break;\n    }}\n"


def _parameter_names(plan: Plan) -> list[str]:
    """The name of each step's parameters: bands of rows share theirs with those of the first of them."""
    first: dict[Struct, int] = {}
    shared = [
        first.setdefault(step.params, index) if step.params and step.part_of is not None else index
        for index, step in enumerate(plan.steps)
    ]
    return [f"step_{index}" for index in shared]


def _looped(plan: Plan, names: Sequence[str]) -> Iterator[str]:
    """The calls of all steps, those that repeat as loops."""
    items = [
        _item(plan, index, step, name)
        for index, (step, name) in enumerate(zip(plan.steps, names, strict=True))
    ]
    for loop in loops(items):
        lines = []
        for index, further in zip(range(loop.first, loop.first + loop.length), loop.steps, strict=True):
            lines.append(
                _call(plan, index, plan.steps[index], names[index], further if loop.turns > 1 else ())
            )
        text = "".join(lines)
        if loop.turns == 1:
            yield text
        else:
            head = f"    for (int32_t turn = 0; turn < {loop.turns}; ++turn) {{\n"
            yield f"{head}{indent(text, '    ')}    }}\n"


def _item(plan: Plan, index: int, step: Step, name: str) -> Item:
    """A step as a call that may repeat: bands of rows alone do."""
    if step.part_of is None:
        return Item(index, ())
    own = [id for id in step.arguments if id is not None and _is_in_arena(plan, id)]
    kinds = tuple(
        (plan.tensors[id].dtype, plan.owner(id).image or plan.arena_name(id))
        if id in own
        else id and _pointer(plan, id)
        for id in step.arguments
    )
    core = step.core.name if step.core else ""
    return Item((step.kernel, name, core, kinds), tuple(plan.offset(id) for id in own))


def _is_in_arena(plan: Plan, id: int) -> bool:
    """Whether a tensor's bytes lie in the arena, or in the image of an input that comes by rows."""
    owner = plan.owner(id)
    return not owner.is_constant and (owner.image or not owner.is_apart)


def _state(plan: Plan) -> str:
    """The memory of state, reset() and state(). The first call resets: nobody else has to clear it."""
    size, name = len(plan.initial_state), f"{plan.name}_state_bytes"
    if not size:
        return ""
    stored, begin = "", f"    std::memset({name}, 0, {size});\n"
    if any(plan.initial_state):
        values = ", ".join(map(str, plan.initial_state))
        stored = f"constexpr unsigned char initial_state[{size}] = {{{values}}};\n"
        begin = f"    std::memcpy({name}, initial_state, {size});\n"
    return (
        f'extern "C" {{\n{memory(name, arena_section(name, plan.first_memories[0]), size)}}}\n\n'
        f"namespace {{\n{stored}bool is_begun = false;\n}}  // namespace\n\n"
        f"void {plan.name}_reset() noexcept {{\n{begin}    is_begun = true;\n}}\n\n"
        f"void *{plan.name}_state() noexcept {{\n"
        f"    if (!is_begun) {{\n        {plan.name}_reset();\n    }}\n    return {name};\n}}\n\n"
    )


def constants(plan: Plan) -> str:
    """Weights, biases, tables: everything that stays in flash."""
    streams = _streams(plan)
    memories = ("", *sorted(set(plan.constants_in.values())))
    parts = [
        f"{BANNER}#include <cstdint>\n\n",
        *(['#include "mcu/kernels/ethos_u.h"\n\n'] if streams else []),
        *(
            f'#ifndef {macro}\n#define {macro} "{section}"\n#endif\n\n'
            for memory in memories
            for macro in [_constants_macro(plan, memory)]
            for section in [constants_section(plan.name, memory or plan.first_memories[1])]
        ),
        f"namespace {plan.name}::constants {{\n\n",
    ]
    for tensor in _used_constants(plan):
        macro = _constants_macro(plan, plan.constants_in.get(tensor.id, ""))
        section = f'__attribute__((section({macro} ".{_constant_name(tensor)}")))'
        parts.append(
            f"// {tensor.name}: {list(tensor.shape)}\n"
            f"extern const {_element(tensor)} {_constant_name(tensor)}[{_space(tensor, streams)}];\n"
            f"alignas({ALIGNMENT}) {section} const {_element(tensor)} {_constant_name(tensor)}"
            f"[{_space(tensor, streams)}] = {{\n"
        )
        if tensor.id in streams:
            header = ", ".join(map(str, driver_header(*streams[tensor.id], tensor.nbytes)))
            parts.append(f"#ifdef MCU_ETHOSU_PAYLOAD\n    {header},\n#endif\n")
        parts += _literal_lines(tensor)
        parts.append("};\n\n")
    parts.append(f"}}  // namespace {plan.name}::constants\n")
    return "".join(parts)


def _constants_macro(plan: Plan, memory: str) -> str:
    """What an application may define to name another section for the constants of a memory."""
    return "_".join(part for part in (plan.name, "constants", memory, "section") if part).upper()


def arena(plan: Plan, fast: int | None = None) -> str:
    """The arena, in a file of its own so that an application can bring another in its place.

    With it the NPU's fast scratch memory, where that lies apart: `fast` bytes, or what the plan needs.
    """
    fast = plan.fast_size if fast is None else fast
    first = plan.first_memories[0]
    own = memory(f"{plan.name}_arena", arena_section(plan.name, first), arena_size(plan))
    parts = [f'{BANNER}// {_peak_comment(plan)}\nextern "C" {{\n', own]
    for name, size in plan.arena.elsewhere.items():
        parts.append(memory(f"{plan.name}_arena_{name}", arena_section(plan.name, name), size))
    if fast:
        parts.append(memory(f"{plan.name}_fast", fast_section(plan.name), fast))
    if (image := by_rows(plan)) is not None:
        parts.append("// Not in an image that calls neither run() nor input().\n")
        parts.append(memory(f"{plan.name}_image", arena_section(f"{plan.name}_image", first), image.nbytes))
    return "".join((*parts, "}\n"))


def memory(name: str, section: str, size: int) -> str:
    """The array `name` in RAM, in `section` unless <NAME>_SECTION names another one."""
    array, macro = f"unsigned char {name}[{size}]", f"{name.upper()}_SECTION"
    return (
        f'#ifndef {macro}\n#define {macro} "{section}"\n#endif\n'
        f"extern {array};\nalignas({ALIGNMENT}) __attribute__((section({macro}))) {array};\n"
    )


def _peak_comment(plan: Plan) -> str:
    if not plan.steps:
        return "Inputs and outputs only."
    step = plan.steps[plan.arena.peak_step]
    return f"{plan.arena.lower_bound} bytes are live at {step.operator}, step {plan.arena.peak_step}."


def _port_table(plan: Plan, kind: str, ids: tuple[int, ...]) -> str:
    lines = [f"void *{plan.name}_{kind}_at(size_t index, size_t *bytes) noexcept {{\n    switch (index) {{\n"]
    for index, id in enumerate(ids):
        lines.append(
            f"        case {index}:\n            *bytes = {plan.tensors[id].nbytes};\n"
            f"            return {_pointer(plan, id)};\n"
        )
    lines.append("        default:\n            *bytes = 0;\n            return nullptr;\n    }\n}\n\n")
    return "".join(lines)


def _used_constants(plan: Plan) -> list[Tensor]:
    ids = {plan.owner(a).id for step in plan.steps for a in step.arguments if a is not None}
    return [plan.tensors[id] for id in sorted(ids) if plan.tensors[id].is_constant]


def _streams(plan: Plan) -> dict[int, tuple[int, int]]:
    """CONFIG and ID of the NPU that a constant is the command stream for, by the constant's number."""
    calls = (step.call for step in plan.steps if isinstance(step.call, EthosU))
    return {call.commands: (call.params.configuration, call.params.id) for call in calls}


def _space(tensor: Tensor, streams: Mapping[int, object]) -> str:
    """Elements of a constant: before a command stream there may be a header."""
    return ("mcu::kernels::kPayloadHeader + " if tensor.id in streams else "") + str(_length(tensor))


def _constant_name(tensor: Tensor) -> str:
    return f"c{tensor.id}"


def _element(tensor: Tensor) -> str:
    return tensor.dtype.c_name


def _length(tensor: Tensor) -> int:
    # C++ has no arrays of length 0.
    return max(tensor.elements, 1)


def _pointer(plan: Plan, id: int | None, further: int = 0) -> str:
    if id is None:
        return "nullptr"
    tensor, owner = plan.tensors[id], plan.owner(id)
    if owner.is_constant:
        return _constant_pointer(plan, tensor, owner)
    if owner.fast:
        return f"{plan.name}_fast"
    if owner.state is not None:
        return f"reinterpret_cast<{tensor.dtype.c_name}*>({plan.name}_state_bytes + {plan.offset(id)})"
    turns = f" + {further} * turn" if further else ""
    memory = f"{plan.name}_image" if owner.image else plan.arena_name(id)
    return f"reinterpret_cast<{tensor.dtype.c_name}*>({memory} + {plan.offset(id)}{turns})"


def _constant_pointer(plan: Plan, tensor: Tensor, owner: Tensor) -> str:
    offset, root = 0, tensor
    while root.alias_of is not None:
        offset, root = offset + root.alias_offset, plan.tensors[root.alias_of]
    if tensor.dtype is owner.dtype:
        elements = offset // owner.dtype.size
        return f"constants::{_constant_name(owner)}" + (f" + {elements}" if elements else "")
    bytes_of = f"reinterpret_cast<const unsigned char*>(constants::{_constant_name(owner)}) + {offset}"
    return f"reinterpret_cast<const {tensor.dtype.c_name}*>({bytes_of})"


def _jobs(plan: Plan) -> dict[int, str]:
    """The arguments of the NPU's kernel, by step."""
    return {
        index: ", ".join((name, *_npu_pointers([_pointer(plan, id) for id in step.arguments])))
        for index, (step, name) in enumerate(zip(plan.steps, _parameter_names(plan), strict=True))
        if isinstance(step.call, EthosU)
    }


def _npu_pointers(pointers: list[str]) -> list[str]:
    """The operands of a job: its command stream begins behind its header."""
    return [f"{pointers[0]} + kernels::kPayloadHeader", *pointers[1:]]


def _call(plan: Plan, index: int, step: Step, name: str, further: Sequence[int] = ()) -> str:
    """The call of a step; `further` says by how much its pointers into the arena grow with each turn."""
    growth = iter(further)
    pointers = [
        _pointer(plan, id, next(growth, 0) if id is not None and _is_in_arena(plan, id) else 0)
        for id in step.arguments
    ]
    if isinstance(step.call, EthosU):
        pointers = _npu_pointers(pointers)
    if isinstance(step.call, UserFunction):
        call = f"::{step.kernel}({user_calls.arguments(name, step.call.user, pointers)})"
    else:
        arguments = [name] * bool(step.params)
        arguments += [f"kernels::{step.core.scope}::{step.core.name}"] if step.core else []
        call = f"kernels::{step.kernel}({', '.join(arguments + pointers)})"
    where = "".join(f", {part}" for part in (step.name, step.layer) if part)
    return f"    // {index}: {step.operator}{where}\n    {call};\n"


def parameters(name: str, params: Struct) -> str:
    """The parameter struct of a kernel as a constant `name`."""
    members = "".join(f"    .{name} = {_value(value)},\n" for name, value in params.members.items())
    return f"constexpr kernels::{params.type} {name} = {{\n{members}}};\n"


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # The most negative int has no literal of its own.
        return f"({value + 1} - 1)" if value in (-(1 << 31), -(1 << 63)) else str(value)
    if isinstance(value, float):
        return float_literal(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f".{name} = {_value(item)}" for name, item in value.items()) + "}"
    return "{" + ", ".join(_value(item) for item in value) + "}"


def _literal_lines(tensor: Tensor) -> Iterator[str]:
    assert tensor.data is not None
    values = np.frombuffer(tensor.data, dtype=tensor.dtype.numpy_name).tolist() or [0]
    words = [_value(value) for value in values]
    for first in range(0, len(words), _VALUES_PER_LINE):
        yield "    " + ", ".join(words[first : first + _VALUES_PER_LINE]) + ",\n"
