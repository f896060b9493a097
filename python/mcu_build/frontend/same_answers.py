"""Whether an exported program answers as the model does, for inputs that it was not exported with.

torch.export writes down one call. What a call leaves in a global, a closure or a default argument, or reads
out of a tensor with Python's own means, is in the program as it was then.
"""

from collections.abc import Sequence

import torch
from torch._subclasses import FakeTensor
from torch.export import ExportedProgram

from mcu_build.errors import McuError
from mcu_build.frontend.capture import names_of_outputs
from mcu_build.frontend.first_call import called
from mcu_build.frontend.model_file import Model
from mcu_build.frontend.nested import leaves
from mcu_build.layer_names import output_name
from mcu_build.lower.layout import channels_last
from mcu_build.lower.upstream.quiet import quiet

# The share of a difference in an output, by its root mean square, that no order of additions explains.
_MOST = 0.1
_HINT = (
    "Firmware has what one call computes. What the model keeps between calls is a buffer: "
    "self.register_buffer(name, initial_value), written with `copy_`; what it computes, torch has to compute."
)


def check_answers(model: Model, exported: ExportedProgram, inputs: Sequence[torch.Tensor]) -> None:
    """McuError where `exported`, a program without state, gives something else than the model for `inputs`.

    Inputs that the model cannot take say nothing, but the example inputs it could take before.
    """
    try:
        expected = called(model, inputs)
    except McuError:
        called(model)
        return
    with quiet(), torch.no_grad():
        answers = exported.module(check_guards=False)(*(channels_last(tensor) for tensor in inputs))
    results, names = [leaf for _, leaf in leaves(expected) if leaf is not None], names_of_outputs(exported)
    for index, (want, (_, have)) in enumerate(zip(results, leaves(answers), strict=False)):
        if isinstance(want, torch.Tensor) and _differ(want, have):
            raise McuError(
                f"{model.path}: model: {output_name(index, names)} of the exported program is not what the "
                "model gives for other inputs than example_inputs: a call depends on those before, or on "
                "numbers that Python has read out of tensors",
                _HINT,
            )


def _differ(want: torch.Tensor, have: torch.Tensor) -> bool:
    """Of integers nothing is said. A tensor of the exporter's own is one that its call has left behind."""
    if isinstance(want, FakeTensor):
        return True
    if want.shape != have.shape or not want.is_floating_point():
        return False
    difference, size = (float(values.square().mean()) for values in (have - want, want))
    return difference > size * _MOST**2
