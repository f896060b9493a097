"""Tables for a person, as plain text: as wide as the terminal, or as the cells where there is none."""

import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Sequence
from io import StringIO
from typing import Literal

_NARROWEST, _WIDEST = 80, 200
# Columns between two cells, at most.
_BETWEEN = 2
# Wide enough for anything: what goes to a file or a pipe is not cut.
_UNLIMITED = 10_000


def width() -> int:
    """Columns that a table may take on stdout."""
    if not sys.stdout.isatty():
        return _UNLIMITED
    return max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns))


def wrapped(text: str, columns: int | None = None) -> str:
    """A text whose lines are no wider than `columns` (the terminal), broken between words.

    Rows of tables, and what is set in by four spaces to be copied, stay as they are.
    """
    most = columns or width()
    return "\n".join(part for line in text.split("\n") for part in _wrapped(line, most))


def _wrapped(line: str, columns: int) -> list[str]:
    if len(line) <= columns or line.startswith(("    ", "|")):
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(
        line, columns, subsequent_indent=f"{indent}  ", break_long_words=False, break_on_hyphens=False
    )


def render(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    right: Collection[str] = (),
    columns: int | None = None,
    optional: Sequence[str] = (),
) -> str:
    """A table with a line below its headings; columns named in `right` hold numbers and are aligned there.

    Where it is wider than `columns` (the terminal), those of `optional` are left out, from the first on; then
    words lose their middle, so that both ends of a name can be read. Numbers are never cut.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    headings, cells = _that_fit(headings, [list(row) for row in rows], columns or width(), optional)
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    longest = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    words = [index for index, heading in enumerate(headings) if heading not in right]
    room = (columns or width()) - _BETWEEN * len(headings)
    widths = _shrunk(longest, words, room)
    for heading, most in zip(headings, widths, strict=True):
        justify: Literal["left", "right"] = "right" if heading in right else "left"
        made.add_column(heading, justify=justify, no_wrap=True, overflow="ellipsis", width=most)
    for row in cells:
        # A name in brackets is not markup.
        made.add_row(*(Text(middle_cut(cell, most)) for cell, most in zip(row, widths, strict=True)))
    written = StringIO()
    Console(file=written, width=columns or width(), color_system=None).print(made)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()).strip("\n") + "\n"


def middle_cut(cell: str, most: int) -> str:
    """A cell in so many letters, an ellipsis for its middle where it has more."""
    if len(cell) <= most:
        return cell
    front = most // 2
    return f"{cell[:front]}…{cell[len(cell) - (most - front - 1) :]}"


def _that_fit(
    headings: Sequence[str], cells: list[list[str]], columns: int, optional: Sequence[str]
) -> tuple[Sequence[str], list[list[str]]]:
    """The table without as many of the `optional` columns as it takes, the first first."""
    for name in optional:
        taken = sum(max(map(len, column)) + _BETWEEN for column in zip(headings, *cells, strict=True))
        if taken <= columns:
            break
        index = list(headings).index(name)
        headings, *cells = [[*row[:index], *row[index + 1 :]] for row in (headings, *cells)]
    return headings, cells


def _shrunk(longest: Sequence[int], words: Sequence[int], room: int) -> list[int]:
    """The widths of columns that fit into `room` together: the widest of those with words give way first."""
    widths = list(longest)
    while words and sum(widths) > room and max(widths[index] for index in words) > 1:
        widths[max(words, key=lambda index: widths[index])] -= 1
    return widths
