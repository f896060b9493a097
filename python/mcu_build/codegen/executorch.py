"""Program → the C++ of a model that ExecuTorch's own runtime loads and runs. Pure text.

The header is that of the static runtime (codegen/model.py), so applications and the test harness stay as they
are; behind it stand the program's bytes, a table of just the operators wanted, and memory of exact size.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mcu_build.codegen import executorch_upstream as upstream
from mcu_build.codegen import executorch_weights as weights
from mcu_build.codegen import model, user_calls
from mcu_build.codegen.blob import (
    arena_section,
    constants_section,
    content_name,
    definition,
    fast_section,
    region,
)
from mcu_build.codegen.delegated import BACKEND as OUR_BACKEND
from mcu_build.codegen.delegated import state_bytes
from mcu_build.codegen.executorch_operators import ADAPTERS, ARGUMENT_KERNELS, KERNELS
from mcu_build.codegen.header import BANNER, header
from mcu_build.codegen.kernel_set import KernelSet
from mcu_build.codegen.loaded_ports import loaded_ports
from mcu_build.codegen.slot import ALIGNMENT as SLOT_ALIGNMENT
from mcu_build.codegen.slot import FIRST_SEQUENCE, Region, operators_hash, slot_file, slots_config
from mcu_build.ir.calls.outside import Delegated, UserCall
from mcu_build.ir.plan import Arena, Plan
from mcu_build.ir.program import Program, TensorValue
from mcu_build.ir.tensor import ALIGNMENT, aligned
from mcu_build.ir.weights import WeightFile
from mcu_build.npu.config import name_of
from mcu_build.npu.payload import BACKEND

# Delegates that have a back end: what its sources in firmware/executorch/backends are called.
BACKENDS = {BACKEND: "ethos_u", OUR_BACKEND: "mcu"}
_BACKEND_SOURCES = {"ethos_u": ("backends/ethos_u.cpp", "backends/vela.cpp"), "mcu": ("backends/mcu.cpp",)}


_NO_KERNELS = KernelSet(())


@dataclass(frozen=True)
class Pools:
    """Bytes for ExecuTorch's structures of a loaded method, and for temporary memory of one operator."""

    method: int
    temp: int


@dataclass(frozen=True)
class Deployment:
    """A program and what it is linked with.

    `plan` is the static runtime's for the same program: it knows inputs and outputs as an application sees
    them. `kernels` are those of our own delegates. `operators` are those that the image can run, `custom` the
    user's own among them with a call of each, `backends` the delegates. Where there are `slots`, a production
    image finds the program there instead of in itself. `weights` are files with weights that lie apart from
    the program. `upstream` are operators that ExecuTorch's own kernels serve, with the parameters of their
    schemas. `ram` are bytes that there are for memory plans at least.
    """

    plan: Plan
    program: Program
    data: bytes
    operators: tuple[str, ...]
    pools: Pools
    slots: Region | None = None
    custom: Mapping[str, UserCall] = field(default_factory=dict)
    is_host: bool = False
    weights: tuple[WeightFile, ...] = ()
    backends: tuple[str, ...] = ()
    upstream: Mapping[str, str] = field(default_factory=dict)
    ram: int = 0
    kernels: KernelSet = _NO_KERNELS

    @property
    def has_npu(self) -> bool:
        """Whether an NPU's delegates can be among the program's."""
        return BACKEND in self.backends

    @property
    def has_plans(self) -> bool:
        """Whether the program has delegates of ours."""
        return OUR_BACKEND in self.backends

    @property
    def contract(self) -> tuple[str, ...]:
        """What a program must have been made for: the operators, and our kernels."""
        return (*self.operators, *(self.kernels.numbers.lines if self.has_plans else ()))

    @property
    def arena(self) -> int:
        """Bytes for the memory plan of the program, or of a later one."""
        return max(planned_bytes(self.program), self.ram, ALIGNMENT)

    @property
    def state(self) -> int:
        """Bytes for what the model keeps from call to call."""
        return state_bytes(self.program)

    @property
    def name(self) -> str:
        """The model's name: its namespace in C++."""
        return self.plan.name


def planned_bytes(program: Program) -> int:
    """Bytes of ExecuTorch's memory plan, each buffer at an aligned place; our state lies apart."""
    return sum(aligned(size) for size in program.planned_sizes) - state_bytes(program)


def port_bytes(program: Program) -> int:
    """Bytes of the inputs and outputs that the program leaves to its caller."""
    values = [program.values[id] for id in (*program.inputs, *program.outputs)]
    free = [v for v in values if isinstance(v, TensorValue) and v.location is None and v.data is None]
    return sum(aligned(value.nbytes) for value in free)


def generate(deployment: Deployment) -> dict[str, str]:
    """The files of a model by name: <name>.h, .cpp, _program.cpp, _arena.cpp and model.cmake."""
    name = deployment.name
    arena = deployment.arena
    plan = deployment.plan.with_arena(Arena(arena, {}, 0, arena))
    includes, functions = '#include "mcu/executorch/status.h"\n', _FUNCTIONS
    if deployment.slots:
        includes, functions = f'#include "mcu/slot.h"\n{includes}', _FUNCTIONS + _SLOT_FUNCTIONS
    return {
        f"{name}.h": header(plan, f"{includes}\n", functions, has_steps=False),
        f"{name}.cpp": _source(deployment),
        f"{name}_program.cpp": _program(deployment),
        f"{name}_arena.cpp": _arena(name, arena),
        **weights.sources(name, deployment.weights),
        "model.cmake": _cmake_config(deployment),
    }


_USER_INCLUDES = '#include "mcu/executorch/arguments.h"\n#include "mcu/operator.h"\n'
_FUNCTIONS = """\
// Loads the program. Without it, the first use of an input or of run() does, and ends the firmware where that
// fails.
mcu::et::Status load();

// The most bytes that ExecuTorch's structures, and one operator's temporary memory, have taken so far.
std::size_t method_pool_used();
std::size_t temp_pool_used();

"""
_SLOT_FUNCTIONS = """\
// The program slots, for mcu::slot::Update. load() says in them what it has found.
mcu::slot::Slots& slots();

"""


def _source(deployment: Deployment) -> str:
    name, plan, pools, state = (
        deployment.name,
        deployment.plan,
        deployment.pools,
        f"{deployment.name}_state_bytes",
    )
    parts = [
        BANNER,
        f'#include "{name}.h"\n\n',
        '#include "mcu/executorch/model.h"\n#include "mcu/executorch/operators.h"\n',
        f'{deployment.slots.includes}#include "mcu/executorch/slot_loader.h"\n' if deployment.slots else "",
        '#include "mcu/executorch/weights.h"\n' if deployment.weights else "",
        *(f'#include "mcu/executorch/{BACKENDS[name]}_backend.h"\n' for name in deployment.backends),
        '#include "mcu/executorch/upstream.h"\n' if deployment.upstream else "",
        _USER_INCLUDES if deployment.custom else "",
        *(deployment.kernels.includes() if deployment.has_plans else ()),
        "\n",
        *(deployment.kernels.emitted() if deployment.has_plans else ()),
        user_calls.declarations(deployment.custom.values()),
        upstream.declarations(deployment.upstream),
        'extern "C" {\n',
        f"extern unsigned char {name}_arena[{deployment.arena}];\n",
        f"extern const unsigned char {_program_name(deployment)}[{_program_size(deployment)}];\n",
        weights.declarations(deployment.weights),
        model.memory(state, arena_section(state), deployment.state) if deployment.state else "",
        "}\n\n",
        f"namespace {name} {{\nnamespace {{\n\n",
        deployment.kernels.array() if deployment.has_plans else "",
        *(user_calls.adapter(call) for _, call in sorted(deployment.custom.items())),
        upstream.adapters(deployment.upstream),
        _kernel_table(deployment),
        weights.table(deployment.weights),
        _memory("method_pool", pools.method),
        _memory("temp_pool", pools.temp, arena_section(name) if deployment.has_npu else None),
        _memory("ports", port_bytes(deployment.program)),
        _sizes("input_sizes", (plan.tensors[id].nbytes for id in plan.inputs)),
        _sizes("output_sizes", (plan.tensors[id].nbytes for id in plan.outputs)),
        _slots(deployment),
        _backends(deployment),
        "\nconstinit mcu::et::Model model({\n"
        f'    .name = "{name}",\n    .program = {"{}" if deployment.slots else _program_name(deployment)},\n'
        f'    .method = "{deployment.program.method}",\n'
        f"    .kernels = {'kernels' if deployment.operators else '{}'},\n    .planned = {name}_arena,\n"
        "    .method_pool = method_pool,\n    .temp_pool = temp_pool,\n    .ports = ports,\n"
        "    .input_bytes = input_sizes,\n    .output_bytes = output_sizes,\n",
        f"    .state = {state},\n" if deployment.state else "",
        _BACKEND_PARTS if deployment.backends else "",
        _SLOT_PARTS if deployment.slots else "",
        weights.PART if deployment.weights else "",
        "});\n\n}  // namespace\n\n",
    ]
    load = "mcu::et::load_newest(model, program_slots)" if deployment.slots else "model.load()"
    if deployment.slots:
        parts.append("mcu::slot::Slots& slots() {\n    return program_slots;\n}\n\n")
    parts.append(
        f"mcu::et::Status load() {{\n    return {load};\n}}\n\n"
        "std::size_t method_pool_used() {\n    return model.use().method;\n}\n\n"
        "std::size_t temp_pool_used() {\n    return model.use().temp;\n}\n\n"
        f"}}  // namespace {name}\n\n"
    )
    ports = loaded_ports(plan, f"{name}::model", f"{name}::{{kind}}_count", "std::byte")
    run = f"void {name}_run() noexcept {{\n    {name}::model.run_or_stop();\n}}\n"
    return "".join((*parts, *ports, _state(deployment), run))


def _state(deployment: Deployment) -> str:
    """reset() and state(). Loading the program resets: nobody else has to clear it."""
    if not deployment.state:
        return ""
    name = deployment.name
    return (
        f"void {name}_reset() noexcept {{\n    {name}::model.reset_or_stop();\n}}\n\n"
        f"void *{name}_state() noexcept {{\n    return {name}::model.state().data();\n}}\n\n"
    )


def _kernel_table(deployment: Deployment) -> str:
    if not deployment.operators:
        return ""
    rows = "".join(
        f'    ::executorch::runtime::Kernel("{operator}", {_function(deployment, operator)}),\n'
        for operator in deployment.operators
    )
    return (
        "// Every operator that a program can call here. In flash: nothing registers, none is too many.\n"
        f"constexpr ::executorch::runtime::Kernel kernels[] = {{\n{rows}}};\n\n"
    )


def _function(deployment: Deployment, operator: str) -> str:
    if operator in deployment.custom:
        return user_calls.adapter_name(deployment.custom[operator])
    if operator in deployment.upstream:
        return upstream.adapter_name(operator)
    return f"mcu::et::{ADAPTERS[operator].function}"


def _memory(name: str, size: int, section: str | None = None) -> str:
    where = f'__attribute__((section("{section}"))) ' if section else ""
    # C++ has no arrays of length 0.
    return f"alignas({ALIGNMENT}) {where}constinit unsigned char {name}[{max(size, 1)}] = {{}};\n"


def _backends(deployment: Deployment) -> str:
    """The back ends of delegates, and the memory that they work in beside the temporary pool."""
    if not deployment.backends:
        return ""
    calls = [step.call for step in deployment.plan.steps if isinstance(step.call, Delegated)]
    fast = max((call.fast_scratch for call in calls), default=0)
    section = (fast_section if any(call.fast_apart for call in calls) else arena_section)(deployment.name)
    arguments = {BACKEND: "fast_scratch" if fast else "{}", OUR_BACKEND: "known_kernels"}
    added = "".join(
        f"    mcu::et::add_{BACKENDS[name]}({arguments[name]});\n" for name in deployment.backends
    )
    known = "constinit mcu::et::Kernels known_kernels{kernels_of_model};\n"
    return (
        (_memory("fast_scratch", fast, section) if fast else "")
        + (known if deployment.has_plans else "")
        + f"\nvoid add_backends() {{\n{added}}}\n"
    )


def _sizes(name: str, sizes: Iterable[int]) -> str:
    return f"constexpr std::size_t {name}[] = {{{', '.join(map(str, sizes))}}};\n"


_BACKEND_PARTS = "    .add_backends = add_backends,\n"
_SLOT_PARTS = "    .load = load,\n    .explain = [] { mcu::et::explain(program_slots); },\n"


def _slots(deployment: Deployment) -> str:
    if not deployment.slots:
        return ""
    schema = int.from_bytes(deployment.data[4:8], "little")
    operators = f"{operators_hash(deployment.contract):#018x}"
    made = deployment.slots.definition(_program_name(deployment), f"{schema:#010x}", operators)
    return f"\n// The schema and the operators that programs must have been made for.\n{made}"


def _program_size(deployment: Deployment) -> int:
    return deployment.slots.size if deployment.slots else len(deployment.data)


def _program_name(deployment: Deployment) -> str:
    """The program's symbol, by its content: models of one file, each a method of it, share its bytes.

    With slots it is their region.
    """
    if deployment.slots:
        return f"{deployment.name}_program_slots"
    return content_name("mcu_program", deployment.data)


def first_slot(deployment: Deployment) -> bytes:
    """What a slot holds of the program."""
    key = deployment.slots.key if deployment.slots else None
    return slot_file(deployment.data, deployment.contract, FIRST_SEQUENCE, key)


def _program(deployment: Deployment) -> str:
    name = _program_name(deployment)
    if deployment.slots:
        said = "Both program slots, as part of the image: on the host, which has no flash, and in tests."
        made = region(name, first_slot(deployment), deployment.slots.size, SLOT_ALIGNMENT, deployment.is_host)
    else:
        said = "The program as ExecuTorch's exporter wrote it."
        made = definition(name, deployment.data, ALIGNMENT, constants_section(name))
    return f"{BANNER}// {said}\n{made}"


def _arena(name: str, size: int) -> str:
    made = model.memory(f"{name}_arena", arena_section(name), size)
    return f'{BANNER}// The program\'s own memory plan.\nextern "C" {{\n{made}}}\n'


def _cmake_config(deployment: Deployment) -> str:
    name = deployment.name
    sources = (
        f"{name}.cpp",
        f"{name}_program.cpp",
        f"{name}_arena.cpp",
        *weights.sources(name, deployment.weights),
    )
    adapters = _adapters(deployment)
    kernels = "".join(
        f"set(MCU_MODEL_{adapter}_KERNELS {' '.join(KERNELS[adapter])})\n" for adapter in adapters
    )
    return (
        BANNER.replace("//", "#")
        + f"set(MCU_MODEL_NAME {name})\n"
        + "set(MCU_MODEL_RUNTIME executorch)\n"
        + f'set(MCU_MODEL_NPU "{name_of(deployment.plan.npu) or ""}")\n'
        + f"set(MCU_MODEL_SOURCES {' '.join(sources)})\n"
        + f"set(MCU_MODEL_ADAPTERS {' '.join(adapters)})\n"
        + "".join(f"list(APPEND MCU_MODEL_BACKENDS {BACKENDS[backend]})\n" for backend in deployment.backends)
        + kernels
        + f"set(MCU_MODEL_UPSTREAM {'ON' if deployment.upstream else 'OFF'})\n"
        + f"set(MCU_MODEL_KERNELS {' '.join(deployment.kernels.sources)})\n"
        + slots_config(slot_symbol(deployment), deployment.slots)
    )


def slot_symbol(deployment: Deployment) -> str:
    """`name=address`: the symbol that a production image has for its program slots, which are in flash apart.

    Empty where there are none, and for the host, whose slots are part of the image.
    """
    return (
        f"{_program_name(deployment)}={deployment.slots.address:#x}"
        if deployment.slots and not deployment.is_host
        else ""
    )


def _adapters(deployment: Deployment) -> tuple[str, ...]:
    others = {*deployment.custom, *deployment.upstream}
    return tuple(sorted({ADAPTERS[op].source for op in deployment.operators if op not in others}))


def runtime_sources(deployment: Deployment) -> tuple[str, ...]:
    """Sources below firmware/executorch that the program calls, for who does not read model.cmake.

    Whoever needs another comes before it.
    """
    backends = [source for backend in deployment.backends for source in _BACKEND_SOURCES[BACKENDS[backend]]]
    return (*(f"operators/{adapter}.cpp" for adapter in _adapters(deployment)), *backends)


def runtime_kernels(deployment: Deployment) -> tuple[str, ...]:
    """Stems of the kernel sources that these call, sorted; a back end's driver is in one of them."""
    called = {kernel for adapter in _adapters(deployment) for kernel in KERNELS[adapter]}
    drivers = {BACKENDS[BACKEND]} if deployment.has_npu else set()
    return tuple(sorted({*ARGUMENT_KERNELS, *called, *drivers, *deployment.kernels.sources}))
