"""How many bytes of stack a function needs with all that it calls, from the instructions of an image.

An upper bound: whatever a function takes off the stack pointer anywhere counts, and a call that ends a
function counts as one that comes back. A call through a pointer counts as that of the deepest kernel that
nothing calls directly; where such a kernel makes one itself, of those that make none: kernels do not call
each other in circles. Where kernels have numbers (mcu/runtime/kernel.h), what calls them by number comes
before them. What an interrupt adds is not part of it, nor what the application's own function takes that the
NPU's driver calls when a job is done: kws_run() gives it none.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mcu_build.image.decode import Instruction
from mcu_build.image.elf import Image, Symbol

_SAVED = re.compile(r"^(push|vpush|stmdb|stmfd|vstmdb)$")
_BEFORE = re.compile(r"\[sp, #-(\d+)\]!")
_TAKEN = re.compile(r"^sp, (?:sp, )?#(\d+)$")
_RANGE = re.compile(r"([rsdq]|lr|ip|fp|sl|sb)(\d*)(?:-[rsdq]?(\d+))?")
# The function of an entry of a kernel set: a lambda, as clang and gcc call it.
_NUMBERED = re.compile(r"(runtime6kernel|kernels_numbered).*(8__invoke|4_FUN)")
# The NPU's driver, in an export under the model's name: its one call through a pointer is that of `done`.
_CALLS_DONE = re.compile(r"^_ZN(3mcu7|\d+\w+_)ethos_u\d")
_BYTES = {"s": 4, "d": 8, "q": 16}


@dataclass(frozen=True)
class Stack:
    """Bytes that are needed; None where that cannot be determined, with the reason."""

    size: int | None
    reason: str = ""


def stack_needed(image: Image, code: Mapping[int, Instruction], names: Sequence[str]) -> Stack:
    """The most that one of the functions `names` needs."""
    functions = {symbol.address: symbol for symbol in image.symbols if symbol.address in code}
    depths: dict[int, int] = {}
    direct = {instruction.target for instruction in code.values()}
    kernels = [at for at, symbol in functions.items() if "kernels" in symbol.name and at not in direct]
    numbered = [at for at in kernels if _NUMBERED.search(functions[at].name)]
    kernels = [at for at in kernels if at not in numbered]
    last = [at for at in kernels if not any(map(_is_pointer_call, _within(functions[at], code)))]
    pointed = {at: last if at in kernels else kernels for at in functions}
    if numbered:
        pointed |= {at: numbered for at, symbol in functions.items() if "kernels" not in symbol.name}
    try:
        roots = [symbol for symbol in functions.values() if symbol.name in names]
        return Stack(max(_depth(symbol, functions, code, pointed, depths, ()) for symbol in roots))
    except _UnknownError as unknown:
        return Stack(None, str(unknown))


class _UnknownError(Exception):
    pass


def _depth(
    function: Symbol,
    functions: Mapping[int, Symbol],
    code: Mapping[int, Instruction],
    pointed: Mapping[int, Sequence[int]],
    depths: dict[int, int],
    above: tuple[int, ...],
) -> int:
    """Bytes from a function on; `above` are those that called it, `found` what is known already.

    `pointed` are the functions that a call through a pointer may reach, by the one that makes it.
    """
    start, end = function.address, function.address + function.size
    if start in above:
        raise _UnknownError(f"{function.name} calls itself")
    if start not in depths:
        own, deepest = 0, 0
        for instruction in _within(function, code):
            own += frame_bytes(instruction, function.name)
            for target in _callees(instruction, function, pointed.get(start, ())):
                if not start <= target < end:
                    callee = _function_at(target, function.name, functions, code)
                    chain = (*above, start)
                    deepest = max(deepest, _depth(callee, functions, code, pointed, depths, chain))
        depths[start] = own + deepest
    return depths[start]


def _function_at(
    address: int, caller: str, functions: Mapping[int, Symbol], code: Mapping[int, Instruction]
) -> Symbol:
    """What begins at an address: a function, or the rest of one: the compiler's floats share their ends.

    Its divisions have names without a size: such a function ends where the next begins.
    """
    if address in functions:
        return functions[address]
    for symbol in functions.values():
        end = symbol.address + symbol.size
        if symbol.address < address < end:
            return replace(symbol, address=address, size=end - address)
    if address in code:
        end = min((function for function in functions if function > address), default=max(code) + 4)
        return Symbol(f"the code at {address:#x}", address, end - address)
    raise _UnknownError(f"{caller} calls {address:#x}, which is no function")


def frame_bytes(instruction: Instruction, function: str = "") -> int:
    """What an instruction takes off the stack pointer."""
    word, operands = instruction.mnemonic.partition(".")[0], instruction.operands
    if _SAVED.match(word) and ("push" in word or operands.startswith("sp!")):
        return sum(_saved(item) for item in operands.partition("{")[2].rstrip("}").split(","))
    if before := _BEFORE.search(operands):
        return int(before.group(1))
    if word in ("sub", "subs", "subw") and operands.startswith("sp,"):
        taken = _TAKEN.match(operands)
        if taken is None:
            raise _UnknownError(f"{function} takes an amount of stack that it computes")
        return int(taken.group(1))
    return 0


def _saved(item: str) -> int:
    """Bytes of `r4`, `lr`, `r4-r7` or `d8-d15`."""
    parts = _RANGE.match(item.strip())
    if parts is None:
        return 4
    kind, first, last = parts.groups()
    return _BYTES.get(kind, 4) * (int(last) - int(first) + 1 if last else 1)


def _callees(instruction: Instruction, function: Symbol, pointed: Sequence[int]) -> Sequence[int]:
    """Where a call or a branch may go."""
    if _is_pointer_call(instruction):
        if _CALLS_DONE.search(function.name):
            return ()
        if not pointed:
            raise _UnknownError(f"{function.name} calls through a pointer")
        return pointed
    return () if instruction.target is None else (instruction.target,)


def _is_pointer_call(instruction: Instruction) -> bool:
    return instruction.mnemonic.startswith("blx") and instruction.target is None


def _within(function: Symbol, code: Mapping[int, Instruction]) -> Iterator[Instruction]:
    """The instructions of a function."""
    places = range(function.address, function.address + function.size, 2)
    return (code[at] for at in places if at in code)
