"""Draw random models, and write each as a model file that anybody can give to the command."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from tests.support.generator.operators import RARE, TEMPLATES, Draft, Shape, Template

_NAMES = {"torch": torch, "nn": nn, "F": F}
RARE_FIRST = 5000  # Models from this number on have one of the rarer operators.
_SAMPLES = 3
_MOST_ELEMENTS = 2048


@dataclass(frozen=True)
class Node:
    """One call: `operator` is its template, `operands` the numbers of the values that it takes."""

    operator: str
    draft: Draft
    operands: tuple[int, ...]


@dataclass(frozen=True)
class Net:
    """A model. Values are numbered: the inputs, by shape, then the nodes in their order."""

    seed: int
    inputs: tuple[Shape, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

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
            return net
    raise AssertionError(f"model {seed}: nothing valid was found")


def _draw(seed: int, dice: random.Random) -> Net | None:
    wanted = RARE[(seed - RARE_FIRST) % len(RARE)] if seed >= RARE_FIRST else TEMPLATES[seed % len(TEMPLATES)]
    rank = dice.choice([rank for rank in wanted.ranks if rank > 1])
    inputs = [_input_shape(rank, dice)]
    if dice.random() < 0.3:
        inputs.append(inputs[0] if dice.random() < 0.6 else _input_shape(dice.choice((2, 3, 4)), dice))
    values: Values = [[_sample(shape, seed, k) for k in range(_SAMPLES)] for shape in inputs]
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


def _input_shape(rank: int, dice: random.Random) -> Shape:
    match rank:
        case 4:
            return (1, dice.choice((1, 2, 3, 4, 8)), dice.randint(3, 10), dice.randint(3, 10))
        case 3:
            return (1, dice.randint(2, 10), dice.choice((2, 3, 4, 6, 8, 12)))
        case _:
            return (1, dice.randint(3, 24))


def _sample(shape: Shape, seed: int, number: int) -> torch.Tensor:
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
    return Net(net.seed, inputs, tuple(nodes), tuple(number[o] for o in net.outputs))


def shapes(net: Net) -> list[Shape] | None:
    """The shape of every value; None where a call is not valid."""
    values: Values = [[_sample(shape, net.seed, k) for k in range(_SAMPLES)] for shape in net.inputs]
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
    return _FILE.format(
        seed=net.seed,
        operators=", ".join(dict.fromkeys(net.operators)),
        modules="\n".join(["        super().__init__()", *modules]),
        arguments=", ".join(f"v{index}" for index in range(first)),
        calls="\n".join([*calls, f"        return {returned}"]),
        samples=samples,
    )


_FILE = '''"""Random model {seed}: {operators}."""

import torch
import torch.nn.functional as F
from torch import nn


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
calibration = [sample(number) for number in range(100, 112)]
evaluation = [(sample(number), None) for number in (100, 101, 102, 200)]  # the last one beyond the ranges
'''
