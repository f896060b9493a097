"""Which operation of a core's table an instruction is: the table says what it costs."""

import re
from enum import StrEnum

from mcu_build.image.decode import Instruction, Kind


class Operation(StrEnum):
    """What a core's pipeline tells apart. Loads and stores of scalars include those of float registers."""

    ALU = "alu"
    ALU_SIMPLE = "alu_simple"  # adds a constant, or moves one or a register
    SHIFT = "shift"  # a shift or rotation alone
    ALU_SHIFTED = "alu_shifted"  # an operand is shifted on its way
    EXTEND = "extend"  # uxtb, sxth: no addition
    BITFIELD = "bitfield"
    DSP = "dsp"  # lanes of a scalar register, saturation
    MULTIPLY = "multiply"
    MULTIPLY_ADD = "multiply_add"
    MULTIPLY_LONG = "multiply_long"
    MULTIPLY_ADD_LONG = "multiply_add_long"
    DIVIDE = "divide"
    LOAD = "load"
    LOAD_NARROW = "load_narrow"  # a byte or a half
    LOAD_PAIR = "load_pair"
    LOAD_MULTIPLE = "load_multiple"
    STORE = "store"
    STORE_INDEXED = "store_indexed"  # the offset is a register
    STORE_PAIR = "store_pair"
    STORE_MULTIPLE = "store_multiple"
    BRANCH = "branch"
    BRANCH_CONDITIONAL = "branch_conditional"
    CALL = "call"
    RETURN = "return"
    LOOP_START = "loop_start"
    LOOP_END = "loop_end"
    IT = "it"
    NOP = "nop"
    SYSTEM = "system"
    FLOAT = "float"
    FLOAT_MOVE = "float_move"
    FLOAT_MULTIPLY = "float_multiply"
    FLOAT_MULTIPLY_ADD = "float_multiply_add"
    FLOAT_DIVIDE = "float_divide"
    DOUBLE = "double"
    DOUBLE_DIVIDE = "double_divide"
    VECTOR_LOAD = "vector_load"
    VECTOR_LOAD_INTERLEAVED = "vector_load_interleaved"
    VECTOR_GATHER = "vector_gather"
    VECTOR_STORE = "vector_store"
    VECTOR_STORE_INTERLEAVED = "vector_store_interleaved"
    VECTOR_SCATTER = "vector_scatter"
    VECTOR_INTEGER = "vector_integer"
    VECTOR_SHIFT = "vector_shift"  # rounds, saturates or carries
    VECTOR_NARROW = "vector_narrow"
    VECTOR_MAXIMUM = "vector_maximum"  # over the lanes of a vector
    VECTOR_COMPARE = "vector_compare"
    VECTOR_MULTIPLY = "vector_multiply"
    VECTOR_DOT = "vector_dot"  # a sum over the lanes in a scalar register
    VECTOR_DOT_LONG = "vector_dot_long"  # in two
    VECTOR_FLOAT = "vector_float"
    VECTOR_FLOAT_MULTIPLY = "vector_float_multiply"
    VECTOR_FROM_SCALAR = "vector_from_scalar"
    VECTOR_TO_SCALAR = "vector_to_scalar"
    VECTOR_PREDICATE = "vector_predicate"


_O = Operation
_CONDITION = "(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|al)?"
_SIMPLE = re.compile(rf"(adds?|subs?|movs?){_CONDITION} [^#\[]*#|movs?{_CONDITION} \w+, \w+$")
_MOVE = re.compile(rf"movs?{_CONDITION}$")
_SHIFTED = re.compile(r",\s*(lsl|lsr|asr|ror|rrx)\b")
# The first pattern that matches says it; `$` stands for an optional condition and the end.
_SCALAR = tuple(
    (re.compile(pattern.replace("$", _CONDITION + "$")), operation)
    for pattern, operation in (
        (r"nop$", _O.NOP),
        (r"it[te]{0,3}$", _O.IT),
        (r"(dls|dlstp|wls|wlstp)$", _O.LOOP_START),
        (r"(le|letp)$", _O.LOOP_END),
        (r"(lctp|clrm|mrs|msr|cps\w*|dsb|dmb|isb|svc|bkpt|sg|tt\w*|wfi|wfe|sev|clrex|vmrs|vmsr)$", _O.SYSTEM),
        (r"(bl|blx)(ns)?$", _O.CALL),
        (r"(bx|bxns|tbb|tbh)$", _O.RETURN),
        (r"(cbz|cbnz)$", _O.BRANCH_CONDITIONAL),
        (r"(ldrs?[bh]t?|ldrex[bh])$", _O.LOAD_NARROW),
        (r"(ldr|ldrt|ldrex)$", _O.LOAD),
        (r"ldrd$", _O.LOAD_PAIR),
        (r"(ldm\w*?|pop|vldm\w*?|vpop)$", _O.LOAD_MULTIPLE),
        (r"strd$", _O.STORE_PAIR),
        (r"(stm\w*?|push|vstm\w*?|vpush)$", _O.STORE_MULTIPLE),
        (r"(str[bh]?t?|strex[bh]?)$", _O.STORE),
        (r"[us]div$", _O.DIVIDE),
        (r"(umull|smull)s?$", _O.MULTIPLY_LONG),
        (r"(umlal|umaal|smlal(d|dx|bb|bt|tb|tt)?|smlsldx?)s?$", _O.MULTIPLY_ADD_LONG),
        (r"(mla|mls|smla(d|dx|bb|bt|tb|tt|wb|wt)|smlsdx?|smmlar?|smmlsr?)s?$", _O.MULTIPLY_ADD),
        (r"(muls?|smul(bb|bt|tb|tt|wb|wt)|smua[d]x?|smusdx?|smmulr?)$", _O.MULTIPLY),
        (r"(bfi|bfc|ubfx|sbfx|rev|rev16|revsh|rbit|clz)$", _O.BITFIELD),
        (r"(uxt|sxt)[bh]$", _O.EXTEND),
        (r"(lsll|lsrl|asrl|[us]qr?sh[lr]l?|[us]rshrl?)$", _O.SHIFT),
        (r"(u|s|q|uq|sh|uh)(add|sub)(8|16)$|(u|s|q|uq|sh|uh)(asx|sax)$|q(d?add|d?sub)$", _O.DSP),
        (r"(sel|usad8|usada8|pkhbt|pkhtb|[us]xta?b(16)?|[us]xtah|[us]sat(16)?)$", _O.DSP),
        (r"(lsl|lsr|asr|ror|rrx)s?$", _O.SHIFT),
        (r"b$", _O.BRANCH),
    )
)
_VECTOR = tuple(
    (re.compile(pattern), operation)
    for pattern, operation in (
        (r"vld[24]", _O.VECTOR_LOAD_INTERLEAVED),
        (r"vst[24]", _O.VECTOR_STORE_INTERLEAVED),
        (r"(vpst|vpnot|vctp)", _O.VECTOR_PREDICATE),
        (r"(vcmp|vpt)", _O.VECTOR_COMPARE),
        (r"(vr?ml[as]ldav|vaddlv)", _O.VECTOR_DOT_LONG),
        (r"(vml[as]dav|vml[as]v|vaddv|vmlav)", _O.VECTOR_DOT),
        (r"(vmaxa?v|vmina?v|vabav)", _O.VECTOR_MAXIMUM),
        (r"(vmaxnm|vminnm)", _O.VECTOR_FLOAT),
        (r"(vq?movu?n|vq?r?shru?n|vcvt[bt])", _O.VECTOR_NARROW),
        (r"(vq?r?d?mulh|vq?d?mull|vmul|vq?r?d?ml[as]|vfm[as]|vcmul|vcmla)", _O.VECTOR_MULTIPLY),
        (r"(vrshr|vrshl|vqr?shlu?|vadc|vsbc)", _O.VECTOR_SHIFT),
    )
)
_SCALAR_REGISTER = re.compile(r"\b(r\d+|lr|ip|fp|sl|sb)\b")


def operation(instruction: Instruction) -> Operation:
    """The operation that `instruction` is."""
    word, _, suffix = instruction.mnemonic.partition(".")
    if instruction.kind in (Kind.VECTOR, Kind.VECTOR_LOAD, Kind.VECTOR_STORE):
        return _vector(instruction, word, suffix)
    if word.startswith("v") and not word.startswith(("vmrs", "vmsr")):
        return _float(instruction, word, suffix)
    if instruction.is_conditional_branch and word != "b":
        return _O.BRANCH_CONDITIONAL
    matched = next((operation for pattern, operation in _SCALAR if pattern.match(word)), _O.ALU)
    if matched is _O.STORE and re.search(r"\[[^],]+,\s*[a-z]", instruction.operands):
        return _O.STORE_INDEXED
    if matched is _O.ALU and _SHIFTED.search(instruction.operands):
        return _O.SHIFT if _MOVE.match(word) else _O.ALU_SHIFTED
    if matched is _O.ALU and _SIMPLE.match(f"{word} {instruction.operands}"):
        return _O.ALU_SIMPLE
    return matched


def _vector(instruction: Instruction, word: str, suffix: str) -> Operation:
    if word.startswith(("vldr", "vstr")):
        gathers = re.search(r"\[[^\]]*\bq\d", instruction.operands) is not None
        if word.startswith("vldr"):
            return _O.VECTOR_GATHER if gathers else _O.VECTOR_LOAD
        return _O.VECTOR_SCATTER if gathers else _O.VECTOR_STORE
    matched = next((operation for pattern, operation in _VECTOR if pattern.match(word)), None)
    is_float = suffix.startswith("f") or ".f" in suffix
    if matched is _O.VECTOR_MULTIPLY and is_float:
        return _O.VECTOR_FLOAT_MULTIPLY
    if matched is not None:
        return matched
    if word == "vmov" and _SCALAR_REGISTER.search(instruction.operands):
        first = instruction.operands.split(",")[0]
        return _O.VECTOR_TO_SCALAR if _SCALAR_REGISTER.search(first) else _O.VECTOR_FROM_SCALAR
    return _O.VECTOR_FLOAT if is_float else _O.VECTOR_INTEGER


def _float(instruction: Instruction, word: str, suffix: str) -> Operation:
    if word.startswith("vldr"):
        return _O.LOAD
    if word.startswith("vstr"):
        return _O.STORE
    if word.startswith(("vldm", "vpop")):
        return _O.LOAD_MULTIPLE
    if word.startswith(("vstm", "vpush")):
        return _O.STORE_MULTIPLE
    if word.startswith("vmov"):
        return _O.FLOAT_MOVE
    is_double = suffix.startswith("f64")
    if word.startswith(("vdiv", "vsqrt")):
        return _O.DOUBLE_DIVIDE if is_double else _O.FLOAT_DIVIDE
    if is_double:
        return _O.DOUBLE
    if word.startswith(("vmla", "vmls", "vfma", "vfms", "vnml", "vfnm")):
        return _O.FLOAT_MULTIPLY_ADD
    return _O.FLOAT_MULTIPLY if word.startswith(("vmul", "vnmul")) else _O.FLOAT
