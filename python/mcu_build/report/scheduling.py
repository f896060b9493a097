"""Several models in one arena, as text."""

from mcu_build.stages.together import Schedule
from mcu_build.tables import render

_HEADINGS = ("model", "arena", "of its first", "begins at", "more cycles, about")


def table(schedule: Schedule) -> str:
    """A row for each model, and what all take."""
    rows = [
        [
            model.name,
            f"{model.arena:,}",
            f"{model.arena / max(model.first, 1):.0%}",
            f"{model.offset:,}",
            f"{model.cycles:,}",
        ]
        for model in schedule.models
    ]
    apart = sum(model.arena for model in schedule.models)
    return (
        render(_HEADINGS, rows, right=_HEADINGS[1:])
        + f"\n{schedule.size:,} bytes together, {apart:,} apart; no placement of these plans takes less than "
        f"{schedule.bound:,}"
    )


def to_keep(schedule: Schedule) -> str:
    """What to write into the project file, so that each build takes these plans."""
    models = (
        f'[models.{model.name}]\nfile = "{model.file}"\nram = {model.arena}\n' for model in schedule.models
    )
    return "# mcu-build.toml\n" + "".join(models)
