"""Which layers get 16 bits, or stay in float, so that a model is as accurate as it has to be: a search on its
own data.

A value is rounded between two layers, so it is a tensor that gets more bits: all that makes it or reads it,
together. Tensors are tried in the order of what they lose alone, a few at each step, and the one that helps
most is kept. Once the aim is met, what is not needed for it goes back to int8, by halves, dearest first.
int16 costs little, so float is tried only where all of the model in int16 is not enough. The search has no
randomness: the same model gives the same answer. With a board, each step is priced by an image, and no
tensor gets bits for which there is no RAM. It ends after a number of trials, and each is kept in the
cache: a search that was interrupted goes on where it was.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcu_build.cache import Cache, hash_text, own_code
from mcu_build.dependencies import FRONT_END_CODE
from mcu_build.errors import McuError
from mcu_build.frontend import evaluation, precision, session
from mcu_build.frontend.captured import Inputs, capture_file
from mcu_build.frontend.image_price import Board, Price
from mcu_build.frontend.neighbours import LAYERS, kind, touching
from mcu_build.quality.sqnr import LEAST_SQNR_DB, MOST_DROP, judge
from mcu_build.vectors import npz
from mcu_build.vectors.compare import accuracy
from mcu_build.vectors.pack import UNLABELLED

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

# Tensors that are tried at each step, and steps.
_TRIED = 3
_MOST_STEPS = 16
# Sets of layers that are priced at each step for those that fit.
_MOST_PRICED = 8
# Trials of a search, each of which quantizes the model.
_MOST_TRIALS = 40
# Vectors over which accuracy is counted.
_MOST_VECTORS = 256
_WHY = "tried in float"
# What is not rounded at all.
_EXACT_DB = 149.0


@dataclass(frozen=True)
class Aim:
    """What has to be reached: decibels of the worst output, points of accuracy lost at most.

    Without either, it is what a build warns of: 20 dB, and 2 points where there are labels.
    """

    min_sqnr: float | None = None
    max_drop: float | None = None

    def met(self, trial: "Trial", float_accuracy: float | None) -> bool:
        """Whether a trial is as good; what has no labels drops nothing."""
        known = float_accuracy is not None and trial.accuracy is not None
        drop = 100 * ((float_accuracy or 0.0) - (trial.accuracy or 0.0)) if known else 0.0
        enough = self.min_sqnr is None or trial.sqnr_db >= self.min_sqnr
        return enough and (self.max_drop is None or drop <= self.max_drop)


@dataclass(frozen=True)
class Trial:
    """The model with some layers in float, in int16, or with weights of 4 bits. `accuracy` is a share, None
    without labels.

    `float_share` is the share of the model's multiply-accumulates that are in float, `extra_flash` the bytes
    that float weights take beyond those of int8. `flash`, `ram` and modelled `cycles` are those of an
    image for a board, where one was built.
    """

    in_float: tuple[str, ...]
    sqnr_db: float
    accuracy: float | None
    float_share: float
    extra_flash: int
    in_int16: tuple[str, ...] = ()
    in_int4: tuple[str, ...] = ()
    flash: int | None = None
    ram: int | None = None
    cycles: int | None = None

    def at(self, price: Price) -> "Trial":
        """With what its image takes."""
        return replace(self, flash=price.flash, ram=price.ram, cycles=price.cycles)

    @property
    def layers(self) -> tuple[str, ...]:
        """Those that are not int8."""
        return self.in_float + self.in_int16 + self.in_int4


@dataclass(frozen=True)
class Tuned:
    """The steps of a search, from int8 to the last, and what it has chosen.

    `precision` is to be put into the model file, with what was there already. `met`: it is enough. `trials`
    is how many there were; `ended`: no more are permitted, a better choice may exist.
    """

    steps: tuple[Trial, ...]
    chosen: Trial
    precision: Mapping[str, str]
    float_accuracy: float | None
    met: bool
    trials: int = 0
    ended: bool = False


def tune(
    file: Path,
    aim: Aim,
    step: Callable[[str], None],
    cache: Cache,
    board: Board | None = None,
    max_ram: int | None = None,
) -> Tuned:
    """Search for `file`, a model.py. McuError for any other, and without labels where `aim` needs them.

    With a `board` the steps are priced; layers get bits only where the image then has `max_ram` bytes of RAM.
    """
    bench = bench_of(file, aim)
    aim = Aim(LEAST_SQNR_DB, MOST_DROP) if aim == Aim() else aim

    def met(trial: Trial) -> bool:
        return aim.met(trial, bench.float_accuracy)

    known: dict[tuple[str, frozenset[str]], tuple[Trial, Sequence[frozenset[str]]]] = {}

    def attempt(chosen: Collection[str], width: str) -> tuple[Trial, Sequence[frozenset[str]]]:
        key = (width if chosen else precision.INT8, frozenset(chosen))
        if key not in known:
            step(f"trial {len(known) + 1} of at most {_MOST_TRIALS}: {len(chosen)} layers in {width}")
            known[key] = kept(cache, bench, chosen, width)
        return known[key]

    width = precision.INT16
    if not met(attempt((), width)[0]) and not met(attempt(bench.layers, width)[0]):
        width = precision.FLOAT

    def ended() -> bool:
        return len(known) >= _MOST_TRIALS

    def wishes(layers: Iterable[str]) -> Mapping[str, str]:
        return {**bench.wishes, **dict.fromkeys(layers, width)}

    def price(layers: Collection[str]) -> Price | None:
        step(f"image for the board: {len(layers)} layers in {width}")
        # In one order: whatever finds them, the same layers are one image.
        named = sorted(layers, key=lambda key: (-bench.work[key], key))
        try:
            return board.kept(cache, bench.key, wishes(named)) if board else None
        except McuError:
            if not layers:
                raise
            return None  # what does not link is too large

    def fits(layers: Collection[str]) -> bool:
        if board is None or max_ram is None:
            return True
        image = price(layers)
        return image is not None and image.ram <= max_ram

    steps, chosen = search(lambda layers: attempt(layers, width), met, ended)
    if not fits(chosen.layers):
        steps, chosen = search(lambda layers: attempt(layers, width), met, ended, fits)
    if board is not None:
        steps = [step.at(made) if (made := price(step.layers)) else step for step in steps]
        chosen = steps[-1]
    enough = met(chosen) and fits(chosen.layers)
    named = wishes(chosen.layers)
    return Tuned(tuple(steps), chosen, named, bench.float_accuracy, enough, len(known), ended())


def bench_of(file: Path, aim: Aim) -> "Bench":
    """A model to be tried. McuError for what is no model.py, and without labels where `aim` needs them."""
    if file.suffix != ".py":
        raise McuError(f"{file}: only a model.py has `precision`", "Give the model.py.")
    bench = Bench(file)
    if aim.max_drop is not None and bench.float_accuracy is None:
        raise McuError(
            f"{file}: --max-drop: the model has no labelled `evaluation` data",
            "Add `evaluation`, pairs of inputs and label, to the model's file (docs/model-file.md).",
        )
    return bench


def kept(
    cache: Cache, bench: "Bench", chosen: Collection[str], width: str
) -> tuple[Trial, Sequence[frozenset[str]]]:
    """A trial of this model that was made before, or a new one."""
    if bench.key is None:
        return bench.run(chosen, width)

    def produce(folder: Path) -> None:
        trial, damaged = bench.run(chosen, width)
        document = {"trial": asdict(trial), "damaged": [sorted(layers) for layers in damaged]}
        (folder / "trial.json").write_text(json.dumps(document))

    entry, _ = cache.get(hash_text("trial", bench.key, width, *sorted(chosen)), produce)
    document = json.loads((entry / "trial.json").read_text())
    fields = document["trial"]
    named = {name: tuple(fields[name]) for name in ("in_float", "in_int16", "in_int4")}
    return Trial(**{**fields, **named}), [frozenset(layers) for layers in document["damaged"]]


def search(
    attempt: Callable[[Collection[str]], tuple[Trial, Sequence[frozenset[str]]]],
    met: Callable[[Trial], bool],
    ended: Callable[[], bool] = lambda: False,
    fits: Callable[[Collection[str]], bool] = lambda layers: True,
) -> tuple[list[Trial], Trial]:
    """The trials that were kept, and the last.

    `attempt` gives a trial, and sets of layers that share a tensor, those first that lose most. Once `ended`
    says so there are no more. Layers for which there is no room are not tried: `fits` says so.
    """
    trial, damaged = attempt(())
    steps = [trial]
    while not met(trial) and len(steps) <= _MOST_STEPS and not ended():
        chosen = frozenset(trial.layers)
        sets = dict.fromkeys(chosen | layers for layers in damaged if not layers <= chosen)
        wider = list(islice((layers for layers in islice(sets, _MOST_PRICED) if fits(layers)), _TRIED))
        if not wider:
            break
        tried = [attempt(sorted(layers)) for layers in wider]
        enough = [attempted for attempted in tried if met(attempted[0])]
        if enough:
            trial, damaged = min(
                enough, key=lambda attempted: (attempted[0].float_share, len(attempted[0].layers))
            )
        else:
            trial, damaged = max(
                tried, key=lambda attempted: (attempted[0].accuracy or 0.0, attempted[0].sqnr_db)
            )
        steps.append(trial)
    if met(trial):
        trial = _without_needless(attempt, met, ended, trial)
        if trial is not steps[-1]:
            steps.append(trial)
    return steps, trial


def _without_needless(
    attempt: Callable[[Collection[str]], tuple[Trial, Sequence[frozenset[str]]]],
    met: Callable[[Trial], bool],
    ended: Callable[[], bool],
    trial: Trial,
) -> Trial:
    """The trial with as few layers as meet the aim: halves are left out, then halves of what was needed."""
    parts = [trial.layers]
    while parts and not ended():
        part = parts.pop(0)
        others = [layer for layer in trial.layers if layer not in part]
        fewer = attempt(others)[0] if others else None
        if fewer is not None and met(fewer):
            trial = fewer
        elif len(part) > 1:
            half = len(part) // 2
            parts = [part[:half], part[half:], *parts]
    return trial


class Bench:
    """A captured model that is quantized again and again, over the same data."""

    def __init__(self, file: Path) -> None:
        self.captured = capture_file(file)
        self.wishes = self.captured.precision
        self._calibration = list(session.calibration_calls(self.captured))
        self._vectors = evaluation.float_vectors(file, self.captured, [])
        self._layers = _Layers(self.captured.exported)
        vectors = evaluation.judged(self.captured.exported)
        labels = self._vectors.get("labels")
        self._labels = None
        self.float_accuracy = None
        if labels is not None and (labels[:_MOST_VECTORS] != UNLABELLED).any():
            self._labels, vectors = labels[:_MOST_VECTORS], max(vectors, _MOST_VECTORS)
            self.float_accuracy = accuracy(self._vectors["float_0"][:_MOST_VECTORS], self._labels)
        observed = self.captured.dependencies()
        # None where the state of a file is not known: nothing is kept then.
        self.key: str | None = None
        if observed.settled:
            code = own_code(*FRONT_END_CODE)
            self.key = hash_text(
                code, file.name, observed.with_files([file.resolve()]).key(file.resolve().parent)
            )
        self._floats = [array[:vectors] for array in npz.numbered(self._vectors, "float")]

    @property
    def layers(self) -> Collection[str]:
        """All of the model, by the names that `precision` knows."""
        return frozenset(self._layers.keys.values())

    @property
    def work(self) -> Mapping[str, int]:
        """Multiply-accumulates of each layer."""
        return self._layers.work

    @property
    def names(self) -> "Mapping[Node, str]":
        """The name that `precision` knows each operator by."""
        return self._layers.keys

    def examples(self, most: int) -> "list[Inputs]":
        """The inputs of the first calls of its data."""
        return list(islice(evaluation.first_inputs(self.captured, self._vectors), most))

    def run(self, chosen: Collection[str], width: str) -> tuple[Trial, Sequence[frozenset[str]]]:
        """Quantize with some layers in `width`: how good it is, and which layers lose most, by tensor."""
        from mcu_build.frontend.layer_quality import quality_by_node
        from mcu_build.frontend.quantize import convert
        from mcu_build.lower.assigned import origin
        from mcu_build.lower.upstream.quiet import quiet

        named = [node.name for node, key in self._layers.keys.items() if key in chosen]
        converted, floats = convert(
            self.captured.exported,
            self._calibration,
            lambda: evaluation.first_inputs(self.captured, self._vectors),
            in_float=dict.fromkeys(named, _WHY) if width == precision.FLOAT else {},
            in_int16=named if width == precision.INT16 else (),
            in_int4=named if width == precision.INT4 else (),
        )
        outputs = evaluation.outputs_of(self.captured, converted, self._vectors, len(self._floats[0]))
        with quiet():
            rows = quality_by_node(converted, floats)
        lost: dict[str, float] = {}
        for node, row in rows.items():
            made_from = origin(node)
            if made_from is not None and row.sqnr_db < _EXACT_DB:
                lost[made_from.name] = min(row.sqnr_db, lost.get(made_from.name, row.sqnr_db))
        by_loss = sorted(lost, key=lambda name: (lost[name], name))
        damaged = [layers for name in by_loss for layers in self._layers.touching(name)]
        share = None
        if self._labels is not None:
            share = accuracy(outputs[0][: len(self._labels)], self._labels)
        worst = min(quality.worst for quality in judge(self._floats, outputs))
        names = tuple(sorted(chosen, key=lambda key: (-self._layers.work[key], key)))
        if width == precision.FLOAT:
            return Trial(names, worst, share, *self._layers.price(chosen)), damaged
        narrow = width == precision.INT4
        return Trial((), worst, share, 0.0, 0, () if narrow else names, names if narrow else ()), damaged


class _Layers:
    """The layers of a float program by the names that `precision` knows them by, and their neighbours."""

    def __init__(self, exported: "ExportedProgram") -> None:
        self._nodes = {node.name: node for node in exported.graph.nodes if node.op == "call_function"}
        names = {node: precision.names_of(node) for node in self._nodes.values()}
        modules = {module for module, _ in names.values()}
        around = {outer for module in modules for outer in _outer(module)}
        self.keys: dict[Node, str] = {
            node: full if not module or module in around else module for node, (module, full) in names.items()
        }
        self.work: dict[str, int] = {}
        self._weights: dict[str, int] = {}
        for node, key in self.keys.items():
            macs, weights = _size(node)
            self.work[key] = self.work.get(key, 0) + macs
            self._weights[key] = self._weights.get(key, 0) + weights

    def price(self, in_float: Collection[str]) -> tuple[float, int]:
        """The share of multiply-accumulates that layers have, and the bytes that their weights take more."""
        macs = sum(self.work[key] for key in in_float)
        return macs / max(sum(self.work.values()), 1), 3 * sum(self._weights[key] for key in in_float)

    def touching(self, name: str) -> Iterator[frozenset[str]]:
        """The layers around what an operator makes (neighbours.py)."""
        if (node := self._nodes.get(name)) is not None:
            for around in touching(node):
                yield frozenset(self.keys[neighbour] for neighbour in around)


def _outer(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _size(node: "Node") -> tuple[int, int]:
    """Multiply-accumulates and weights; an operator without weights does one thing for each element."""
    made = _shape(node)
    weight: Any = node.args[1] if kind(node) in LAYERS else None
    if weight is None or not _shape(weight):
        return prod(made), 0
    return prod(made) * prod(_shape(weight)[1:]), prod(_shape(weight))


def _shape(node: Any) -> tuple[int, ...]:
    value = node.meta.get("val")
    return tuple(int(size) for size in getattr(value, "shape", ()))
