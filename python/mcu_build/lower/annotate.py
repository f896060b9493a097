"""What becomes int8: executorch's CortexMQuantizer, and what it leaves out."""

from executorch.backends.cortex_m.quantizer.quantizer import CortexMQuantizer
from torch.fx import GraphModule

from mcu_build.lower.layout import lay_out


class Quantizer(CortexMQuantizer):  # type: ignore[misc]
    """CortexMQuantizer over a graph that has been brought into the form that it knows."""

    def transform_for_annotation(self, model: GraphModule) -> GraphModule:
        """Rewrite the float graph before it is annotated."""
        model = super().transform_for_annotation(model)
        lay_out(model)
        return model


def make_quantizer() -> Quantizer:
    """The quantizer of `quantize`."""
    return Quantizer()
