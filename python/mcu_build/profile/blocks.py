"""Executed instructions by address → basic blocks, and how often control went from one to the other.

Counts by address leave open which way a conditional branch went. What enters a block equals its count, so
most ways follow from one another; where several are left, what lies next in memory is taken to have been
reached from what lies before it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mcu_build.image.decode import Instruction, Kind

_CONDITIONS = ("eq", "ne", "cs", "hs", "cc", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le")
_LOOPS = frozenset({"le", "letp", "wls", "wlstp"})


@dataclass(frozen=True)
class Block:
    """Instructions that ran one behind the other, `count` times."""

    instructions: tuple[Instruction, ...] = field(repr=False)
    count: int

    @property
    def start(self) -> int:
        """The address of the first."""
        return self.instructions[0].address

    @property
    def last(self) -> Instruction:
        """The last."""
        return self.instructions[-1]


@dataclass(frozen=True)
class Edge:
    """`source` and `target` are blocks by their numbers; `taken` says whether a branch was."""

    source: int
    target: int
    count: int
    taken: bool


@dataclass(frozen=True)
class Flow:
    """Blocks by address, the edges that are known, and how often each block's end branched."""

    blocks: tuple[Block, ...]
    edges: tuple[Edge, ...]
    taken: tuple[int, ...]


def ends_block(instruction: Instruction) -> bool:
    """Whether it may go elsewhere than to the next."""
    return instruction.kind is Kind.BRANCH or loads_pc(instruction)


def loads_pc(instruction: Instruction) -> bool:
    """Whether it branches by writing the program counter."""
    text = instruction.operands
    if instruction.kind is Kind.LOAD:
        return text.startswith("pc,") or ("{" in text and "pc" in text[text.index("{") :])
    return instruction.kind is Kind.OTHER and text.startswith("pc,") and instruction.mnemonic != "cmp"


def may_fall_through(instruction: Instruction) -> bool:
    """Whether a branch may go on with the next instruction, calls left out."""
    word = instruction.mnemonic.partition(".")[0]
    if instruction.is_conditional_branch or word in _LOOPS:
        return word != "b"
    return word.startswith(("bx", "pop", "ldm", "ldr", "mov")) and word.endswith(_CONDITIONS)


def is_call(instruction: Instruction) -> bool:
    """Whether it comes back."""
    return (
        instruction.kind is Kind.BRANCH
        and instruction.mnemonic.startswith(("bl", "blx"))
        and not (instruction.is_conditional_branch)
    )


def flow(counts: Mapping[int, int], code: Mapping[int, Instruction]) -> Flow:
    """Blocks and edges of what was executed. Linear in the executed instructions."""
    blocks = tuple(_blocks(counts, code))
    return _Solver(blocks).solve()


def _blocks(counts: Mapping[int, int], code: Mapping[int, Instruction]) -> Iterable[Block]:
    executed = [code[address] for address in sorted(counts) if counts[address]]
    targets = {instruction.target for instruction in executed if instruction.target is not None}
    run: list[Instruction] = []
    for instruction in executed:
        before = run[-1] if run else None
        if before and (
            before.address + before.size != instruction.address
            or counts[before.address] != counts[instruction.address]
            or ends_block(before)
            or instruction.address in targets
        ):
            yield Block(tuple(run), counts[run[0].address])
            run = []
        run.append(instruction)
    if run:
        yield Block(tuple(run), counts[run[0].address])


class _Solver:
    """Finds how often each conditional branch was taken."""

    def __init__(self, blocks: tuple[Block, ...]) -> None:
        self.blocks = blocks
        numbers = {block.start: number for number, block in enumerate(blocks)}
        self.next = [numbers.get(block.last.address + block.last.size) for block in blocks]
        self.target = [
            numbers.get(block.last.target) if block.last.target is not None else None for block in blocks
        ]
        self.taken: list[int | None] = [self._evident(number) for number in range(len(blocks))]
        self.sources: list[list[int]] = [[] for _ in blocks]
        self.open = [False] * len(blocks)  # reached by a call, or from where nobody knows
        for number, block in enumerate(blocks):
            target, after = self.target[number], self.next[number]
            if after is not None:
                self.sources[after].append(number)
            if target is not None and is_call(block.last):
                self.open[target] = True
            elif target is not None and target != after:
                self.sources[target].append(number)

    def _evident(self, number: int) -> int | None:
        block = self.blocks[number]
        if not ends_block(block.last):
            return 0
        if is_call(block.last):
            return block.count
        if not may_fall_through(block.last) or self.next[number] is None:
            return block.count
        return None

    def solve(self) -> Flow:
        waiting = list(range(len(self.blocks)))
        guesses = [number for number, taken in enumerate(self.taken) if taken is None]
        while True:
            while waiting:
                waiting += self._settle(waiting.pop())
            while guesses and self.taken[guesses[-1]] is not None:
                guesses.pop()
            if not guesses:
                break
            number = guesses.pop()
            after = self.next[number]
            fallen = min(self.blocks[number].count, self.blocks[after].count) if after is not None else 0
            waiting += self._set(number, self.blocks[number].count - fallen)
        taken = tuple(number or 0 for number in self.taken)
        return Flow(self.blocks, tuple(self._edges(taken)), taken)

    def _settle(self, number: int) -> list[int]:
        """Where one way into a block is left, it is the rest of its count. The blocks to look at again."""
        unknown = [source for source in self.sources[number] if self.taken[source] is None]
        if self.open[number] or len(unknown) != 1:
            return []
        (source,) = unknown
        known = sum(self._into(other, number) for other in self.sources[number] if other != source)
        flows = min(max(self.blocks[number].count - known, 0), self.blocks[source].count)
        falls = self.next[source] == number and self.target[source] != number
        return self._set(source, self.blocks[source].count - flows if falls else flows)

    def _set(self, number: int, taken: int) -> list[int]:
        self.taken[number] = taken
        return [other for other in (self.next[number], self.target[number]) if other is not None]

    def _into(self, source: int, target: int) -> int:
        """How often `source`, which is solved, went to `target`."""
        block, taken = self.blocks[source], self.taken[source] or 0
        if is_call(block.last):
            return block.count if self.next[source] == target else 0
        falls = block.count - taken if self.next[source] == target else 0
        return falls + (taken if self.target[source] == target else 0)

    def _edges(self, taken: tuple[int, ...]) -> Iterable[Edge]:
        for number, block in enumerate(self.blocks):
            target, after = self.target[number], self.next[number]
            falls = block.count if is_call(block.last) else block.count - taken[number]
            if after is not None and falls:
                yield Edge(number, after, falls, is_call(block.last))
            if target is not None and taken[number]:
                yield Edge(number, target, taken[number], True)
