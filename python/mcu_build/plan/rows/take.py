"""An input that the application brings row by row."""

from dataclasses import replace

from mcu_build.errors import Exit, McuError
from mcu_build.ir.calls.moves import Take
from mcu_build.ir.calls.rows import height_of
from mcu_build.ir.plan import Plan, Step
from mcu_build.ir.ports import port_quantization

# Of an image in memory: rows, then columns, then channels.
_CHANNELS_LAST = (0, 2, 3, 1)


def comes_by_rows(plan: Plan) -> bool:
    """Whether the application can bring the plan's input row by row: one image whose rows lie together."""
    source = plan.tensors[plan.inputs[0]]
    together = source.dim_order == _CHANNELS_LAST or 1 in source.model_shape[1:2]
    is_image = len(source.shape) == 4 and height_of(source) is not None and source.shape[1] >= 2
    return len(plan.inputs) == 1 and is_image and together


def take_rows(plan: Plan) -> Plan:
    """The plan with a step in front that takes its input, which lies in memory of its own then.

    McuError where the model has no input whose rows lie together.
    """
    source = plan.tensors[plan.inputs[0]]
    if not comes_by_rows(plan):
        raise McuError(
            f"{plan.name}: --input-by rows: the input is not one image whose rows lie together in memory",
            "One input [1, channels, height, width] that a convolution reads is. Leave --input-by out.",
            Exit.INPUT,
        )
    id = max(plan.tensors) + 1
    taken = replace(source, id=id, name=f"{source.name}_taken", data=None)
    image = replace(source, image=True, quantization=port_quantization(plan, source.id))
    aliases = {
        tensor.id: replace(tensor, alias_of=id)
        for tensor in plan.tensors.values()
        if tensor.alias_of == source.id
    }
    take = Step.of("take", "", Take.of(source, taken))
    steps = (take, *(step.renamed({source.id: id}) for step in plan.steps))
    return replace(plan, tensors={**plan.tensors, **aliases, source.id: image, id: taken}, steps=steps)
