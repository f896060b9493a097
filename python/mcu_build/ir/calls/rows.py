"""Images row by row: what may share memory, and which rows are made of which."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from mcu_build.ir.calls.struct import ImageSize, Pair, Struct, Window
from mcu_build.ir.tensor import Tensor

P = TypeVar("P", bound=Struct)

# Rows of operations that read and write words start where words do, in bytes.
_WORD = 4


def row_distance(batch: int, image: ImageSize, output: ImageSize, window: Window) -> int:
    """How far below the image the output has to start: nothing below a window's first row is read again."""
    stride, padding = window.stride.y, window.padding.y
    distance = 0
    # It grows or falls evenly from image to image, and from row to row on either side of the padding's end.
    end, inside = output.height - 1, padding // max(stride, 1)
    for n in {0, batch - 1}:
        for y in {0, end, *(row for row in (inside, inside + 1) if 0 <= row <= end)}:
            first = n * image.height + max(0, y * stride - padding)
            distance = max(distance, (n * output.height + y + 1) * output.row - first * image.row)
    return distance


def axis_of(tensor: Tensor) -> int:
    """Along which axis bands of an image follow one another: its rows, or the pixels of its only row."""
    return 1 if len(tensor.shape) == 3 or tensor.shape[1] > 1 else 2


def height_of(tensor: Tensor) -> int | None:
    """Rows of an image, None where it is none or several; of a series its pixels.

    A series is [1][pixels][channels], or an image of one row.
    """
    return tensor.shape[axis_of(tensor)] if len(tensor.shape) in (3, 4) and tensor.shape[0] == 1 else None


def shape_of_rows(tensor: Tensor, rows: int) -> tuple[int, ...]:
    """The shape of so many rows of an image."""
    axis = axis_of(tensor)
    return (*tensor.shape[:axis], rows, *tensor.shape[axis + 1 :])


@dataclass(frozen=True)
class _Axis:
    """Sizes of a window and of its images along the axis of bands: by rows, of a series by pixels."""

    image: int
    size: int
    stride: int
    padding: int
    dilation: int

    @classmethod
    def of(cls, image: ImageSize, window: Window) -> "_Axis":
        parts = (window.size, window.stride, window.padding, window.dilation)
        if image.height > 1:
            return cls(image.height, *(part.y for part in parts))
        return cls(image.width, *(part.x for part in parts))

    @property
    def span(self) -> int:
        """From the first to the last row that a window sees."""
        return (self.size - 1) * self.dilation

    def inside(self, first: int, last: int) -> range | None:
        """The rows from `first` to `last` that there are; None where there is none."""
        return range(max(first, 0), min(last + 1, self.image)) or None


def _of_rows(params: P, read: int, made: int, before: int) -> P:
    """Parameters of windows with so many rows of both images, and of padding before the first."""
    fields: Any = params
    source, output, padding = fields.input, fields.output, fields.window.padding
    if source.height > 1:
        source, output = replace(source, height=read), replace(output, height=made)
        padding = Pair(before, padding.x)
    else:
        source, output = replace(source, width=read), replace(output, width=made)
        padding = Pair(padding.y, before)
    changed: P = replace(fields, input=source, output=output, window=replace(fields.window, padding=padding))
    return changed


def window_rows(image: ImageSize, window: Window, rows: range) -> range | None:
    """The rows of an image that windows see which make `rows`; None where a window sees none."""
    axis = _Axis.of(image, window)
    first, last = (row * axis.stride - axis.padding for row in (rows.start, rows.stop - 1))
    return axis.inside(first, last + axis.span)


def images_fit(params: Any, source: Tensor, output: Tensor) -> bool:
    """Whether `params` of an operation on images mean just these tensors, each one image.

    Bands of both follow one another along the same axis.
    """
    pairs = ((params.input, source), (params.output, output))
    is_one = params.output.pixels == 1
    return (
        params.batch == 1
        and (is_one or (params.input.height > 1) == (params.output.height > 1))
        and all(
            height_of(tensor) == (size.height if size.height > 1 else size.width)
            and tensor.elements == size.pixels * size.channels
            for size, tensor in pairs
        )
    )


def windows_of_rows(params: P, rows: range) -> P:
    """The parameters of windows that make `rows` of the output from the rows they need."""
    fields: Any = params
    axis, needed = _Axis.of(fields.input, fields.window), window_rows(fields.input, fields.window, rows)
    assert needed is not None
    before = needed.start - (rows.start * axis.stride - axis.padding)
    return _of_rows(params, len(needed), len(rows), before)


def transposed_rows(image: ImageSize, window: Window, rows: range) -> range | None:
    """The rows of an image that a transposed convolution spreads over `rows`; None where none is."""
    axis = _Axis.of(image, window)
    first = -(-(rows.start + axis.padding - axis.span) // axis.stride)
    return axis.inside(first, (rows.stop - 1 + axis.padding) // axis.stride)


def transposed_of_rows(params: P, rows: range) -> P:
    """The parameters of a transposed convolution that makes `rows` of the output from the rows they need."""
    fields: Any = params
    axis, needed = _Axis.of(fields.input, fields.window), transposed_rows(fields.input, fields.window, rows)
    assert needed is not None
    before = axis.padding + rows.start - needed.start * axis.stride
    return _of_rows(params, len(needed), len(rows), before)


def same_rows(
    tensors: Mapping[int, Tensor], source: int, output: int, rows: range, elements: int | None = None
) -> Mapping[int, range] | None:
    """The rows of `source` that an operation element by element makes `rows` of.

    It reads all `elements` of it, row by row: else as many as it makes.
    """
    read, made = tensors[source], tensors[output]
    all_read = read.elements == (made.elements if elements is None else elements)
    height = height_of(made)
    if not height or height_of(read) != height or not all_read:
        return None
    words = all(tensor.nbytes // height % _WORD == 0 for tensor in (read, made))
    return {source: rows} if words else None


def share_of_rows(count: int, output: Tensor, rows: range) -> int:
    """What of `count`, spread evenly over the rows of `output`, falls on `rows`."""
    share, rest = divmod(count * len(rows), output.shape[axis_of(output)])
    assert rest == 0
    return share
