"""16 bits that nobody asked for, where int8 ruins an output since channels of a tensor are too unlike for one
scale, and 16 bits do not.

Values are rounded between layers, so it is tensors that get more bits: all that makes one or reads it,
together. Tensors are taken in the order of what they lose alone, as few as it needs for 20 dB: by bisection,
so that a model is quantized a few times more, and only where a build would else warn of it.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcu_build.frontend.neighbours import touching
from mcu_build.quality.sqnr import LEAST_SQNR_DB, Quality
from mcu_build.quality.verdict import HARMLESS_DB, MUCH_CLIPPED, UNLIKE
from mcu_build.vectors.npz import Array

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from mcu_build.frontend.layer_quality import LayerQuality
    from mcu_build.frontend.quantize import Quantized

# Layers that a warning names.
_SHOWN = 4
# Decibels by which the core is better than an NPU to be worth a word.
_MUCH_DB = 3.0


@dataclass(frozen=True)
class Judged:
    """A quantized program, what it gives for the first vectors, and how good that is. `wide` are the
    operators that have 16 bits unasked, by their names in the float graph.
    """

    quantized: "Quantized"
    answers: Sequence[Array]
    quality: tuple[Quality, ...]
    wide: Collection[str] = ()

    @property
    def worst(self) -> float:
        """Decibels of the worst output of real numbers; infinite where all are integers."""
        return min((each.worst for each in self.quality if not each.integers), default=float("inf"))

    @property
    def is_enough(self) -> bool:
        """Whether no output is so bad that a build warns of it."""
        return self.worst >= LEAST_SQNR_DB


def widened(
    exported: "ExportedProgram", int8: Judged, attempt: Callable[[Collection[str]], Judged]
) -> Judged:
    """`int8`, or what `attempt` makes with 16 bits for as few operators of `exported` as bring every output
    to 20 dB; `int8` where all of them do not, or something else than unlike channels has ruined it.
    """
    if int8.is_enough or not any(map(_has_unlike_channels, int8.quantized.rows.values())):
        return int8
    sets = by_loss(exported, int8.quantized)
    best = attempt(sets[-1]) if sets else int8
    if not best.is_enough:
        return int8
    few, many = 0, len(sets) - 1
    while few < many:
        middle = (few + many) // 2
        judged = attempt(sets[middle])
        if judged.is_enough:
            best, many = judged, middle
        else:
            few = middle + 1
    return best


def by_loss(exported: "ExportedProgram", quantized: "Quantized") -> Sequence[frozenset[str]]:
    """Growing sets of operators, by name: those around the tensor that loses most, then those around the next
    as well, and so on to all. Operators for which the model file asks for int8 are in none.
    """
    from mcu_build.lower.assigned import asks_int8, is_int16, origin

    nodes = [node for node in exported.graph.nodes if node.op == "call_function"]
    free = {node.name: node for node in nodes if not asks_int8(node) and not is_int16(node)}
    lost: dict[str, float] = {}
    for made, row in quantized.rows.items():
        source = origin(made)
        if source is not None and source.name in free:
            lost[source.name] = min(row.sqnr_db, lost.get(source.name, row.sqnr_db))
    sets: dict[frozenset[str], None] = {}
    grown: frozenset[str] = frozenset()
    for name in sorted(lost, key=lambda name: (lost[name], name)):
        *_, around = touching(free[name])
        grown |= {node.name for node in around} & free.keys()
        sets[grown] = None
    return tuple(sets)


def _has_unlike_channels(row: "LayerQuality") -> bool:
    """Whether a layer loses most of what it reads or makes, and data beyond its range are not why."""
    return row.sqnr_db < HARMLESS_DB and row.spread > UNLIKE and row.clipped <= MUCH_CLIPPED


def warning(file: str, exported: "ExportedProgram", int8: Judged, taken: Judged) -> str:
    """What was done, and how to have it otherwise."""
    from mcu_build.frontend.precision import names_of

    nodes = [node for node in exported.graph.nodes if node.name in taken.wide]
    names = list(dict.fromkeys(full for _, full in map(names_of, nodes)))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (
        f"{file}: channels are too unlike for int8, which leaves an output with {int8.worst:.1f} dB. So "
        f"{', '.join(names[:_SHOWN])}{more} have 16 bits, with which it has {taken.worst:.1f} dB. "
        "`precision = {'*': 'int8'}` in the model file takes them back; `mcu-build tune` prices such choices."
    )


def better_alone(file: str, judged: Judged, alone: Judged) -> tuple[str, ...]:
    """What the core alone has, where an NPU's form of the model is much worse; else nothing."""
    if alone.worst < judged.worst + _MUCH_DB:
        return ()
    return (
        f"{file}: on the NPU an output has {judged.worst:.1f} dB, on the core alone {alone.worst:.1f} dB"
        f"{', with 16 bits for a part' if alone.wide else ''}: --npu none.",
    )
