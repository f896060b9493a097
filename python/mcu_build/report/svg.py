"""Drawings as SVG text: pure functions from numbers to markup, without a library, a font or a script."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from mcu_build.tables import middle_cut

# A letter of the labels is about so wide, in units of the drawing.
_LETTER = 6.6
_TEXT_HEIGHT = 14
# Letters of a line from which on a word may be cut.
_READABLE = 8
# The words of a name: with the point, the colons, the underscore or the bracket behind them.
_PARTS = re.compile(r"[^.:_<,\s]+[.:_<,\s]*|[.:_<,\s]+")


@dataclass(frozen=True)
class Box:
    """A rectangle with a label, where it fits, and a title that shows when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    style: str
    label: str = ""
    title: str = ""


def drawing(width: float, height: float, parts: Iterable[str], label: str) -> str:
    """A whole SVG that scales with the page; `label` is what a screen reader says."""
    opening = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
    return f"{opening}{''.join(parts)}</svg>"


def box(drawn: Box) -> str:
    """A rectangle, its label as far as it fits, its title."""
    title = f"<title>{escape(drawn.title)}</title>" if drawn.title else ""
    lines = _lines(drawn.label, int((drawn.width - 6) / _LETTER), int(drawn.height / _TEXT_HEIGHT))
    # A single line stands in the middle of a low box.
    top = drawn.y + min((drawn.height - _TEXT_HEIGHT * (len(lines) - 1)) / 2 + 4, _TEXT_HEIGHT)
    words = "".join(text(drawn.x + 3, top + _TEXT_HEIGHT * index, part) for index, part in enumerate(lines))
    place = f'x="{drawn.x:.2f}" y="{drawn.y:.2f}"'
    size = f'width="{max(drawn.width, 0.5):.2f}" height="{drawn.height:.2f}"'
    return f'<g class="{drawn.style}">{title}<rect {place} {size}/>{words}</g>'


def _lines(label: str, letters: int, most: int) -> list[str]:
    """A label in at most `most` lines of so many letters, cut behind what parts its words; or none.

    Where there is no room for a name in namespaces, what is behind the last stands for it. A label ends in an
    ellipsis only where enough of it is left to be told from others.
    """
    if letters < 3 or not most:
        return []
    for words in dict.fromkeys((label, label.rpartition("::")[2])):
        lines = _filled(words, letters)
        if len(lines) <= most and (letters >= _READABLE or not _splits(words, letters)):
            return lines
    if letters * most < 2 * _READABLE or letters < _READABLE:
        return []
    if most == 1:
        return [middle_cut(label, letters)]
    lines = _filled(label, letters)
    cut = "".join(lines[most - 1 :])[: letters - 1]
    return [*lines[: most - 1], f"{cut}…"]


def _filled(label: str, letters: int) -> list[str]:
    """Lines of so many letters; only a word that is longer is cut anywhere."""
    lines = [""]
    for part in _PARTS.findall(label):
        for piece in (part[at : at + letters] for at in range(0, len(part), letters)):
            if len(lines[-1] + piece) > letters:
                lines.append("")
            lines[-1] += piece
    return lines


def _splits(label: str, letters: int) -> bool:
    return any(len(part) > letters for part in _PARTS.findall(label))


def text(x: float, y: float, words: str, anchor: str = "start", style: str = "") -> str:
    """A line of text."""
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>'


def legend(styles: Sequence[tuple[str, str]]) -> str:
    """What the colours mean: (style, word), each a small square with its word behind it, as HTML."""
    square = (
        '<svg viewBox="0 0 10 10" aria-hidden="true"><g class="{}"><rect width="10" height="10"/></g></svg>'
    )
    return "".join(f"<span>{square.format(style)}{escape(word)}</span>" for style, word in styles)


@dataclass(frozen=True)
class Item:
    """A part of a treemap: `size` decides its area."""

    size: float
    style: str
    label: str
    title: str


def treemap(items: Sequence[Item], width: float, height: float, label: str) -> str:
    """Rectangles whose areas are as the items' sizes, near to squares (Bruls, Huizing, van Wijk, 2000)."""
    boxes = _squarified(
        sorted((item for item in items if item.size > 0), key=lambda item: -item.size), width, height
    )
    return drawing(width, height, (box(drawn) for drawn in boxes), label)


def _squarified(items: Sequence[Item], width: float, height: float) -> list[Box]:
    """The boxes of `items`, largest first, row by row along the shorter side of what is left."""
    boxes: list[Box] = []
    x = y = 0.0
    scale = width * height / max(sum(item.size for item in items), 1)
    at = 0
    while at < len(items):
        side = min(width - x, height - y)
        end = _row_end(items, at, side, scale)
        area = scale * sum(item.size for item in items[at:end])
        thickness = area / side if side else 0.0
        along = 0.0
        across = width - x >= height - y
        for item in items[at:end]:
            length = item.size * scale / thickness if thickness else 0.0
            place = (x, y + along, thickness, length) if across else (x + along, y, length, thickness)
            boxes.append(Box(*place, item.style, item.label, item.title))
            along += length
        x, y = (x + thickness, y) if across else (x, y + thickness)
        at = end
    return boxes


def _row_end(items: Sequence[Item], start: int, side: float, scale: float) -> int:
    """How far a row goes: as long as its worst rectangle becomes squarer."""
    largest, total, best = items[start].size, 0.0, float("inf")
    for end in range(start, len(items)):
        total += items[end].size
        thickness = scale * total / side if side else 1.0
        lengths = (scale * size / thickness for size in (largest, items[end].size))
        worst = max(max(length / thickness, thickness / length) for length in lengths)
        if worst > best:
            return end
        best = worst
    return len(items)


@dataclass(frozen=True)
class Span:
    """What happens on a lane of a time line, from `start` for `length` units."""

    lane: int
    start: float
    length: float
    style: str
    label: str
    title: str


def timeline(spans: Sequence[Span], lanes: Sequence[str], unit: str, width: float = 1100) -> str:
    """Lanes one below the other over one axis that begins at 0."""
    margin, row = 60.0, 34.0
    end = max((span.start + span.length for span in spans), default=1.0) or 1.0
    scale = (width - margin - 10) / end
    height = row * len(lanes) + 26
    parts = [text(0, row * index + 22, name) for index, name in enumerate(lanes)]
    for tick in _ticks(end):
        x = margin + tick * scale
        anchor = "end" if x > width - margin else "middle"
        parts += [line(x, 0, x, height - 20, "grid"), text(x, height - 6, f"{tick:,.0f}", anchor, "tick")]
    parts += [
        box(
            Box(
                margin + span.start * scale,
                row * span.lane + 4,
                span.length * scale,
                row - 8,
                span.style,
                span.label,
                span.title,
            )
        )
        for span in spans
    ]
    return drawing(width, height, [*parts, text(0, height - 6, unit, "start", "tick")], "time line")


def _ticks(end: float) -> list[float]:
    """Five or so round numbers from 0 to `end`."""
    step = 10.0 ** (len(str(int(end))) - 1) if end >= 1 else end / 4
    while end / step < 4:
        step /= 2
    while end / step > 8:
        step *= 2
    return [index * step for index in range(int(end / step) + 1)]


@dataclass(frozen=True)
class Block:
    """Bytes `offset` to `offset + size` of the arena, needed from step `first` to step `last`."""

    offset: int
    size: int
    first: int
    last: int
    label: str
    title: str


def arena(blocks: Sequence[Block], steps: int, size: int, peak: int, width: float = 1100) -> str:
    """Bytes of the arena upwards over steps to the right, the step at which it is fullest marked."""
    margin, height = 70.0, 260.0
    columns = steps + 2  # inputs lie there before the first step, outputs after the last
    dx, dy = (width - margin - 10) / columns, (height - 30) / max(size, 1)

    def place(span: Block) -> Box:
        x = margin + (span.first + 1) * dx
        y = height - 20 - (span.offset + span.size) * dy
        hue = f"hue{span.first % 8}"
        return Box(x, y, (span.last - span.first + 1) * dx, span.size * dy, hue, span.label, span.title)

    marked = Box(margin + (peak + 1) * dx, 4, dx, height - 24, "peak", "", f"fullest at step {peak}")
    parts = [box(place(block)) for block in blocks]
    parts += [box(marked)]
    for part in range(5):
        y = height - 20 - part * size / 4 * dy
        parts += [
            line(margin, y, width, y, "grid"),
            text(margin - 6, y + 4, f"{size * part // 4:,}", "end", "tick"),
        ]
    for step in range(0, steps, max(1, steps // 12)):
        parts.append(text(margin + (step + 1.5) * dx, height - 5, str(step), "middle", "tick"))
    return drawing(width, height, [*parts, text(0, height - 5, "step", "start", "tick")], "arena over steps")


# The height of a row of the graph, in units of the page; that of the table's rows, too.
ROW = 26
_LANE = 12
_MOST_LANES = 10


def graph_rows(edges: Iterable[tuple[int, int]], rows: int) -> list[str]:
    """A drawing for each of `rows` nodes that stand one below the other; edges lead down from row to row.

    An edge to the next row is the straight line; one that passes rows has a lane beside it.
    """
    jumps = sorted({(start, end) for start, end in edges if end - start > 1})
    near = {start for start, end in edges if end - start == 1}
    lanes = _lanes(jumps)
    width = _LANE * (2 + max(lanes.values(), default=0))
    drawn = []
    for row in range(rows):
        parts = [line(_LANE / 2, 0, _LANE / 2, ROW / 2, "edge")] if row - 1 in near else []
        parts += [line(_LANE / 2, ROW / 2, _LANE / 2, ROW, "edge")] if row in near else []
        parts += [_jump(row, edge, lane) for edge, lane in lanes.items() if edge[0] <= row <= edge[1]]
        parts.append(f'<circle cx="{_LANE / 2:g}" cy="{ROW / 2:g}" r="4" class="node"/>')
        opening = f'<svg width="{width}" height="{ROW}" viewBox="0 0 {width} {ROW}" aria-hidden="true">'
        drawn.append(f"{opening}{''.join(parts)}</svg>")
    return drawn


def _lanes(jumps: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """The lane of each edge, from 1: the first that is free where it starts."""
    free_from: list[int] = []
    lanes = {}
    for start, end in jumps:
        lane = next((index for index, row in enumerate(free_from) if row <= start), len(free_from))
        lane = min(lane, _MOST_LANES - 1)
        if lane == len(free_from):
            free_from.append(end)
        free_from[lane] = max(free_from[lane], end)
        lanes[start, end] = lane + 1
    return lanes


def _jump(row: int, edge: tuple[int, int], lane: int) -> str:
    """What is seen of an edge in a row: where it leaves, passes, or arrives."""
    x, middle, home = _LANE / 2 + lane * _LANE, ROW / 2, _LANE / 2
    path = f"M{x} 0V{ROW}"
    if row == edge[0]:
        path = f"M{home} {middle}Q{x} {middle} {x} {ROW}"
    elif row == edge[1]:
        path = f"M{x} 0Q{x} {middle} {home} {middle}"
    return f'<path d="{path}" class="edge"/>'


@dataclass(frozen=True)
class Loss:
    """Decibels of a layer: alone, with its rounded weights alone (None without), and up to it."""

    alone: float
    weights: float | None
    so_far: float
    title: str


def losses(layers: Sequence[Loss], least: float, width: float = 1100) -> str:
    """A bar a layer as high as the decibels that it keeps alone, a line for those left up to it.

    A dot is for rounded weights; a line is drawn at `least`. Above 60 dB all is alike.
    """
    margin, height, most = 40.0, 240.0, 60.0
    dx, dy = (width - margin - 10) / max(len(layers), 1), (height - 20) / most

    def level(decibels: float) -> float:
        return height - 10 - min(max(decibels, 0.0), most) * dy

    parts = []
    for tick in range(0, int(most) + 1, 10):
        parts += [
            line(margin, level(tick), width, level(tick), "grid"),
            text(margin - 6, level(tick) + 4, str(tick), "end", "tick"),
        ]
    before = None
    for index, layer in enumerate(layers):
        x = margin + index * dx
        top = level(layer.alone)
        style = "loss bad" if layer.alone < least else "loss"
        parts.append(box(Box(x + dx * 0.1, top, dx * 0.8, height - 10 - top, style, "", layer.title)))
        if layer.weights is not None:
            parts.append(
                f'<circle cx="{x + dx / 2:.1f}" cy="{level(layer.weights):.1f}" r="3" class="weights"/>'
            )
        here = (x + dx / 2, level(layer.so_far))
        if before:
            parts.append(line(*before, *here, "so-far"))
        before = here
    parts.append(line(margin, level(least), width, level(least), "least"))
    return drawing(width, height, parts, "decibels by layer")
