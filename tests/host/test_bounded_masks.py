"""Masks of attention for an NPU: the scores keep their scale, and the float result."""

import pytest
import torch
from executorch.backends.arm.ethosu import EthosUCompileSpec
from torch import Tensor, nn
from torch.nn import functional as F

from mcu_build.frontend import quantize_npu
from mcu_build.frontend.quantize import quantize
from mcu_build.lower.rewrite.bounded_masks import bound_masks
from mcu_build.lower.rewrite.fold import fold_constants
from mcu_build.lower.rewrite.legalize import MASKED_ATTENTION_RULES, legalize
from mcu_build.lower.rewrite.watch import ranges

LATER = torch.full((6, 6), torch.finfo(torch.float32).min).triu(1)

MASKS = {
    "added": lambda a, v, counts: (a + LATER).softmax(-1) @ v,
    "filled": lambda a, v, counts: a.masked_fill(LATER < 0, -torch.inf).softmax(-1) @ v,
    "attention": lambda a, v, counts: F.scaled_dot_product_attention(a, a, v, attn_mask=LATER),
    "causal": lambda a, v, counts: F.scaled_dot_product_attention(a, a, v, is_causal=True),
    "an input of integers": lambda a, v, counts: (a + (1 - counts.int().float()) * -10000).softmax(-1) @ v,
    "an input of floats": lambda a, v, counts: (a + (1 - counts) * -10000.0).softmax(-1) @ v,
    "both": lambda a, v, counts: (a + LATER).masked_fill(counts == 0, -1e9).softmax(-1) @ v,
}


class Masked(nn.Module):
    """Attention over six tokens, of which an input says which count: the first does always."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.scores, self.values = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        return MASKS[self.kind](self.scores(x), self.values(x), counts)


def calls(count: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(1, 7, (count,), generator=generator)
    ones = [(torch.arange(6) < length).float().reshape(1, 1, 6) for length in lengths]
    return [(torch.randn(1, 6, 6, generator=generator) * 3, one) for one in ones]


def widest(module: torch.fx.GraphModule) -> float:
    """The largest absolute value of a float operator's result."""
    watched = {node for node in module.graph.nodes if node.op == "call_function"}
    return max(max(-low, high) for low, high in ranges(module, watched, calls(8)).values())


def exported(kind: str) -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    model = Masked(kind).eval()
    return fold_constants(torch.export.export(model, calls(1)[0], strict=False))


@pytest.mark.parametrize("kind", MASKS)
def test_a_bound_in_place_of_a_mask_leaves_the_float_result(kind):
    program = exported(kind)
    module = program.module(check_guards=False)
    legalize(module, rules=MASKED_ATTENTION_RULES)
    assert widest(module) >= 1e4  # what would take the scale
    bound_masks(module, calls(8), margin=8)
    assert widest(module) < 1000
    for inputs in calls(8):
        # exp(-8) of six entries at most is left
        torch.testing.assert_close(module(*inputs), program.module()(*inputs), atol=0.01, rtol=0)


def test_scores_of_a_mask_that_is_kept_lose_their_scale(monkeypatch):
    def quality() -> float:
        spec = EthosUCompileSpec("ethos-u55-128")
        quantizer = quantize_npu.SplitQuantizer(spec, {}, 8, calls=calls(8))
        program, right = exported("added"), exported("added").module()
        module = quantize(program, calls(8), quantizer).module()
        pairs = [(right(*inputs), module(*inputs)) for inputs in calls(8)]
        wanted, found = (torch.stack(side) for side in zip(*pairs, strict=True))
        return float(10 * torch.log10(wanted.square().sum() / (wanted - found).square().sum()))

    with torch.no_grad():
        assert quality() > 30
        monkeypatch.setattr(quantize_npu, "bound_masks", lambda *_, **__: None)
        assert quality() < 15
