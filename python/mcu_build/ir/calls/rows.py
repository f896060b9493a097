"""Windows over images, row by row."""

from mcu_build.ir.calls.struct import ImageSize, Window


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
