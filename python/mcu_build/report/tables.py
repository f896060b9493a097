"""Tables for a person, as plain text."""

from collections.abc import Collection, Iterable, Sequence
from io import StringIO

_WIDTH = 160


def render(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> str:
    """A table with a line below its headings; columns named in `right` are aligned there."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        made.add_column(heading, justify="right" if heading in right else "left", no_wrap=True)
    for row in rows:
        # A name in brackets is not markup.
        made.add_row(*(Text(cell) for cell in row))
    written = StringIO()
    Console(file=written, width=_WIDTH, color_system=None).print(made)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()).strip("\n") + "\n"
