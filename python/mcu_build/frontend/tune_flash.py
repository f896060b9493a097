"""Which layers have weights of 4 bits, so that a model fits the flash of a board.

Linear layers and convolutions of 1x1 are put in an order: those first that lose least at the model's outputs
for each byte that they save. As few of that order as are needed are taken. What a layer loses is measured
alone, in the float program; what is chosen is quantized and built, so that the figures of each step are those
of an image. Like tune.py, the search has no randomness and goes on where it was interrupted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcu_build.cache import Cache
from mcu_build.errors import McuError
from mcu_build.frontend import precision
from mcu_build.frontend.image_price import Board
from mcu_build.frontend.tune import Aim, Bench, Trial, Tuned, bench_of, kept

if TYPE_CHECKING:
    import torch
    from torch.fx import GraphModule, Node

# Inputs over which a layer's loss is measured, and layers that are measured: the largest.
_INPUTS = 4
_MOST_MEASURED = 64


@dataclass(frozen=True)
class Candidate:
    """A layer: bytes that weights of 4 bits save, and the noise at the outputs, as a share of the signal."""

    name: str
    saved: int
    noise: float


def tune_flash(
    file: Path,
    most: int,
    aim: Aim,
    board: Board,
    step: Callable[[str], None],
    cache: Cache,
    max_ram: int | None = None,
) -> Tuned:
    """Search for `file`, a model.py, whose image may have `most` bytes. McuError as from `tune`.

    Where `aim` says nothing, any accuracy will do. What does not even link for the board is too large; where
    that is so with all layers, the error of its build is raised.
    """
    bench = bench_of(file, aim)
    order = in_order(_candidates(bench))
    known: dict[int, Trial] = {}
    failed: dict[int, McuError] = {}

    def attempt(count: int) -> Trial:
        if count not in known:
            step(f"trial {len(known) + 1}: weights of 4 bits in {count} of {len(order)} layers")
            chosen = [layer.name for layer in order[:count]]
            trial, _ = kept(cache, bench, chosen, precision.INT4)
            known[count] = trial
            try:
                known[count] = trial.at(board.kept(cache, bench.key, _wishes(bench, trial)))
            except McuError as error:
                failed[count] = error
        return known[count]

    def flash(count: int) -> float:
        size = attempt(count).flash
        return inf if size is None else size

    chosen = search_flash(order, flash, most)
    if chosen in failed:
        raise failed[chosen]
    trial = attempt(chosen)
    fits = flash(chosen) <= most and (max_ram is None or (trial.ram or 0) <= max_ram)
    steps = tuple(known[count] for count in sorted(known))
    return Tuned(
        steps,
        trial,
        _wishes(bench, trial),
        bench.float_accuracy,
        fits and aim.met(trial, bench.float_accuracy),
        len(known),
    )


def in_order(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those first that bring least noise for each byte saved."""
    return sorted(candidates, key=lambda layer: (layer.noise / layer.saved, -layer.saved, layer.name))


def search_flash(order: Sequence[Candidate], flash: Callable[[int], float], most: int) -> int:
    """How many of the first layers are needed for `most` bytes; all where that is not enough.

    `flash` of a number of layers falls; it is infinite where nothing can be built. Steps are where a straight
    line between what is known leads to, and halves, in turns: about two for each doubling of the layers.
    """
    low, high = 0, len(order)
    if not order or flash(low) <= most:
        return 0
    if flash(high) > most:
        return high
    saved = np.concatenate([[0], np.cumsum([layer.saved for layer in order])])
    straight = True
    while high - low > 1:
        middle = (low + high) // 2
        if straight and flash(low) < inf:
            share = (flash(low) - most) / max(flash(low) - flash(high), 1)
            wanted = saved[low] + share * (saved[high] - saved[low])
            middle = min(max(int(np.searchsorted(saved, wanted)), low + 1), high - 1)
        straight = not straight
        low, high = (low, middle) if flash(middle) <= most else (middle, high)
    return high


def _wishes(bench: Bench, trial: Trial) -> Mapping[str, str]:
    return {**bench.wishes, **dict.fromkeys(trial.in_int4, precision.INT4)}


def _candidates(bench: Bench) -> list[Candidate]:
    """The layers that weights of 4 bits are for. Of many, the largest are measured; all others come last."""
    layers = _layers(bench)
    saved = {name: _saved(nodes) for name, nodes in layers.items()}
    by_size = sorted((name for name in layers if saved[name] > 0), key=lambda name: (-saved[name], name))
    measured = by_size[:_MOST_MEASURED]
    noises = _noises(bench, {name: layers[name] for name in measured})
    return [Candidate(name, saved[name], noises.get(name, inf)) for name in by_size]


def _layers(bench: Bench) -> "Mapping[str, list[Node]]":
    """Layers by name whose weights may have 4 bits, and that `precision` of the file leaves in int8."""
    from mcu_build.lower.annotate.int4 import may_have_form
    from mcu_build.lower.assigned import is_int4, is_int16, why_in_float

    layers: dict[str, list[Node]] = {}
    settled = set()
    for node, name in bench.names.items():
        if is_int4(node) or is_int16(node) or why_in_float(node):
            settled.add(name)
        elif may_have_form(node) and node.args[1].name in _held(bench):
            layers.setdefault(name, []).append(node)
    return {name: nodes for name, nodes in layers.items() if name not in settled}


def _held(bench: Bench) -> Mapping[str, str]:
    """What holds each weight of the program, by the name of the weight's node."""
    signature = bench.captured.exported.graph_signature
    return {**signature.inputs_to_buffers, **signature.inputs_to_parameters}


def _saved(nodes: "Sequence[Node]") -> int:
    """Bytes of the weights of layers in 8 bits, less those in 4."""
    from mcu_build.arithmetic.int4 import GROUP, MOST_INPUTS, row_bytes
    from mcu_build.lower.builder import shape

    total = 0
    for outputs, inputs, *_ in {node.args[1].name: shape(node.args[1]) for node in nodes}.values():
        if 1 < inputs <= MOST_INPUTS:
            factors = inputs // GROUP if inputs > GROUP and inputs % GROUP == 0 else 0
            total += outputs * (inputs - row_bytes(inputs) - factors)
    return total


def _noises(bench: Bench, layers: "Mapping[str, Sequence[Node]]") -> dict[str, float]:
    """What the outputs of the float program lose when one layer's weights are rounded: noise to signal."""
    import torch

    module = bench.captured.exported.module(check_guards=False)
    inputs = bench.examples(_INPUTS)
    held = _held(bench)
    with torch.no_grad():
        wanted = _outputs(module, inputs)
        noises = {}
        for name, nodes in layers.items():
            weights = [_attribute(module, held[node.args[1].name]) for node in nodes]
            before = [weight.clone() for weight in weights]
            for tensor in weights:
                tensor.copy_(_rounded(tensor))
            noises[name] = _noise(wanted, _outputs(module, inputs))
            for tensor, old in zip(weights, before, strict=True):
                tensor.copy_(old)
    return noises


def _attribute(module: "GraphModule", path: str) -> "torch.Tensor":
    owner, _, name = path.rpartition(".")
    tensor: torch.Tensor = getattr(module.get_submodule(owner), name)
    return tensor


def _rounded(weight: "torch.Tensor") -> "torch.Tensor":
    import torch

    from mcu_build.arithmetic.int4 import GROUP, integers_of, scales_of

    rows = weight.reshape(len(weight), -1).to(torch.float64).numpy()
    scales = scales_of(rows, rows.shape[1] > GROUP and rows.shape[1] % GROUP == 0)
    parts = integers_of(rows, scales).reshape(*scales.shape, -1) * scales[..., None]
    return torch.from_numpy(parts).reshape(weight.shape).to(weight.dtype)


def _outputs(module: "GraphModule", inputs: Sequence[Any]) -> "list[list[torch.Tensor]]":
    import torch

    def floats(result: Any) -> "list[torch.Tensor]":
        leaves = torch.utils._pytree.tree_leaves(module(*result))
        return [leaf.to(torch.float64) for leaf in leaves if leaf.is_floating_point()]

    return [floats(item) for item in inputs]


def _noise(wanted: "Sequence[Sequence[torch.Tensor]]", actual: "Sequence[Sequence[torch.Tensor]]") -> float:
    """Of the worst output: the squares of what differs over the squares of what it should be."""
    shares = []
    for right, made in zip(zip(*wanted, strict=True), zip(*actual, strict=True), strict=True):
        signal = sum(float(tensor.square().sum()) for tensor in right)
        noise = sum(float((tensor - other).square().sum()) for tensor, other in zip(right, made, strict=True))
        shares.append(noise / signal if signal else 0.0)
    return max(shares, default=0.0)
