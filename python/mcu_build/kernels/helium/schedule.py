"""Instructions of a basic block in the order that a Cortex-M55 executes without waiting.

A list scheduler by the rules of docs/cycle-model.md: one instruction starts in a cycle, those of Helium hold
their pipe for two, and results have latencies. Whatever is emitted keeps its dependences, so that outputs
stay the same. The order is for the core that the rules are of, and right on all.
"""

import re
from dataclasses import dataclass, field

_REGISTER = re.compile(r"\b(r1[0-2]|r\d|lr|q[0-7]|d1[0-5]|d\d)\b")
_STACK = re.compile(r"\[(?:sp|r9), #(\d+)\]")
_ADDRESS = re.compile(r"\[([^\]]*)\](!|, #-?\d+)?")
_NARROWING = ("vqshrn", "vqrshrn")
_ACCUMULATES = ("vmladava", "vsri", *_NARROWING)
_MEMORY = ("vldr", "vstr", "ldr", "str")
_MULTIPLY = ("vmladav", "vqrdmulh", "vmul", "vmov")
_INTEGER = ("vadd", "vqadd", "vqshl", "vshr", "vsri", "vmax", "vmin", "vdup", *_NARROWING)
_LATENCIES = {
    **{"vmladav": 2, "vqrdmulh": 2, "vmul": 2, "vqshl": 2, "vsri": 2, "vmov": 2, "ldr": 2},
    **dict.fromkeys(_NARROWING, 3),
}
_GATHER_EARLY = 3  # cycles that a gather's address is read before its start


@dataclass
class _Node:
    """An instruction, with those that have to start some cycles after it."""

    text: str
    reads: frozenset[str]
    writes: frozenset[str]
    updated: frozenset[str]  # of these, addresses that are advanced
    after: list[tuple["_Node", int]] = field(default_factory=list)
    waits: int = 0
    earliest: int = 0
    path: int = 0

    @property
    def word(self) -> str:
        return self.text.rpartition("\\n ")[2]

    @property
    def pipe(self) -> str:
        """Which it holds."""
        for pipe, words in (("memory", _MEMORY), ("multiply", _MULTIPLY), ("integer", _INTEGER)):
            if self.word.startswith(words):
                return pipe
        return ""

    @property
    def hold(self) -> int:
        """Cycles that it holds its pipe."""
        return 2 if self.word.startswith("v") and not re.match(r"vmov d|vctp", self.word) else 1

    @property
    def length(self) -> int:
        """Cycles until another one can start: a predicate takes one, as does each register of a pair."""
        return 1 + self.text.startswith("vpst") + self.word.startswith("ldrd")

    @property
    def latency(self) -> int:
        """Cycles until its result can be read."""
        return next((cycles for word, cycles in _LATENCIES.items() if self.word.startswith(word)), 1)


def schedule(lines: list[str]) -> list[str]:
    """`lines` without labels and branches in another order. A predicate and what it is for are one line."""
    nodes = [_parsed(line) for line in lines]
    _depend(nodes)
    products: _Node | None = None
    for node in reversed(nodes):
        node.path = max((cycles + other.path for other, cycles in node.after), default=0)
        if node.word.startswith("vmladav"):
            # Products take turns in their pipe, which is the one that is never to be idle.
            node.path = max(node.path, products.path + node.hold if products else 0)
            products = node
    order, now = list[str](), 0
    free: dict[str, int] = {}
    ready = [node for node in nodes if not node.waits]
    while ready:
        starts = [max(now, node.earliest, free.get(node.pipe, 0) if node.pipe else 0) for node in ready]
        index = min(range(len(ready)), key=lambda i: (starts[i], -ready[i].path, i))
        node, start = ready.pop(index), starts[index]
        order.append(node.text)
        now = start + node.length
        free[node.pipe] = now - 1 + node.hold
        for other, cycles in node.after:
            other.waits -= 1
            other.earliest = max(other.earliest, start + cycles)
            if not other.waits:
                ready.append(other)
    return order


def _depend(nodes: list[_Node]) -> None:
    """What follows what, by the registers and places on the stack that they name."""
    for index, node in enumerate(nodes):
        for before in nodes[:index]:
            cycles = 0
            if before.updated & node.reads:
                cycles = before.length
            elif before.writes & node.reads:
                early = _GATHER_EARLY if re.search(r"\[q\d", node.text) else 0
                cycles = before.length - 1 + before.latency + early
            elif before.reads & node.writes or before.writes & node.writes:
                cycles = 1
            if cycles:
                before.after.append((node, cycles))
                node.waits += 1


def _parsed(text: str) -> _Node:
    """Registers and words of the frame that an instruction reads and writes; p0 is the predicate."""
    word = text.rpartition("\\n ")[2]
    mnemonic, _, operands = word.partition(" ")
    reads, writes = set[str](), set[str]()
    if text.startswith("vpst"):
        reads.add("p0")
    address = _ADDRESS.search(operands)
    places, updated = set[str](), set[str]()
    if address:
        reads |= _names(address.group(1))
        if address.group(2):
            updated = _names(address.group(1).partition(",")[0])
        stack = _STACK.search(operands)
        if stack:
            places = {f"frame+{int(stack.group(1)) + 4 * i}" for i in range(1 + mnemonic.startswith("ldrd"))}
        operands = _ADDRESS.sub("", operands)
    parts = [part for part in operands.split(",") if part.strip()]
    if mnemonic.startswith(("vstr", "str")):
        reads |= _names(operands)
        writes |= places
    elif mnemonic.startswith("vctp"):
        reads |= _names(operands)
        writes.add("p0")
    else:
        results = 2 if mnemonic.startswith("ldrd") else 1
        writes |= _names(",".join(parts[:results]))
        reads |= _names(",".join(parts[results:])) | places
        if mnemonic.startswith(_ACCUMULATES) or (len(parts) == 2 and mnemonic.startswith("vqshl")):
            reads |= _names(parts[0])
    if mnemonic in ("subs", "cmp"):
        writes.add("flags")
    return _Node(text, frozenset(reads), frozenset(writes | updated), frozenset(updated))


def _names(text: str) -> set[str]:
    """Registers in `text`, a vector as its two halves."""
    names = set[str]()
    for name in _REGISTER.findall(text):
        if name[0] == "q":
            names |= {f"d{2 * int(name[1:])}", f"d{2 * int(name[1:]) + 1}"}
        else:
            names.add(name)
    return names
