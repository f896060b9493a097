"""push_row(): a model's input row by row, and the steps that each row makes possible. Pure text."""

from mcu_build.codegen.header import by_rows
from mcu_build.ir.calls.dma import DmaStart
from mcu_build.ir.calls.moves import Take
from mcu_build.ir.plan import Plan

# The function of the steps that read no image.
STEP = "step_on_rows"
# Of rows that nothing reads.
_NOWHERE = "0xFFFFFFFFU"

_FUNCTIONS = """
namespace {{

// Rows that are waited for: so many, to the arena from a byte on, and then the steps to before `end`.
struct Wait {{
    uint32_t to;
    uint32_t rows;
    uint32_t begin;
    uint32_t end;
}};
constexpr Wait waits[] = {{
{waits}}};
constexpr size_t wait_count = sizeof(waits) / sizeof(*waits);
size_t waiting = 0;
size_t arrived = 0;

}}  // namespace

bool {name}_push_row(const {type} *row) noexcept {{
    const Wait &now = waits[waiting];
    if (now.to != {nowhere}) {{
        std::memcpy({arena} + now.to + arrived * {nbytes}, row, {nbytes});
    }}
    if (++arrived < now.rows) {{
        return false;
    }}
    arrived = 0;
    for (size_t index = now.begin; index < now.end; ++index) {{
        {step}(index);
#ifdef {macro}_ON_STEP
        {name}_on_step(index);
#endif
    }}
    waiting = (waiting + 1) % wait_count;
    return waiting == 0;
}}

void {name}_first_row() noexcept {{
{settle}    waiting = 0;
    arrived = 0;
}}
"""


def functions(plan: Plan) -> str:
    """The C++ of push_row() and first_row(); nothing where the input does not come by rows."""
    image = by_rows(plan)
    if image is None:
        return ""
    row = image.nbytes // image.shape[1]
    takes = [(index, step.call) for index, step in enumerate(plan.steps) if isinstance(step.call, Take)]
    ends = [*(index for index, _ in takes[1:]), len(plan.steps)]
    waits, left = [], image.shape[1]
    for (index, call), end in zip(takes, ends, strict=True):
        rows = call.params.bytes // row
        waits.append(f"    {{{plan.offset(call.output)}, {rows}, {index + 1}, {end}}},\n")
        left -= rows
    if left:
        waits.append(f"    {{{_NOWHERE}, {left}, 0, 0}},\n")
    return _FUNCTIONS.format(
        name=plan.name,
        arena=plan.arena_name(takes[0][1].output),
        step=STEP,
        macro=plan.name.upper(),
        type=image.dtype.c_name,
        nbytes=row,
        nowhere=_NOWHERE,
        settle="    mcu_dma_wait();\n" if any(isinstance(step.call, DmaStart) for step in plan.steps) else "",
        waits="".join(waits),
    )
