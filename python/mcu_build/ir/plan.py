"""The one intermediate representation: what runs, in which order, on which bytes.

A Plan is a straight line of kernel calls over tensors. Operators have become calls of C++ kernels with
their parameter structs filled in; shapes are those of memory (outermost dimension first), so nothing
downstream needs to know about dimension orders. Passes take a Plan and return a Plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mcu_build.choices import Optimize as Optimize
from mcu_build.ir.calls.call import Call
from mcu_build.ir.calls.outside import Delegated, EthosU
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.tensor import ALIGNMENT as ALIGNMENT
from mcu_build.ir.tensor import DType as DType
from mcu_build.ir.tensor import Quantization as Quantization
from mcu_build.ir.tensor import Tensor as Tensor

# Among a board's folders of kernels: its core starts two instructions a cycle, as emitted code is to know.
DUAL_ISSUE = "dual_issue"


@dataclass(frozen=True)
class Emitted:
    """A function of C++ that is made for a call: its name in mcu::kernels::<scope>, and its text."""

    name: str
    text: str = field(repr=False)
    scope: str = "mve"


@dataclass(frozen=True)
class Step:
    """One call of a kernel: `mcu::kernels::<kernel>(params, arguments...)`.

    `call` is what it computes. What follows is how: at first by the portable kernel of the call, then by what
    a core has instead (plan/specialize). `source` is the stem of the header and of the source file that hold
    the kernel. `arguments` are tensor ids in the order of the kernel's pointer parameters (None is a null
    pointer): what it reads, then what it writes, then scratch. `writes` are the ids among them that are
    written. `operator` is the program's operator, `layer` the line of the user's model that it stands in and
    `name` the path of its module there (either may be empty).
    `inplace` says for inputs by id how many bytes below them the output must start at least if it takes over
    their memory, and `inplace_multiple` what that must be a multiple of. `low_scratch` are ways to make the
    same call with less memory, slower ones last (plan/memory). `core` is emitted for the call, which
    takes it behind its params. `inner` are the steps that take the place of this one when all is placed
    (plan/rows); `part_of` is the image of which such a step makes some rows.
    """

    operator: str
    layer: str
    call: Call
    kernel: str
    source: str
    params: Struct | None
    arguments: tuple[int | None, ...]
    writes: tuple[int, ...]
    inplace: Mapping[int, int] = field(default_factory=dict)
    inplace_multiple: int = 1
    low_scratch: "tuple[Step, ...]" = ()
    name: str = ""
    core: Emitted | None = None
    inner: "tuple[Step, ...]" = ()
    part_of: int | None = None

    @classmethod
    def of(cls, operator: str, layer: str, call: Call, name: str = "") -> "Step":
        """The call by its portable kernel."""
        kernel = (call.kernel, call.source, call.params, call.arguments, call.writes)
        return cls(operator, layer, call, *kernel, name=name)

    def calling(self, call: Call) -> "Step":
        """Another call in its place, by its portable kernel."""
        return Step.of(self.operator, self.layer, call, self.name)

    def renamed(self, names: Mapping[int, int]) -> "Step":
        """The same on the tensors that have taken the places of others."""
        return replace(
            self,
            call=self.call.renamed(names),
            arguments=tuple(None if id is None else names.get(id, id) for id in self.arguments),
            writes=tuple(names.get(id, id) for id in self.writes),
            inplace={names.get(id, id): distance for id, distance in self.inplace.items()},
            low_scratch=tuple(step.renamed(names) for step in self.low_scratch),
            inner=tuple(step.renamed(names) for step in self.inner),
        )

    @property
    def reads(self) -> tuple[int, ...]:
        """Ids of the tensors that are read."""
        return tuple(id for id in self.arguments if id is not None and id not in self.writes)

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.call.macs


@dataclass(frozen=True)
class Arena:
    """Where each activation lies: byte offsets from the arena's start, by id of the tensor that owns bytes.

    `peak_step` is the index of the step at which the arena is fullest, `lower_bound` the bytes that are
    live there: no placement can need less.

    Where it is spread over memories of the board, `elsewhere` has the bytes of those behind the first, by
    name, `memory_of` the memory of the tensors that lie there, from whose start their offsets count; `size`
    is that of all together. `over` are the bytes that these lack, `waits` the cycles that reads are thought
    to wait.
    """

    size: int
    offsets: Mapping[int, int]
    peak_step: int
    lower_bound: int
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    memory_of: Mapping[int, str] = field(default_factory=dict)
    over: int = 0
    waits: float = 0.0

    @property
    def first_size(self) -> int:
        """Bytes in the first memory."""
        return self.size - sum(self.elsewhere.values())


@dataclass(frozen=True)
class Removed:
    """Channels that a layer no longer makes: `channels` of `of`; bytes of weights and MACs that it saves."""

    operator: str
    layer: str
    channels: int
    of: int
    nbytes: int
    macs: int
    name: str = ""


@dataclass(frozen=True)
class Plan:
    """A model, compiled: tensors by id, steps in order, ids of inputs and outputs.

    `program_arena_bytes` is what ExecuTorch's own memory plan takes for the same program. `removed` tells
    which channels of the program the plan has left out (plan/simplify). `program_constants` are the bytes of
    the constants before kernels laid them out, and `plain_steps` steps that keep theirs so that they fit the
    flash (plan/specialize). `initial_state` is what the memory of its state holds before the first call, and
    `state_offsets` are where each state begins there. For one that is a ring, `state_rings` has the offset of
    an int32, at which byte of the ring it begins, and the bytes of the ring; else None.
    `output_names` are the paths to its outputs in the model's result ('boxes', 'heads[0]'), where known.
    `constants_in` names the memory of constants, by id, that lie in another than the board's first for them.
    `hop` are the samples of a stream that a call takes, `first_result` the calls after which all outputs mean
    something; 0 for a model that is no stream. `first_memories` are those for activations and for constants
    that come first, where options name others than the board's own: empty strings where they do not.
    """

    name: str
    tensors: Mapping[int, Tensor]
    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    program_arena_bytes: int = 0
    placed: Arena | None = None
    removed: tuple[Removed, ...] = ()
    program_constants: int = 0
    plain_steps: int = 0
    initial_state: bytes = b""
    state_offsets: tuple[int, ...] = ()
    state_rings: tuple[tuple[int, int] | None, ...] = ()
    output_names: tuple[str, ...] = ()
    hop: int = 0
    first_result: int = 0
    constants_in: Mapping[int, str] = field(default_factory=dict)
    first_memories: tuple[str, str] = ("", "")

    @property
    def arena(self) -> Arena:
        """Where its activations lie. ValueError before they have been placed."""
        if self.placed is None:
            raise ValueError(f"{self.name}: the plan has not been placed")
        return self.placed

    @property
    def npu(self) -> int | None:
        """The CONFIG register of the NPU that steps run on; None where none does."""
        for step in self.steps:
            if isinstance(step.call, EthosU):
                return step.call.params.configuration
            if isinstance(step.call, Delegated):
                return step.call.configuration
        return None

    @property
    def fast_size(self) -> int:
        """Bytes of fast scratch memory outside the arena."""
        return max((tensor.nbytes for tensor in self.tensors.values() if tensor.fast), default=0)

    def with_arena(self, arena: Arena) -> "Plan":
        """The same plan with its activations placed."""
        return replace(self, placed=arena)

    def with_quantization(self, known: Mapping[int, Quantization | None]) -> "Plan":
        """The same plan with the quantization of some tensors, by id, where it is known."""
        noted = {id: replace(self.tensors[id], quantization=q) for id, q in known.items() if q}
        return replace(self, tensors={**self.tensors, **noted})

    def owner(self, id: int) -> Tensor:
        """The tensor that owns the bytes of tensor `id`: itself, or the end of its chain of aliases."""
        tensor = self.tensors[id]
        while tensor.alias_of is not None:
            tensor = self.tensors[tensor.alias_of]
        return tensor

    def output_shape(self, step: Step) -> tuple[int, ...]:
        """The shape, as the model has it, of what a step writes; empty where that is scratch memory alone."""
        written = self.tensors[step.writes[0]] if step.writes else None
        return written.model_shape if written and written.name != "scratch" else ()

    def offset(self, id: int) -> int:
        """Byte offset in the arena; of state and of inputs by rows in their memory. KeyError: a constant."""
        tensor, offset = self.tensors[id], 0
        while tensor.alias_of is not None:
            offset += tensor.alias_offset
            tensor = self.tensors[tensor.alias_of]
        if tensor.image:
            return offset
        start = self.arena.offsets[tensor.id] if tensor.state is None else tensor.state
        return start + offset

    def arena_name(self, id: int) -> str:
        """The array that holds a tensor of the arena: one for each memory that it is spread over."""
        memory = self.arena.memory_of.get(self.owner(id).id)
        return f"{self.name}_arena" + (f"_{memory}" if memory else "")
