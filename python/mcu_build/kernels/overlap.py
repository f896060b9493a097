"""How far below its input an output starts, by kernels that read pixels before they write some of them."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from mcu_build.ir.calls.struct import ImageSize, Window

Ints = NDArray[np.int64]


def window_starts(batch: int, image: ImageSize, output: ImageSize, window: Window) -> Ints:
    """For each pixel of the output, in order, the first byte of the image that its window reads."""
    stride, padding = window.stride, window.padding
    rows = np.clip(np.arange(output.height) * stride.y - padding.y, 0, image.height)
    columns = np.clip(np.arange(output.width) * stride.x - padding.x, 0, image.width)
    above = np.arange(batch)[:, None, None] * image.height + rows[:, None]
    starts: Ints = (above * image.width + columns) * image.channels
    return starts.reshape(-1)


def in_rows(pixels: int, width: int, together: int) -> Iterator[range]:
    """The pixels of each row, `together` at a time."""
    for row in range(0, pixels, width):
        for pixel in range(row, row + width, together):
            yield range(pixel, min(pixel + together, row + width))


def in_tiles(pixels: int, width: int, together: int) -> Iterator[range]:
    """Likewise, where the last of a row are made again, so that there are as many."""
    for row in range(0, pixels, width):
        for pixel in range(row, row + width, together):
            first = min(pixel, row + width - together)
            yield range(first, first + together)


def distance(starts: Ints, channels: int, groups: Iterable[range], rereads: bool = False) -> int:
    """As Call.inplace_distances: `groups` of pixels are read, then written, one group after the other.

    `starts` are the first bytes that each pixel reads. `rereads`: a group is read until its last byte is
    written.
    """
    each = list(groups)
    firsts, stops = (np.array(ends) for ends in zip(*((one.start, one.stop) for one in each), strict=True))
    # Pixels may be in two groups.
    later = needed_from(firsts)
    if not rereads:
        stops, later = stops[:-1], later[1:]
    return furthest(stops * channels, needed_from(starts)[later])


def needed_from(starts: Ints) -> Ints:
    """For each of what is read in this order the first that it or one behind it begins at."""
    return np.minimum.accumulate(starts[::-1])[::-1]


def furthest(written: Ints, needed: Ints) -> int:
    """The most bytes by which what is written is ahead of what is still needed."""
    return int((written - needed).max(initial=0))
