"""State that begins far outside of what calls write: a maximum so far that begins at -1000, or at -inf.

One int8 scale would have to hold both, and what the state is compared with shares it. The operators between
such a state and its new value stay in float.
"""

from collections.abc import Sequence

from torch.fx import GraphModule

from mcu_build.frontend.accumulators import loops, name_of
from mcu_build.lower.rewrite.watch import Inputs, ranges
from mcu_build.lower.state_inputs import tied

WHY = "a state that begins far outside of what calls write: one int8 scale would hold little else"
# Of 255 values 32 would be left, and 18 dB lost.
_FAR = 8.0
_CHOICES = frozenset(f"aten::{name}" for name in ("max", "maximum", "min", "minimum", "masked_fill", "where"))


def far_beginnings(module: GraphModule, inputs: Sequence[Inputs]) -> dict[str, str]:
    """Operators of `module`, an exported program in float, that stay in float, with the reason.

    `inputs` are a few calls of calibration data, of which the first begins a sequence.
    """
    pairs = dict(tied(module.graph))
    chosen = {state: nodes for state, nodes in loops(module.graph) if _CHOICES & set(map(name_of, nodes))}
    if not chosen or not inputs:
        return {}
    written = ranges(module, {pairs[state] for state in chosen}, inputs)
    first = dict(zip(pairs, inputs[0][len(inputs[0]) - len(pairs) :], strict=True))
    kept = set()
    for state, nodes in chosen.items():
        low, high = written[pairs[state]]
        least, most = min(low, float(first[state].min())), max(high, float(first[state].max()))
        if most - least > _FAR * (high - low):
            kept |= nodes
    return {node.name: WHY for node in kept}
