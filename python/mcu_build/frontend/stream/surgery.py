"""The graph of a step, made in place from that of a recording: windows, delays and recurrent states."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from mcu_build.errors import McuError
from mcu_build.frontend.stream.timeline import Reading, Rewrite, Time, Timeline
from mcu_build.lower.builder import Builder, aten, fake_mode, in_order_of, run_fake, shape
from mcu_build.lower.integer.int8_forms import DEQUANTIZE, QUANTIZE, note_quantized
from mcu_build.lower.layout import is_channels_last, needs_channels_last
from mcu_build.lower.rewrite.recurrent import RecurrentCall
from mcu_build.lower.rewrite.recurrent_shapes import LAYERS
from mcu_build.lower.state_inputs import PREFIX

# Scale and zero point of what is 0 or 1.
_FLAG = (1.0, 0, -128, 127, torch.int8)


@dataclass
class State:
    """A state: its input, what it holds before the first step, and its new value."""

    placeholder: Node
    initial: torch.Tensor
    result: Node


class Surgeon:
    """Rewrites the operators of a program one after the other, in the order of the graph.

    `values` are those of tensors of the whole program for two examples or more.
    """

    def __init__(
        self,
        program: ExportedProgram,
        times: dict[Node, Time],
        values: Sequence[dict[str, torch.Tensor]],
    ) -> None:
        self._graph = program.graph
        self._module = program.graph_module
        self._mode = fake_mode(program.graph_module)
        self._times = times
        self._values = values
        self._last = [node for node in program.graph.nodes if node.op == "placeholder"][-1]
        # Tensors that lie channels-last in the whole program.
        self._images = {n.name: is_channels_last(n.meta.get("val")) for n in program.graph.nodes}
        self._windows: dict[Any, Node] = {}
        self._carried: list[_Carried] = []
        # Whether a step came before this one.
        self._begun: Node | None = None
        self.state: list[State] = []

    def shorten(self, node: Node) -> None:
        """An input that is streamed: a step of it."""
        time = self._times[node]
        assert isinstance(time, Timeline)
        with self._mode:
            whole = node.meta["val"]
            node.meta["val"] = _like(whole, time.axis, time.hop)

    def apply(self, node: Node, made: Rewrite) -> None:
        """An operator."""
        if made.neutral is not None:
            self._accumulate(node, made)
        elif isinstance(made.out, Timeline) or made.readings:
            build = Builder(self._module, self._mode, node)
            node.args, node.kwargs = made.args, dict(made.kwargs)
            node.target = made.target or node.target
            for operand in list(node.all_input_nodes):
                new = self._operand(build, node, operand, made)
                if new is not operand:
                    node.replace_input_with(operand, new)
            if needs_channels_last(node):
                source = node.args[0]
                copied = self._move(
                    build, source, aten.clone.default, source, memory_format=torch.channels_last
                )
                node.replace_input_with(source, copied)
            if node.target in LAYERS and isinstance(made.out, Timeline):
                self._recurrent(build, node, made.out)
        if made.out is not None:
            node.meta["val"] = run_fake(node, self._mode)

    def outputs(self, late: Mapping[Node, int]) -> list[Node]:
        """The program's outputs, each waiting by `late` samples."""
        output = self._graph.output_node()
        build = Builder(self._module, self._mode, output)
        for carried in self._carried:
            self._carry(build, carried)
        made = []
        for node in output.args[0]:
            wait = late.get(node, 0)
            made.append(self._window(build, node, Reading(wait, wait)) if wait else node)
        return made

    def _operand(self, build: Builder, node: Node, operand: Node, made: Rewrite) -> Node:
        if not isinstance(self._times.get(operand), Timeline):
            return self._constant(build, operand, made.out) if isinstance(made.out, Timeline) else operand
        reading = made.readings.get(operand, Reading(0))
        if operand in made.zeroed:
            zeroed = self._zeroed(build, operand)
            self._times[zeroed] = self._times[operand]
            for values in self._values:
                values[zeroed.name] = values[operand.name]
            operand = zeroed
        return operand if reading.is_plain else self._window(build, operand, reading)

    def _constant(self, build: Builder, operand: Node, out: Timeline) -> Node:
        """A constant beside what has time: one that is the same for all samples, a step long."""
        value = operand.meta.get("val")
        if not isinstance(value, torch.Tensor) or not is_side_by_side(build.origin):
            return operand
        axis = out.axis - len(shape(build.origin)) + value.dim()
        if build.origin.target is aten.stack.default:
            axis = out.axis - (int(build.origin.args[1]) <= out.axis if len(build.origin.args) > 1 else 1)
        if axis < 0 or value.shape[axis] != out.length or out.length == 1:
            return operand
        known = self._values[0].get(operand.name)
        if known is None or not torch.equal(known, known.narrow(axis, 0, 1).expand_as(known)):
            counted = None if known is None or out.delay else self._counted(build, known, axis, out.hop)
            if counted is not None:
                return counted
            raise McuError(
                f"stream: {build.origin.name}: a constant that changes over time",
                "What is added to all samples has to be the same for each: leave out positions.",
            )
        return self._move(build, operand, aten.slice.Tensor, operand, axis, 0, out.hop)

    def _counted(self, build: Builder, known: torch.Tensor, axis: int, hop: int) -> Node | None:
        """What counts samples, or 1 over that, as a state that goes on counting; None for other constants."""
        for inverted in (False, True):
            counts = torch.round(1 / known if inverted else known)
            steps = counts.diff(dim=axis)
            line = counts.narrow(axis, 0, hop)
            exact = counts.isfinite().all() and torch.equal(1 / counts if inverted else counts, known)
            if not exact or not torch.equal(steps, steps.flatten()[0].expand_as(steps)):
                continue
            kept, value = self._new_state(build, self._last, line.contiguous())
            more = build(aten.full.default, list(line.shape), hop * float(steps.flatten()[0]))
            kept.result = build(aten.add.Tensor, value, more)
            return build(aten.reciprocal.default, value) if inverted else value
        return None

    def _window(self, build: Builder, operand: Node, reading: Reading) -> Node:
        """The samples of a reading: those of the step, behind those that are kept as state."""
        time = self._times[operand]
        assert isinstance(time, Timeline)
        first, end = max(0, -reading.past), max(0, reading.past) + time.hop - reading.drop
        source = operand
        if reading.past > 0:
            key = (operand.args[0] if operand.target is DEQUANTIZE else operand, reading.past, reading.fill)
            if key not in self._windows:
                self._windows[key] = self._with_past(build, operand, time, reading)
            source = self._windows[key]
        if reading.every > 1:
            return self._taps(build, operand, source, time.axis, range(first, end, reading.every))
        if (first, end) == (0, max(0, reading.past) + time.hop):
            return source
        return self._move(build, operand, aten.slice.Tensor, source, time.axis, first, end)

    def _taps(self, build: Builder, operand: Node, source: Node, axis: int, taps: range) -> Node:
        """Some samples of `source`, one behind the other."""
        samples = [self._move(build, operand, aten.slice.Tensor, source, axis, tap, tap + 1) for tap in taps]
        return self._move(build, operand, aten.cat.default, samples, axis)

    def _with_past(self, build: Builder, operand: Node, time: Timeline, reading: Reading) -> Node:
        past = reading.past
        if self._images.get(operand.name) and not is_channels_last(operand.meta["val"]):
            # With a single sample a step the memory layout is anything: as in the whole program it is best.
            order = {"memory_format": torch.channels_last}
            chunk = self._move(build, operand, aten.clone.default, operand, **order)
        else:
            chunk = operand
        kept = self._new_state(build, operand, self._before(operand, time, reading, chunk))
        before = self._first_for_all(build, operand, kept[1], chunk) if time.repeats else kept[1]
        joined = self._move(build, operand, aten.cat.default, [before, chunk], time.axis)
        end = time.hop + past
        kept[0].result = self._move(build, operand, aten.slice.Tensor, joined, time.axis, time.hop, end)
        return joined

    def _first_for_all(self, build: Builder, operand: Node, past: Node, chunk: Node) -> Node:
        """The past; in the first step the first sample in place of all that it holds."""
        if self._begun is None:
            kept, self._begun = self._new_state(build, self._last, torch.zeros(1, dtype=torch.bool))
            kept.result = build(aten.full.default, [1], True, dtype=torch.bool)
        time = self._times[operand]
        assert isinstance(time, Timeline)
        first = self._move(build, operand, aten.slice.Tensor, chunk, time.axis, 0, 1)
        alike = self._move(build, operand, aten.expand.default, first, list(shape(past)))
        return self._move(build, operand, aten.where.self, self._begun, past, alike)

    def _accumulate(self, node: Node, made: Rewrite) -> None:
        """A sum, product or extreme over time goes on from its last result, which `node` leaves out."""
        build, time = Builder(self._module, self._mode, node), made.out
        assert isinstance(time, Timeline) and made.neutral is not None
        source = node.args[0] if node.target is operator.getitem else node
        operand = source.args[0]
        chunk = self._zeroed(build, operand) if operand in made.zeroed else operand
        kept, last = self._new_state(build, node, self._total(node, time, made.neutral))
        joined = build(aten.cat.default, [last, chunk], time.axis)
        every = build(source.target, joined, time.axis)
        if source is not node:
            every = build(operator.getitem, every, 0)
        kept.result = build(aten.slice.Tensor, every, time.axis, time.hop, time.hop + 1)
        node.target, node.kwargs = aten.slice.Tensor, {}
        node.args = (every, time.axis, 1, time.hop + 1)
        node.meta["val"] = run_fake(node, self._mode)

    def _total(self, node: Node, time: Timeline, neutral: float) -> torch.Tensor:
        """What is accumulated before the first step: of padding in front, or nothing."""
        whole = self._values[0][node.name]
        if time.delay < 0:
            return whole.narrow(time.axis, -time.delay - 1, 1).contiguous()
        return torch.full_like(whole.narrow(time.axis, 0, 1), neutral).contiguous()

    def _before(self, operand: Node, time: Timeline, reading: Reading, like: Node) -> torch.Tensor:
        """The samples before the first step: what the recording does not decide, and what is before it."""
        whole, *others = [values[operand.name] for values in self._values]
        if time.repeats:  # what comes first decides
            return in_order_of(torch.zeros_like(whole.narrow(time.axis, 0, reading.past)), like.meta["val"])
        first = -time.delay - reading.past
        start, end = max(first, 0), max(-time.delay, 0)
        known = whole.narrow(time.axis, start, max(end - start, 0))
        for other in others:
            assert torch.equal(known, other.narrow(time.axis, start, known.shape[time.axis])), operand.name
        sizes = list(whole.shape)
        sizes[time.axis] = reading.past - known.shape[time.axis]
        fill = _lowest(operand) if reading.fill == float("-inf") else reading.fill
        unknown = torch.full(sizes, fill, dtype=whole.dtype)
        return in_order_of(torch.cat([unknown, known], time.axis), like.meta["val"])

    def _new_state(self, build: Builder, like: Node, initial: torch.Tensor) -> tuple[State, Node]:
        """A state in the quantization of `like`, and its value as the graph reads it."""
        with self._graph.inserting_after(self._last):
            placeholder = self._graph.placeholder(f"{PREFIX}{len(self.state)}")
        self._last = placeholder
        placeholder.meta["val"] = self._mode.from_tensor(initial, static_shapes=True)
        made = State(placeholder, initial, placeholder)
        self.state.append(made)
        return made, self._quantized(build, like, placeholder)

    def _move(self, build: Builder, like: Node, target: Any, *args: Any, **kwargs: Any) -> Node:
        """An operator that moves elements, its result in the quantization of `like`."""
        return self._quantized(build, like, build(target, *args, **kwargs))

    def _quantized(self, build: Builder, like: Node, node: Node) -> Node:
        if like.target is not DEQUANTIZE:
            return node
        if node.op == "call_function" and like.args[5] is torch.int8:
            # The operator that it is made for may be one of ours, which executorch's passes do not look at.
            note_quantized(node)
        return _rounded(build, node, like.args[1:])

    def _zeroed(self, build: Builder, operand: Node) -> Node:
        """`operand` with zeros before the first sample of the recording."""
        time = self._times[operand]
        assert isinstance(time, Timeline)
        flag = self._flag(build, operand, time.axis, time.hop, time.delay)
        return self._quantized(build, operand, build(aten.mul.Tensor, operand, flag))

    def _flag(self, build: Builder, operand: Node, axis: int, hop: int, delay: int) -> Node:
        """0 before the first sample, then 1, of the sizes of `operand`."""
        sizes = list(shape(operand))
        sizes[axis] = delay
        with self._graph.inserting_after(self._last):
            placeholder = self._graph.placeholder(f"{PREFIX}{len(self.state)}")
        self._last = placeholder
        initial = in_order_of(torch.zeros(sizes), operand.meta["val"])
        placeholder.meta["val"] = self._mode.from_tensor(initial, static_shapes=True)
        kept = _rounded(build, placeholder, _FLAG)
        sizes[axis] = hop
        ones = _rounded(build, build(aten.full.default, sizes, 1.0), _FLAG)
        joined = _rounded(build, build(aten.cat.default, [kept, ones], axis), _FLAG)
        new = _rounded(build, build(aten.slice.Tensor, joined, axis, hop, hop + delay), _FLAG)
        self.state.append(State(placeholder, initial, new))
        return _rounded(build, build(aten.slice.Tensor, joined, axis, 0, hop), _FLAG)

    def _recurrent(self, build: Builder, node: Node, out: Timeline) -> None:
        """Give a recurrent layer its state: h, and an LSTM's c."""
        call = RecurrentCall.of(node)
        if any(self._is_set(state) for state in call.states):
            raise McuError(
                f"stream: {node.name}: a first state that is not zero",
                "Begin recordings with a state of zeros.",
            )
        end = next(iter(call.results()[0].users))
        # A GRU keeps 16 bits, of which h shows 8.
        shows_all = end.target is QUANTIZE and node.target is not aten.gru.input
        states = []
        for index, state in enumerate(call.states):
            like = next(iter(end.users)) if shows_all and index == 0 else node
            kept, value = self._new_state(build, like, torch.zeros(shape(state)))
            states.append(value)
            self._carried.append(_Carried(kept, node, index + 1, like, out))
        node.update_arg(1, states if len(states) > 1 else states[0])

    def _carry(self, build: Builder, carried: "_Carried") -> None:
        """The new value of a recurrent state; zero until the first sample is there."""
        sizes = shape(carried.state.placeholder)
        if carried.like is carried.layer:
            new = build(operator.getitem, carried.layer, carried.index)
        else:
            time = RecurrentCall.of(carried.layer).time
            hop = carried.out.hop
            last = self._move(build, carried.like, aten.slice.Tensor, carried.like, time, hop - 1, hop)
            new = self._move(build, carried.like, aten.reshape.default, last, list(sizes))
        if carried.out.delay:
            flag = self._flag(build, carried.state.placeholder, 0, 1, carried.out.delay // carried.out.hop)
            new = self._quantized(build, carried.like, build(aten.mul.Tensor, new, flag))
        carried.state.result = new

    def _is_set(self, state: Node) -> bool:
        value = self._values[0].get(state.name)
        return value is None or bool(value.any())


@dataclass(frozen=True)
class _Carried:
    """The state of a recurrent layer: its result of that index, shown by `like` where it is not the layer."""

    state: State
    layer: Node
    index: int
    like: Node
    out: Timeline


def is_side_by_side(node: Node) -> bool:
    """Whether an operator takes the samples of its operands by their time."""
    joins = (aten.cat.default, aten.stack.default)
    return node.target in joins or torch.Tag.pointwise in getattr(node.target, "tags", ())


def _rounded(build: Builder, node: Node, quantization: Sequence[Any]) -> Node:
    """quantize and dequantize behind a node."""
    integers = build(QUANTIZE, node, *quantization)
    return build(DEQUANTIZE, integers, *quantization)


def _lowest(node: Node) -> float:
    """The least number of a tensor: what a maximum ignores."""
    if node.target is DEQUANTIZE:
        scale, zero_point, least = node.args[1:4]
        return (int(least) - int(zero_point)) * float(scale)
    return float(torch.finfo(node.meta["val"].dtype).min)


def _like(value: torch.Tensor, axis: int, size: int) -> torch.Tensor:
    """A tensor of another size along one axis, in the same memory layout."""
    sizes = list(value.shape)
    sizes[axis] = size
    return in_order_of(value.new_empty(sizes), value)
