"""Let tensors keep the memory layout that they come in, where the operators behind them take any order.

A convolution writes its channels last; before a one-dimensional one and behind it the program brings every
tensor into the order of the model's dimensions and back, though sums, tables and boundaries between the two
do not care. Here such an operator writes its output in the order of its input, and a move follows only where
an operator that does care reads it. The program computes the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from mcu_build.ir.program import DelegateCall, KernelCall, Program, TensorListValue, TensorValue

Order = tuple[int, ...]
# Dimensions of an output, in memory order that its operand's order gives them; None: it gives none.
Carried = Callable[["_Carrier", KernelCall], Order | None]

_MOVE = "dim_order_ops::_clone_dim_order.out"
_CHANNELS_LAST = (0, 2, 3, 1)


def propagate_layouts(program: Program, join_images: bool = False) -> Program:
    """`program` with outputs in the order of their inputs, and moves where another order is needed.

    What joins images to tensors in another order reads these in the program's, and with `join_images` all
    with channels last: so the window of a stream stays as the convolution behind it reads it.
    """
    carrier = _Carrier(program, join_images)
    for call in program.instructions:
        rule = _RULES.get(call.operator) if isinstance(call, KernelCall) else None
        if isinstance(call, KernelCall) and rule and (order := rule(carrier, call)) is not None:
            carrier.carry(call, order)
        else:
            carrier.keep(call)
    for id in program.outputs:
        carrier.restore(id)
    return replace(program, values=tuple(carrier.values), instructions=tuple(carrier.calls))


@dataclass
class _Carrier:
    """The program as it is rewritten. `homes` says which value holds a tensor that is elsewhere."""

    program: Program
    join_images: bool
    homes: dict[int, int] = field(default_factory=dict)
    calls: list[KernelCall | DelegateCall] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.values = list(self.program.values)

    def home(self, id: int) -> TensorValue:
        """The tensor of a value, in memory order that it has now."""
        value = self.values[self.homes.get(id, id)]
        if not isinstance(value, TensorValue):
            raise TypeError(f"value {id} is no tensor")
        return value

    def items(self, id: int) -> tuple[int, ...]:
        """The values of a list, or the one value."""
        value = self.values[id]
        return value.items if isinstance(value, TensorListValue) else (id,)

    def restore(self, id: int, reader: KernelCall | DelegateCall | None = None) -> None:
        """Bring a tensor where, and into the order that, the program has it, for a call that reads it."""
        if id in self.homes:
            home = self.homes.pop(id)
            self.calls.append(KernelCall(_MOVE, (home, id), reader.frames if reader else ()))

    def keep(self, call: KernelCall | DelegateCall) -> None:
        """Append a call as it is; images that are channels-last already are read where they are."""
        if isinstance(call, KernelCall) and call.operator in IMAGE_OPERATORS:
            image, *others = call.arguments
            if self.is_image(self.home(image)):
                call = replace(call, arguments=(self.homes.get(image, image), *others))
        for id in call.arguments:
            for item in self.items(id):
                self.restore(item, call)
        self.calls.append(call)

    def is_image(self, value: TensorValue) -> bool:
        """Whether four dimensions lie channels-last."""
        return len(value.shape) == 4 and _wide(value.dim_order, value.shape) == _wide(
            _CHANNELS_LAST, value.shape
        )

    def carry(self, call: KernelCall, order: Order) -> None:
        """Append a call with operands where they are and its output in `order`."""
        output = call.arguments[-1]
        value = self.values[output]
        assert isinstance(value, TensorValue)
        moved = {id: self._operand(id, order, call) for id in call.arguments[:-1] if id != output}
        if _wide(order, value.shape) == _wide(value.dim_order, value.shape):
            self.homes.pop(output, None)
            # The same bytes by either name; what joins it to wider tensors looks at the name.
            if output not in self.program.outputs:
                self.values[output] = replace(value, dim_order=order)
        else:
            self.homes[output] = moved[output] = self._append(replace(value, dim_order=order))
        self.calls.append(replace(call, arguments=tuple(moved.get(id, id) for id in call.arguments)))

    def _operand(self, id: int, order: Order, reader: KernelCall) -> int:
        value = self.values[id]
        if isinstance(value, TensorListValue):
            items = tuple(self._joined(item, order, reader) for item in value.items)
            return id if items == value.items else self._append(TensorListValue(items))
        return self.homes.get(id, id)

    def _joined(self, id: int, order: Order, reader: KernelCall) -> int:
        """A tensor in the order of what it is joined to."""
        home = self.home(id)
        place = self.homes.get(id, id)
        if len(home.shape) != len(order) or _wide(home.dim_order, home.shape) == _wide(order, home.shape):
            return place
        moved = self._append(replace(home, dim_order=order))
        self.calls.append(KernelCall(_MOVE, (place, moved), reader.frames))
        return moved

    def _append(self, value: TensorValue | TensorListValue) -> int:
        self.values.append(value)
        return len(self.values) - 1


def _wide(order: Sequence[int], shape: Sequence[int]) -> Order:
    """An order without the dimensions of size 1, which may stand anywhere."""
    return tuple(dimension for dimension in order if shape[dimension] != 1)


def _same(carrier: _Carrier, call: KernelCall) -> Order | None:
    """The order of the first operand."""
    return carrier.home(call.arguments[0]).dim_order


def _pair(carrier: _Carrier, call: KernelCall) -> Order | None:
    """The order that all operands of the output's shape have, and one of them at least."""
    output = call.arguments[-1]
    shape = carrier.home(output).shape
    operands = [id for id in call.arguments if id != output and isinstance(carrier.values[id], TensorValue)]
    return _only([home for home in map(carrier.home, operands) if home.shape == shape], shape)


def _join(carrier: _Carrier, call: KernelCall) -> Order | None:
    """The order that all joined tensors have, or channels last where one of them is an image."""
    shape = carrier.home(call.arguments[-1]).shape
    homes = [carrier.home(id) for id in carrier.items(call.arguments[0])]
    if (order := _only(homes, shape)) is None and carrier.join_images and any(map(carrier.is_image, homes)):
        return _CHANNELS_LAST
    return order


def _only(tensors: Sequence[TensorValue], shape: Sequence[int]) -> Order | None:
    """The order of all of `tensors` in an output of `shape`, if there is one."""
    orders = {
        _wide(tensor.dim_order, shape): tensor.dim_order
        for tensor in tensors
        if len(tensor.shape) == len(shape)
    }
    return next(iter(orders.values())) if len(orders) == 1 else None


def _permuted(carrier: _Carrier, call: KernelCall) -> Order | None:
    """permute_copy and cortex_m::transpose: (input, dims, out); no byte moves."""
    dims = carrier.values[call.arguments[1]]
    source = carrier.home(call.arguments[0])
    if not isinstance(dims, tuple) or sorted(int(d) % len(dims) for d in dims) != [*range(len(source.shape))]:
        return None
    places = [int(d) % len(dims) for d in dims]
    return tuple(places.index(dimension) for dimension in source.dim_order)


def _transposed(carrier: _Carrier, call: KernelCall) -> Order | None:
    """transpose_copy: (input, dim0, dim1, out)."""
    source = carrier.home(call.arguments[0])
    first, second = (carrier.values[call.arguments[index]] for index in (1, 2))
    if not isinstance(first, int) or not isinstance(second, int) or not source.shape:
        return None
    swapped = {first % len(source.shape): second % len(source.shape)}
    swapped |= {there: here for here, there in swapped.items()}
    return tuple(swapped.get(dimension, dimension) for dimension in source.dim_order)


def _viewed(carrier: _Carrier, call: KernelCall) -> Order | None:
    """Views that add or take away dimensions of size 1 only."""
    source, output = carrier.home(call.arguments[0]), carrier.home(call.arguments[-1])
    before = [dimension for dimension, size in enumerate(source.shape) if size != 1]
    after = [dimension for dimension, size in enumerate(output.shape) if size != 1]
    if [source.shape[d] for d in before] != [output.shape[d] for d in after]:
        return None
    renamed = dict(zip(before, after, strict=True))
    narrow = [dimension for dimension, size in enumerate(output.shape) if size == 1]
    return (*narrow, *(renamed[dimension] for dimension in source.dim_order if dimension in renamed))


def _cut(carrier: _Carrier, call: KernelCall) -> Order | None:
    """slice_copy: the order of what is cut."""
    source, output = carrier.home(call.arguments[0]), carrier.home(call.arguments[-1])
    return source.dim_order if len(source.shape) == len(output.shape) else None


def _selected(carrier: _Carrier, call: KernelCall) -> Order | None:
    """select_copy: (input, dim, index, out); the dimension goes."""
    source, dimension = carrier.home(call.arguments[0]), carrier.values[call.arguments[1]]
    if not isinstance(dimension, int) or not source.shape:
        return None
    gone = dimension % len(source.shape)
    return tuple(d - (d > gone) for d in source.dim_order if d != gone)


def _padded(carrier: _Carrier, call: KernelCall) -> Order | None:
    """cortex_m::pad, whose sizes mean other dimensions by the memory layout where there are four."""
    source = carrier.home(call.arguments[0])
    return source.dim_order if len(source.shape) < 4 else None


_RULES: dict[str, Carried] = {
    "cortex_m::quantize_per_tensor.out": _same,
    "cortex_m::quantized_activation.out": _same,
    "cortex_m::quantized_add.out": _pair,
    "cortex_m::quantized_mul.out": _pair,
    "cortex_m::minimum.out": _pair,
    "cortex_m::maximum.out": _pair,
    "cortex_m::transpose.out": _permuted,
    "cortex_m::pad.out": _padded,
    "aten::permute_copy.out": _permuted,
    "aten::transpose_copy.int_out": _transposed,
    "aten::view_copy.out": _viewed,
    "aten::squeeze_copy.dim_out": _viewed,
    "aten::squeeze_copy.dims_out": _viewed,
    "aten::unsqueeze_copy.out": _viewed,
    "aten::clone.out": _same,
    "aten::slice_copy.Tensor_out": _cut,
    "aten::select_copy.int_out": _selected,
    "aten::cat.out": _join,
    "dim_order_ops::_clone_dim_order.out": _same,
    "dim_order_ops::_to_dim_order_copy.out": _same,
    "aten::avg_pool2d.out": _same,
}
# What takes its image with channels last only.
IMAGE_OPERATORS = frozenset(
    f"cortex_m::{name}.out"
    for name in (
        "quantized_conv2d",
        "quantized_depthwise_conv2d",
        "quantized_transpose_conv2d",
        "quantized_avg_pool2d",
        "quantized_max_pool2d",
    )
)
