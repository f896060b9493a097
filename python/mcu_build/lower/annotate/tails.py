"""What hardswish and hardsigmoid make the same of takes no part in the scale of what they read, on an NPU.

For the core a clamp before them sees to it (rewrite/legalize.py), which is fused with the layer before. The
quantizers of an NPU fuse no such clamp: here the observer of the tensor between the two looks no further.
"""

from dataclasses import replace
from typing import Any

import torch
from torch.fx import Graph, Node
from torchao.quantization.pt2e.observer import HistogramObserver
from torchao.quantization.pt2e.quantizer import QuantizationSpec
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from mcu_build.lower.rewrite.legalize import BETWEEN


class ObserverBetween(HistogramObserver):  # type: ignore[misc]
    """A histogram of values up to two ends, beyond which all are the same; None is no end."""

    def __init__(self, low: float, high: float | None = None, **given: Any) -> None:
        super().__init__(**given)
        self._ends = low, high

    def forward(self, x_orig: torch.Tensor) -> torch.Tensor:
        """Note the values; they pass unchanged."""
        super().forward(x_orig.detach().clamp(*self._ends))
        return x_orig


def cut_tails(graph: Graph) -> None:
    """Give tensors that only such a function reads, and that one layer makes, an observer of their own."""
    for node in graph.nodes:
        source = node.args[0] if node.target in BETWEEN else None
        if not isinstance(source, Node) or len(source.users) != 1:
            continue
        made, read = (operator.meta.get(Q_ANNOTATION_KEY) for operator in (source, node))
        spec = made.output_qspec if made is not None else None
        if read is None or not isinstance(spec, QuantizationSpec) or spec.dtype is not torch.int8:
            continue
        given = getattr(getattr(spec.observer_or_fake_quant_ctr, "p", None), "keywords", {})
        own = ObserverBetween.with_args(
            **given, **dict(zip(("low", "high"), BETWEEN[node.target], strict=False))
        )
        made.output_qspec = read.input_qspec_map[source] = replace(spec, observer_or_fake_quant_ctr=own)
