"""start() and resume(): an inference that returns while the NPU works. Pure text."""

from collections.abc import Mapping

from mcu_build.ir.plan import Plan

_HEADER = """\
/* The same beside other work. Both compute up to the next job of the NPU and return while it works: true.
   Its interrupt then calls done(context), unless done is null, and resume() goes on, waiting if it has to.
   False: the outputs are there. Until then no other function of the model may be called. */
bool {name}_start(void (*done)(void *context), void *context) MCU_NOTHROW;
bool {name}_resume(void) MCU_NOTHROW;

"""
_WRAPPERS = """\
inline bool start(void (*done)(void *context) = nullptr, void *context = nullptr) noexcept {{
    return {name}_start(done, context);
}}
inline bool resume() noexcept {{
    return {name}_resume();
}}
"""
_SOURCE = """\
namespace {{

struct Started {{
    size_t step;
    void (*done)(void *context);
    void *context;
}};
Started started = {{{count}, nullptr, nullptr}};

bool go_on() noexcept {{
    for (; started.step < {count}; ++started.step) {{
        switch (started.step) {{
{cases}            default:
                {name}_step(started.step);
        }}
    }}
    return false;
}}

}}  // namespace

bool {name}_start(void (*done)(void *context), void *context) noexcept {{
    started = {{0, done, context}};
    return go_on();
}}

bool {name}_resume() noexcept {{
    if (started.step == {count}) {{
        return false;
    }}
    kernels::finish_ethos_u();
    ++started.step;
    return go_on();
}}

"""


def declarations(plan: Plan) -> str:
    """What the header has of them in C; nothing without an NPU."""
    return _HEADER.format(name=plan.name) if plan.npu is not None else ""


def wrappers(plan: Plan) -> str:
    """What the header has of them in C++."""
    return _WRAPPERS.format(name=plan.name) if plan.npu is not None else ""


def functions(plan: Plan, jobs: Mapping[int, str]) -> str:
    """The two functions. `jobs` are the arguments of the NPU's kernel, by step; without any, nothing."""
    if not jobs:
        return ""
    cases = "".join(
        f"            case {index}:\n"
        f"                kernels::start_ethos_u({arguments}, started.done, started.context);\n"
        "                return true;\n"
        for index, arguments in jobs.items()
    )
    return _SOURCE.format(name=plan.name, count=len(plan.steps), cases=cases)
