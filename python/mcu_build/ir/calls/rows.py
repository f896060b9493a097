"""Images row by row: what may share memory, and which rows are made of which."""

from collections.abc import Mapping
from dataclasses import replace
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


def height_of(tensor: Tensor) -> int | None:
    """Rows of an image, None where it is none or several."""
    return tensor.shape[1] if len(tensor.shape) == 4 and tensor.shape[0] == 1 else None


def window_rows(image: ImageSize, window: Window, rows: range) -> range | None:
    """The rows of an image that windows see which make `rows`; None where a window sees none."""
    first = rows.start * window.stride.y - window.padding.y
    last = (rows.stop - 1) * window.stride.y - window.padding.y + (window.size.y - 1) * window.dilation.y
    rows_read = range(max(first, 0), min(last + 1, image.height))
    return rows_read if rows_read else None


def images_fit(params: Any, source: Tensor, output: Tensor) -> bool:
    """Whether `params` of an operation on images mean just these tensors, each one image."""
    pairs = ((params.input, source), (params.output, output))
    return params.batch == 1 and all(
        height_of(tensor) == size.height and tensor.elements == size.pixels * size.channels
        for size, tensor in pairs
    )


def windows_of_rows(params: P, rows: range) -> P:
    """The parameters of windows that make `rows` of the output from the rows they need."""
    fields: Any = params
    needed = window_rows(fields.input, fields.window, rows)
    assert needed is not None
    above = needed.start - (rows.start * fields.window.stride.y - fields.window.padding.y)
    changed: P = replace(
        fields,
        input=replace(fields.input, height=len(needed)),
        output=replace(fields.output, height=len(rows)),
        window=replace(fields.window, padding=Pair(above, fields.window.padding.x)),
    )
    return changed


def transposed_rows(image: ImageSize, window: Window, rows: range) -> range | None:
    """The rows of an image that a transposed convolution spreads over `rows`; None where none is."""
    span = (window.size.y - 1) * window.dilation.y
    first = -(-(rows.start + window.padding.y - span) // window.stride.y)
    last = (rows.stop - 1 + window.padding.y) // window.stride.y
    rows_read = range(max(first, 0), min(last + 1, image.height))
    return rows_read if rows_read else None


def transposed_of_rows(params: P, rows: range) -> P:
    """The parameters of a transposed convolution that makes `rows` of the output from the rows they need."""
    fields: Any = params
    needed = transposed_rows(fields.input, fields.window, rows)
    assert needed is not None
    above = fields.window.padding.y + rows.start - needed.start * fields.window.stride.y
    changed: P = replace(
        fields,
        input=replace(fields.input, height=len(needed)),
        output=replace(fields.output, height=len(rows)),
        window=replace(fields.window, padding=Pair(above, fields.window.padding.x)),
    )
    return changed


def same_rows(
    tensors: Mapping[int, Tensor], source: int, output: int, rows: range, elements: int | None = None
) -> Mapping[int, range] | None:
    """The rows of `source` that an operation element by element makes `rows` of.

    It reads all `elements` of it, row by row: else as many as it makes.
    """
    read, made = tensors[source], tensors[output]
    all_read = read.elements == (made.elements if elements is None else elements)
    fits = height_of(read) is not None and read.shape[1] == height_of(made) and all_read
    words = (
        all(tensor.nbytes // max(tensor.shape[1], 1) % _WORD == 0 for tensor in (read, made))
        if fits
        else False
    )
    return {source: rows} if words else None


def share_of_rows(count: int, output: Tensor, rows: range) -> int:
    """What of `count`, spread evenly over the rows of `output`, falls on `rows`."""
    share, rest = divmod(count * len(rows), output.shape[1])
    assert rest == 0
    return share
