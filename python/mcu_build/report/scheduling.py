"""Several models in one arena, as text."""

from mcu_build.stages.together import Schedule
from mcu_build.tables import render

_HEADINGS = ("model", "arena", "of its first", "begins at", "more cycles, about")


def table(found: Schedule) -> str:
    """A row for each model, and what all take."""
    rows = [
        [
            one.name,
            f"{one.arena:,}",
            f"{one.arena / max(one.first, 1):.0%}",
            f"{one.offset:,}",
            f"{one.cycles:,}",
        ]
        for one in found.models
    ]
    apart = sum(one.arena for one in found.models)
    return (
        render(_HEADINGS, rows, right=_HEADINGS[1:])
        + f"\n{found.size:,} bytes together, {apart:,} apart; no placement of these plans takes less than "
        f"{found.bound:,}"
    )


def to_keep(found: Schedule) -> str:
    """What to write into the project file, so that each build takes these plans."""
    models = (f'[models.{one.name}]\nfile = "{one.file}"\nram = {one.arena}\n' for one in found.models)
    return "# mcu-build.toml\n" + "".join(models)
