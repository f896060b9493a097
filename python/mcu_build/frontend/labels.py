"""Labels of evaluation data against what the model gives."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcu_build.errors import McuError


def check_labels(file: Path, labels: Sequence[object], classes: int) -> None:
    """McuError where a label is no class of the first output, which has `classes` elements."""
    for index, label in enumerate(labels):
        if isinstance(label, int) and not 0 <= label < classes:
            raise McuError(
                f"{file}: evaluation[{index}]: the label is {label}, and the model's first output has "
                f"{classes} classes, 0 to {classes - 1}",
                "A label is the index of the right class, counted from 0, or None.",
            )


def labels_at_hand(evaluation: Any) -> tuple[int | None, ...]:
    """The labels of evaluation data that lie there as a list of pairs: looking at them consumes nothing."""
    if not isinstance(evaluation, list | tuple):
        return ()
    pairs = all(isinstance(item, tuple | list) and len(item) == 2 for item in evaluation)
    return tuple(item[1] if type(item[1]) is int else None for item in evaluation) if pairs else ()
