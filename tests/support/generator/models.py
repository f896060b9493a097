"""Draw random models, and write each as a model file that anybody can give to the command."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from tests.support.generator.operators import TEMPLATES, Draft, Shape, Template
from tests.support.generator.rare import RARE
from tests.support.generator.state import MODULES, STATE, text_of

_NAMES = {"torch": torch, "nn": nn, "F": F, **MODULES}
RARE_FIRST = 5000  # Models from this number on have one of the rarer operators,
STATE_FIRST = 7000  # from this one on something that they keep from call to call,
PRECISE_FIRST = 8000  # and from this one on layers in float, with activations of 16 or weights of 4 bits.
_SAMPLES = 3
_MOST_ELEMENTS = 2048


@dataclass(frozen=True)
class Node:
    """One call: `operator` is its template, `operands` the numbers of the values that it takes.

    `precision` is what the model file asks of its module.
    """

    operator: str
    draft: Draft
    operands: tuple[int, ...]
    precision: str = ""


@dataclass(frozen=True)
class Net:
    """A model. Values are numbered: the inputs, by shape, then the nodes in their order.

    `precision` is what the model file asks of all that no node says otherwise.
    """

    seed: int
    inputs: tuple[Shape, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    precision: str = ""

    @property
    def operators(self) -> tuple[str, ...]:
        """The templates that it is made of."""
        return tuple(node.operator for node in self.nodes)


Values = list[list[torch.Tensor]]


def draw(seed: int) -> Net:
    """Model number `seed`: three to eight calls, one of them of a template that each seed in turn has."""
    for attempt in range(200):
        dice = random.Random(f"{seed}.{attempt}")
        net = _draw(seed, dice)
        if net is not None:
            return _with_precision(net, dice) if seed >= PRECISE_FIRST else net
    raise AssertionError(f"model {seed}: nothing valid was found")


def _draw(seed: int, dice: random.Random) -> Net | None:
    wanted = _wanted(seed)
    rank = dice.choice([rank for rank in wanted.ranks if rank > 1])
    inputs = [input_shape(rank, dice)]
    if dice.random() < 0.3:
        inputs.append(inputs[0] if dice.random() < 0.6 else input_shape(dice.choice((2, 3, 4)), dice))
    values: Values = [[sample(shape, seed, k) for k in range(_SAMPLES)] for shape in inputs]
    nodes: list[Node] = []
    length = dice.randint(3, 7)
    turn = dice.randrange(length)
    for position in range(length):
        choices = [wanted] * 3 if position == turn else []
        node = _grow(values, dice, [*choices, *dice.choices(TEMPLATES, [t.weight for t in TEMPLATES], k=12)])
        if node is None:
            return None
        nodes.append(node)
    if wanted.name not in [node.operator for node in nodes]:
        return None
    if dice.random() < 0.4 and values[-1][0].dim() > 2:
        flat = values[-1][0][0].numel()
        draft = Draft("{m}({0}.flatten(1))", f"nn.Linear({flat}, {dice.choice((2, 5, 10))})")
        head = _node("head", draft, (len(values) - 1,), values)
        nodes += [head] if head else []
    used = {operand for node in nodes for operand in node.operands}
    leaves = [index for index in range(len(inputs), len(values) - 1) if index not in used]
    outputs = (*(index for index in leaves if dice.random() < 0.4), len(values) - 1)
    net = without_dead(Net(seed, tuple(inputs), tuple(nodes), outputs))
    varies = all(_varies(values[index]) for index in outputs)
    return net if varies and wanted.name in net.operators else None


def _wanted(seed: int) -> Template:
    if STATE_FIRST <= seed < PRECISE_FIRST:
        return STATE[(seed - STATE_FIRST) % len(STATE)]
    first, templates = (RARE_FIRST, RARE) if RARE_FIRST <= seed < PRECISE_FIRST else (0, TEMPLATES)
    return templates[(seed - first) % len(templates)]


def _with_precision(net: Net, dice: random.Random) -> Net:
    """All of a net in float or int16, but for a layer; or a layer of it in float, int16 or int4."""
    wide, layers = (
        dice.choice(("float", "int16")),
        [i for i, node in enumerate(net.nodes) if node.draft.module],
    )
    if not layers or dice.random() < 0.4:
        return replace(net, precision=wide)
    chosen, nodes = dice.choice(layers), list(net.nodes)
    in_four = "nn.Linear(" in nodes[chosen].draft.module
    whole = dice.choice(("", "", wide))
    own = dice.choice(
        ("int4", "int4", "int16", "float") if in_four else ("int8",) if whole else ("int16", "float")
    )
    nodes[chosen] = replace(nodes[chosen], precision=own)
    return replace(net, nodes=tuple(nodes), precision=whole)


def input_shape(rank: int, dice: random.Random) -> Shape:
    match rank:
        case 4:
            return (1, dice.choice((1, 2, 3, 4, 8)), dice.randint(3, 10), dice.randint(3, 10))
        case 3:
            return (1, dice.randint(2, 10), dice.choice((2, 3, 4, 6, 8, 12)))
        case _:
            return (1, dice.randint(3, 24))


def sample(shape: Shape, seed: int, number: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1000 * seed + number)
    return torch.rand(shape, generator=generator) * 2 - 1 + 0.1 * torch.randn(shape, generator=generator)


def _grow(values: Values, dice: random.Random, templates: Sequence[Template]) -> Node | None:
    """Append a value, and its node, of the first template that suits what there is."""
    for template in templates:
        fitting = [index for index, value in enumerate(values) if value[0].dim() in template.ranks]
        if not fitting:
            continue
        first = fitting[-1] if dice.random() < 0.7 else dice.choice(fitting)
        shape = tuple(values[first][0].shape)
        operands = [first]
        if template.operands == 2:
            others = [i for i in fitting if i != first and tuple(values[i][0].shape) == shape]
            operands.append(dice.choice(others) if others else first)
            dice.shuffle(operands)
        draft = template.draw(dice, shape)
        node = _node(template.name, draft, tuple(operands), values) if draft else None
        if node is not None:
            return node
    return None


def _node(name: str, draft: Draft, operands: tuple[int, ...], values: Values) -> Node | None:
    """The node, and its value appended, where its call is valid and gives finite numbers, not too many."""
    found = evaluate(draft, [values[index] for index in operands])
    if found is None or not 1 <= found[0].numel() <= _MOST_ELEMENTS or not 1 < found[0].dim() < 5:
        return None
    if any(not torch.isfinite(one).all() or one.abs().max() > 100 for one in found):
        return None
    values.append(found)
    return Node(name, draft, operands)


@torch.no_grad()
def evaluate(draft: Draft, operands: Sequence[Sequence[torch.Tensor]]) -> list[torch.Tensor] | None:
    """What a call gives for each sample of its operands; None where it is not valid."""
    try:
        torch.default_generator.manual_seed(0)  # `torch.manual_seed` looks for GPUs each time
        module = eval(draft.module, dict(_NAMES)).eval() if draft.module else None
        text = _call(draft, [f"v{k}" for k in range(len(operands))], "m")
        results = [
            eval(text, {**_NAMES, "m": module, **{f"v{k}": one for k, one in enumerate(row)}})
            for row in zip(*operands, strict=True)
        ]
    except (RuntimeError, ValueError, IndexError, TypeError, AssertionError):
        return None
    floats = all(isinstance(one, torch.Tensor) and one.dtype == torch.float32 for one in results)
    return results if floats else None


def _call(draft: Draft, operands: Sequence[str], module: str) -> str:
    text = draft.expression.replace("{m}", module)
    for number, name in enumerate(operands):
        text = text.replace(f"{{{number}}}", name)
    return text


def _varies(samples: Sequence[torch.Tensor]) -> bool:
    """Whether samples differ by more than a few of the 256 steps of their range."""
    stacked = torch.stack(list(samples))
    return float((stacked - stacked[0]).abs().max()) > 0.05 * float(stacked.abs().max().clamp(min=1e-3))


def without_dead(net: Net) -> Net:
    """The net without nodes and inputs that no output needs; one input stays."""
    needed, first = set(net.outputs), len(net.inputs)
    for index in range(len(net.nodes) - 1, -1, -1):
        if first + index in needed:
            needed |= set(net.nodes[index].operands)
    kept = sorted(index for index in needed)
    if not any(index < first for index in kept):
        kept = [0, *kept]
    number = {old: new for new, old in enumerate(kept)}
    nodes = [
        replace(net.nodes[old - first], operands=tuple(number[o] for o in net.nodes[old - first].operands))
        for old in kept
        if old >= first
    ]
    inputs = tuple(net.inputs[old] for old in kept if old < first)
    outputs = tuple(number[o] for o in net.outputs)
    return replace(net, inputs=inputs, nodes=tuple(nodes), outputs=outputs)


def shapes(net: Net) -> list[Shape] | None:
    """The shape of every value; None where a call is not valid."""
    values: Values = [[sample(shape, net.seed, k) for k in range(_SAMPLES)] for shape in net.inputs]
    for node in net.nodes:
        found = evaluate(node.draft, [values[index] for index in node.operands])
        if found is None or not found[0].numel() or not torch.isfinite(found[0]).all():
            return None
        values.append(found)
    return [tuple(value[0].shape) for value in values]


def source(net: Net) -> str:
    """The model file: the net, seeded weights as large as trained ones, calibration and evaluation data."""
    first = len(net.inputs)
    modules = [
        f"        self.m{first + index} = {node.draft.module}"
        for index, node in enumerate(net.nodes)
        if node.draft.module
    ]
    calls = [
        f"        v{first + index} = "
        + _call(node.draft, [f"v{o}" for o in node.operands], f"self.m{first + index}")
        for index, node in enumerate(net.nodes)
    ]
    samples = ", ".join(
        f"torch.rand({list(shape)}) * 2 - 1 + 0.1 * torch.randn({list(shape)})" for shape in net.inputs
    )
    returned = ", ".join(f"v{index}" for index in net.outputs)
    precision = {"*": net.precision} if net.precision else {}
    precision |= {
        f"m{first + index}": node.precision for index, node in enumerate(net.nodes) if node.precision
    }
    return _FILE.format(
        seed=net.seed,
        operators=", ".join(dict.fromkeys(net.operators)),
        classes=text_of([node.draft.module for node in net.nodes]),
        modules="\n".join(["        super().__init__()", *modules]),
        arguments=", ".join(f"v{index}" for index in range(first)),
        calls="\n".join([*calls, f"        return {returned}"]),
        samples=samples,
        precision=f"precision = {precision}\n" if precision else "",
    )


_FILE = '''"""Random model {seed}: {operators}."""

import torch
import torch.nn.functional as F
from torch import nn
{classes}

class Net(nn.Module):
    def __init__(self):
{modules}

    def forward(self, {arguments}):
{calls}


def sample(number):
    torch.default_generator.manual_seed({seed} * 1000 + number)
    return ({samples},)


@torch.no_grad()
def seeded():  # weights as large as trained ones, and batch norms that fit what comes in
    torch.default_generator.manual_seed({seed})
    net = Net().eval()
    for name, weight in net.named_parameters():
        low, high = (-0.2, 0.2) if "bias" in name else (0.5, 1.5)
        if weight.dim() > 1:
            nn.init.kaiming_normal_(weight, nonlinearity="linear")
        else:
            nn.init.uniform_(weight, low, high)
    for norm in [part for part in net.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]:
        seen = []
        hook = norm.register_forward_pre_hook(lambda _, x: seen.append(x[0].transpose(0, 1).flatten(1)))
        [net(*sample(number)) for number in range(100, 112)]
        hook.remove()
        if torch.cat(seen, 1).shape[1] > 1:
            norm.running_mean, norm.running_var = torch.cat(seen, 1).mean(1), torch.cat(seen, 1).var(1) + 0.01
    return net


model, example_inputs = seeded(), sample(0)
{precision}calibration = [sample(number) for number in range(100, 112)]
evaluation = [(sample(number), None) for number in (100, 101, 102, 200)]  # the last one beyond the ranges
'''
