"""Which registers an instruction reads and writes, from its text."""

import re
from dataclasses import dataclass

from mcu_build.image.decode import Instruction

_REGISTER = re.compile(r"\b(r1[0-5]|r\d|sp|lr|pc|ip|fp|sl|sb|q[0-7]|s[12]\d|s3[01]|s\d|d1[0-5]|d\d)\b")
_RANGE = re.compile(r"\b([rsdq])(\d+)\s*-\s*[rsdq](\d+)\b")
_ADDRESS = re.compile(r"\[([^\]]*)\](!|,\s*[#r]\S*)?")
_LANE = re.compile(r"\b(q[0-7])\[\d+\]")
_ALIASES = {"ip": "r12", "fp": "r11", "sl": "r10", "sb": "r9"}
_SHIFTED = re.compile(r",\s*(lsl|lsr|asr|ror)\b")
_CONDITION = "(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|al)?"
_NO_RESULT = re.compile(
    rf"^(cmp|cmn|tst|teq|cbn?z|bx(ns)?|blx?(ns)?|tb[bh]|msr|nop|it\w*|b|svc|bkpt|pld|pli|vcmpe?|vpt\w*|vpst\w*|vctp"
    rf"|vmsr|le|letp|lctp|str\w*|stm\w*|push|vstr\w*|vstm\w*|vpush|vst[24]\d|dsb|dmb|isb){_CONDITION}$"
)
_TWO_RESULTS = re.compile(
    r"^([us]mull|[us]mlal\w*|umaal|smlsld\w*|ldrd|vr?ml[as]ldav\w*|vaddlv\w*|lsll|lsrl|asrl|[us]qr?sh[lr]l|[us]rshrl)"
)
_ALL_RESULTS = re.compile(r"^(ldm\w*|pop|vldm\w*|vpop|vld[24]\d)")
# What was in the result's register is an operand, too; of the first, it is wanted late.
_ACCUMULATES = re.compile(
    r"^([us]mlal|umaal|smlald|smlsld|v(q?r?d?)ml[as]|vfm[as]|vcmla|vr?ml[as]l?dava|vmlava|vaddl?va|vabav|vmaxa?v|vmina?v)"
)
_READS_RESULT = re.compile(
    r"^(bfi|bfc|movt|vsli|vsri|vshlc|vq?movu?n[bt]|vq?r?shru?n[bt]|vmaxa|vmina|lsll|lsrl|asrl|[us]qr?sh|[us]rshr)"
)
_BINARY = re.compile(r"^(add|sub|adc|sbc|and|eor|orr|orn|bic|ror|lsl|lsr|asr|mul)s?" + _CONDITION + "$")
_LAST_ACCUMULATES = re.compile(r"^(mla|mls|smla[a-z]+|smlsdx?|smml[as]r?|usada8)" + _CONDITION + "$")


@dataclass(frozen=True)
class Operands:
    """Registers: `early` are of addresses, or shifted on their way; `accumulator` is added to.

    `updated` are addresses that are advanced. A vector or double register stands as its single ones.
    """

    reads: tuple[str, ...]
    early: tuple[str, ...]
    accumulator: tuple[str, ...]
    writes: tuple[str, ...]
    updated: tuple[str, ...]


def operands(instruction: Instruction) -> Operands:
    """What `instruction` reads and writes. Flags and predicates are left out: no core waits for them long."""
    word = instruction.mnemonic.partition(".")[0]
    text = _RANGE.sub(_spelled_out, instruction.operands.partition("<")[0])
    addresses: list[str] = []
    updated: list[str] = []
    address = _ADDRESS.search(_LANE.sub(r"\1", text))
    if address:
        addresses = _registers(address.group(1))
        if address.group(2):
            updated = addresses[:1]
            addresses += _registers(address.group(2))
        text = _ADDRESS.sub("", _LANE.sub(r"\1", text))
    elif word.startswith(("ldm", "stm", "vldm", "vstm")):
        base, _, text = text.partition(",")
        addresses = _registers(base)
        updated = addresses if "!" in base else []
    elif word.startswith(("push", "pop", "vpush", "vpop")):
        addresses = updated = ["sp"]
    rest = _in_order(text)
    return _split(word, text, rest, addresses, updated)


def _split(word: str, text: str, rest: list[list[str]], addresses: list[str], updated: list[str]) -> Operands:
    if _ALL_RESULTS.match(word):
        results = len(rest)
    elif _NO_RESULT.match(word):
        results = 0
    else:
        results = 2 if _TWO_RESULTS.match(word) else 1
        if word == "vmov":
            results = _moved(rest)
    writes = _flat(rest[:results])
    reads = _flat(rest[results:])
    accumulator: list[str] = []
    if _LAST_ACCUMULATES.match(word) and len(rest) > 1:
        accumulator, reads = rest[-1], _flat(rest[results:-1])
    elif _ACCUMULATES.match(word):
        accumulator = writes
    elif _READS_RESULT.match(word) or "[" in text or (_BINARY.match(word) and len(_operand_list(text)) == 2):
        reads = reads + writes
    if _SHIFTED.search(text) and reads:
        addresses, reads = [reads[-1]], reads[:-1]
    return Operands(tuple(reads), tuple(addresses), tuple(accumulator), tuple(writes), tuple(updated))


def _moved(rest: list[list[str]]) -> int:
    """How many of a move's registers are results: two where it moves to two scalars, or two lanes."""
    if len(rest) == 4:
        return 2
    if len(rest) == 3:
        return 1 if len(rest[0]) > 1 else 2
    return 1


def _operand_list(text: str) -> list[str]:
    return [part for part in text.split(",") if part.strip()]


def _spelled_out(match: re.Match[str]) -> str:
    bank, first, last = match.group(1), int(match.group(2)), int(match.group(3))
    return ", ".join(f"{bank}{number}" for number in range(first, last + 1))


def _in_order(text: str) -> list[list[str]]:
    return [_units(name) for name in _REGISTER.findall(text)]


def _registers(text: str) -> list[str]:
    return _flat(_in_order(text))


def _flat(parts: list[list[str]]) -> list[str]:
    return [name for part in parts for name in part]


def _units(name: str) -> list[str]:
    bank, number = name[0], name[1:]
    if bank == "q":
        return [f"s{4 * int(number) + i}" for i in range(4)]
    if bank == "d":
        return [f"s{2 * int(number) + i}" for i in range(2)]
    return [_ALIASES.get(name, name)]
