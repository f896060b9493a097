"""All that is known of a build in one object, of which the page, the trace, the graph and JSON are made."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from mcu_build.image.size import Size
from mcu_build.layer_names import layer_name, short_operator
from mcu_build.quality.metrics import Metric

if TYPE_CHECKING:
    from mcu_build.profile.measure import Profile

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Budget:
    """What is used of what there is. `limit` is None where nothing is set; with `least` more is better."""

    name: str
    used: float
    limit: float | None
    unit: str
    least: bool = False

    @property
    def exceeded(self) -> bool:
        """Whether it is above the limit, or below the least."""
        if self.limit is None:
            return False
        return self.used < self.limit if self.least else self.used > self.limit


@dataclass(frozen=True)
class Row:
    """A step of the plan, or an operation of the NPU within one (`inner`).

    `cycles` are modelled, or the NPU compiler's estimate; the figures are None where they are not known.
    """

    step: int
    label: str
    line: str
    kernel: str
    where: str
    macs: int
    instructions: int | None = None
    cycles: int | None = None
    milliseconds: float | None = None
    sqnr_db: float | None = None
    accumulated_db: float | None = None
    inner: bool = False


@dataclass(frozen=True)
class Accuracy:
    """The verdict of a test. Models and device have shares of right answers where there are labels."""

    vectors: int
    elements: int
    mismatches: int
    float_model: float | None = None
    int8_model: float | None = None
    device: float | None = None


@dataclass(frozen=True, repr=False)
class Report:
    """A build seen at a glance. Parts that were not made are None or empty; `notes` say why."""

    name: str
    board: str
    title: str
    memory: Document
    steps: tuple[Document, ...] = ()
    tensors: tuple[Document, ...] = ()
    arena: tuple[Document, ...] = ()
    npu: Document | None = None
    removed: Document | None = None
    warnings: tuple[str, ...] = ()
    quality: tuple[Document, ...] = ()
    layers: tuple[Document, ...] = ()
    size: Size | None = None
    profile: "Profile | None" = None
    accuracy: Accuracy | None = None
    budgets: tuple[Budget, ...] = ()
    clock: int | None = None
    notes: tuple[str, ...] = ()
    metric: Metric | None = None

    def __repr__(self) -> str:
        return f"<report on {self.name} for {self.board}>"

    def _repr_html_(self) -> str:
        from mcu_build.report.page import fragment

        return fragment(self)

    @property
    def unit(self) -> str:
        """What the core's time is counted in: cycles where they are modelled, else instructions."""
        modelled = self.profile is not None and self.profile.total.cycles is not None
        return "cycles" if modelled else "instructions"

    @property
    def total(self) -> int | None:
        """Cycles, or instructions, of one inference on the core; None without a profile."""
        if self.profile is None:
            return None
        cost = self.profile.total
        return cost.instructions if cost.cycles is None else cost.cycles

    @property
    def npu_cycles(self) -> int | None:
        """What the NPU's compiler estimates for all that the NPU does; None without an NPU's work."""
        delegates = self.npu["compiler_estimates"]["delegates"] if self.npu else ()
        return sum(delegate["cycles"] for delegate in delegates) if delegates else None

    def milliseconds(self, cycles: int | None) -> float | None:
        """What cycles take at the board's clock; None where either is not known."""
        return None if cycles is None or not self.clock else 1000 * cycles / self.clock

    def rows(self) -> tuple[Row, ...]:
        """Every step, and behind a step of the NPU its operations."""
        named: dict[str, list[Document]] = {}
        for layer in self.layers:
            named.setdefault(layer["name"], []).append(layer)
        delegates = iter(self.npu["compiler_estimates"]["delegates"] if self.npu else ())
        rows = []
        for index, step in enumerate(self.steps):
            rows.append(_with_quality(self._row(index, step), step, named))
            inside = next(delegates, {"layers": ()}) if step["where"] == "npu" else {"layers": ()}
            rows += _joined(
                _with_quality(_operation(index, layer), layer, named) for layer in inside["layers"]
            )
        return tuple(rows)

    def _row(self, index: int, step: Document) -> Row:
        label = layer_name(step["name"], step["operator"], step["shape"])
        row = Row(index, label, step["layer"], step["kernel"], step["where"], step["macs"])
        if self.profile is None or len(self.profile.layers) != len(self.steps):
            return row
        cost = self.profile.layers[index].cost
        milliseconds = self.milliseconds(cost.cycles)
        return replace(row, instructions=cost.instructions, cycles=cost.cycles, milliseconds=milliseconds)

    def edges(self) -> set[tuple[int, int]]:
        """Which step reads what which step has written, by their indices."""
        owners = {tensor["id"]: tensor["alias_of"] for tensor in self.tensors}

        def owner(id: int) -> int:
            while owners.get(id) is not None:
                id = owners[id]
            return id

        writers: dict[int, list[int]] = {}
        edges = set()
        for index, step in enumerate(self.steps):
            for id in step["arguments"]:
                if id is not None and id not in step["writes"]:
                    edges |= {(writer, index) for writer in writers.get(owner(id), ())}
            for id in step["writes"]:
                before = writers.setdefault(owner(id), [])
                if step["where"] == "npu":
                    # Its inputs and outputs lie in its scratch memory.
                    edges |= {(writer, index) for writer in before}
                    before.clear()
                before.append(index)
        return edges


def _operation(index: int, layer: Document) -> Row:
    """What the NPU does in a step, as its compiler estimates it."""
    label = layer_name(layer["name"], layer["output_of"] or layer["operator"], layer["shape"])
    kernel = f"{layer['operator']} of the NPU"
    return Row(index, label, layer["layer"], kernel, "npu", layer["macs"], cycles=layer["cycles"], inner=True)


def _joined(rows: Iterable[Row]) -> Iterator[Row]:
    """Neighbours that do the same for one layer as one row: some operators become dozens of equal parts."""
    for _, group in groupby(rows, key=lambda row: replace(row, macs=0, cycles=None)):
        first, *others = same = list(group)
        if others:
            first = replace(
                first,
                kernel=f"{first.kernel}, {len(same)} times",
                macs=sum(row.macs for row in same),
                cycles=sum(row.cycles or 0 for row in same),
            )
        yield first


def _with_quality(row: Row, step: Document, named: Mapping[str, Sequence[Document]]) -> Row:
    """The row with the decibels of the layer of the float model that it computes."""
    operator = short_operator(step.get("output_of") or step["operator"])
    own = named.get(step["name"], ())
    best = next((layer for layer in own if operator.endswith(short_operator(layer["operator"]))), None)
    if best is None or row.where == "boundary":
        return row
    return replace(row, sqnr_db=best["sqnr_db"], accumulated_db=best["accumulated_db"])


def of_profile(profile: "Profile") -> Report:
    """A report that knows a profile alone."""
    steps = tuple(
        {
            "name": layer.name,
            "operator": layer.operator,
            "shape": list(layer.shape),
            "kernel": layer.kernel,
            "where": "npu" if layer.kernel == "ethos_u" else "int8",
            "layer": layer.line,
            "macs": layer.macs,
            "arguments": [],
            "writes": [],
        }
        for layer in profile.layers
    )
    title = f"{profile.core}, {profile.toolchain}"
    return Report(
        profile.name,
        profile.board,
        title,
        memory={},
        steps=steps,
        npu=profile.npu,
        removed=profile.removed,
        profile=profile,
        clock=profile.clock,
    )


def of_size(size: Size) -> Report:
    """A report that knows where flash and RAM go alone."""
    return Report("size", "", "where flash and RAM go", memory={}, size=size, budgets=regions(size))


def regions(size: Size) -> tuple[Budget, ...]:
    """How full the memories of the board are."""
    return tuple(Budget(region.name, region.used, region.size, "bytes") for region in size.regions)
