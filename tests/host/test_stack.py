"""The stack that functions need, from their instructions as objdump prints them."""

import pytest

from mcu_build.image.decode import Instruction
from mcu_build.image.elf import Image, Symbol
from mcu_build.image.stack import Stack, frame_bytes, stack_needed


@pytest.mark.parametrize(
    ("mnemonic", "operands", "size"),
    [
        ("push", "{r4, r5, r6, lr}", 16),
        ("push", "{r4-r7, lr}", 20),
        ("stmdb", "sp!, {r4, r5, r6, r7, r8, r9, sl, fp, lr}", 36),
        ("stmdb", "r0!, {r4, r5}", 0),
        ("vpush", "{d8-d15}", 64),
        ("vpush", "{s16}", 4),
        ("str", "lr, [sp, #-4]!", 4),
        ("strd", "r4, r5, [sp, #-16]!", 16),
        ("sub", "sp, #52", 52),
        ("sub", "sp, sp, #1024", 1024),
        ("subw", "sp, sp, #1284", 1284),
        ("sub", "r0, r1, #4", 0),
        ("add", "sp, #52", 0),
        ("str", "r0, [sp, #4]", 0),
    ],
)
def test_what_an_instruction_takes(mnemonic, operands, size):
    assert frame_bytes(Instruction(0, 2, mnemonic, operands)) == size


def needed(functions):
    """`functions`: instructions by name, two bytes each; a call of another names it."""
    starts = {name: 0x1000 * (index + 1) for index, name in enumerate(functions)}
    code, symbols = {}, []
    for name, lines in functions.items():
        symbols.append(Symbol(name, starts[name], 2 * len(lines)))
        for index, (mnemonic, operands) in enumerate(lines):
            at = starts[name] + 2 * index
            target = f"{starts[operands]:x} <{operands}>" if operands in starts else operands
            code[at] = Instruction(at, 2, mnemonic, target)
    return stack_needed(Image((), tuple(symbols)), code, ["run"])


def test_the_deepest_chain():
    functions = {
        "run": [("push", "{r4, lr}"), ("bl", "small"), ("bl", "deep"), ("pop", "{r4, pc}")],
        "small": [("sub", "sp, #100"), ("bx", "lr")],
        "deep": [("push", "{r4, lr}"), ("sub", "sp, #64"), ("b", "small")],
        "other": [("sub", "sp, #4000")],
    }
    assert needed(functions) == Stack(8 + 8 + 64 + 100)


def test_a_pointer_may_lead_to_any_kernel_that_nothing_calls():
    functions = {
        "run": [("push", "{lr}"), ("bl", "kernels_outer")],
        "kernels_outer": [("push", "{r4, lr}"), ("blx", "r3")],
        "kernels_small": [("sub", "sp, #8")],
        "kernels_large": [("sub", "sp, #96")],
        "handler": [("sub", "sp, #4000")],
    }
    assert needed(functions) == Stack(4 + 8 + 96)


def test_a_kernel_that_is_pointed_at_may_lead_to_another_one():
    functions = {
        "run": [("push", "{lr}"), ("bl", "kernels_outer")],
        "kernels_outer": [("push", "{r4, lr}"), ("blx", "r3")],
        "kernels_core": [("sub", "sp, #16"), ("blx", "r5")],
        "kernels_finish": [("sub", "sp, #40")],
    }
    assert needed(functions) == Stack(4 + 8 + 16 + 40)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (("blx", "r3"), "run calls through a pointer"),
        (("bl", "again"), "run calls itself"),
        (("sub", "sp, sp, r3"), "run takes an amount of stack that it computes"),
    ],
)
def test_what_cannot_be_told(line, reason):
    functions = {"run": [("push", "{lr}"), line, ("nop", "")], "again": [("bl", "run")]}
    assert needed(functions) == Stack(None, reason)


@pytest.mark.parametrize("driver", ["_ZN3mcu7ethos_u3runEv", "_ZN11kws_ethos_u3runEv"])
def test_a_call_of_the_npus_driver_is_that_of_the_applications_function(driver):
    """In an export the driver has the model's name. Whom others call through a pointer is unknown."""
    functions = {"run": [("push", "{lr}"), ("bl", driver)], driver: [("push", "{r4, lr}"), ("blx", "r3")]}
    assert needed(functions) == Stack(12)
    other = {"run": [("push", "{lr}"), ("bl", "other")], "other": functions[driver]}
    assert needed(other) == Stack(None, "other calls through a pointer")


def test_a_branch_into_the_middle_of_a_function():
    """The compiler's functions for floats share their ends."""
    code = {
        0x100: Instruction(0x100, 2, "push", "{r4, lr}"),
        0x102: Instruction(0x102, 2, "b", "204 <shared+0x4>"),
        0x200: Instruction(0x200, 2, "sub", "sp, #400"),
        0x204: Instruction(0x204, 2, "push", "{r4, r5}"),
        0x206: Instruction(0x206, 2, "bx", "lr"),
    }
    symbols = (Symbol("run", 0x100, 4), Symbol("shared", 0x200, 8))
    assert stack_needed(Image((), symbols), code, ["run"]) == Stack(16)
    # What has no size ends where the next function begins.
    assert stack_needed(Image((), (symbols[0],)), code, ["run"]) == Stack(16)
    code[0x102] = Instruction(0x102, 2, "b", "304 <gone>")
    unknown = stack_needed(Image((), symbols), code, ["run"])
    assert unknown == Stack(None, "run calls 0x304, which is no function")
