"""Whether an inference costs more than a user allows."""

from mcu_build.errors import Exit, McuError


def over_budget(
    name: str,
    instructions: int,
    cycles: int | None,
    max_instructions: int | None,
    max_cycles: int | None,
    dearest: str | None = None,
) -> McuError | None:
    """The error (status 6) of the first limit that is exceeded; None where it keeps both.

    `dearest` is the kernel that takes most, for the hint. A limit of cycles where none are modelled is an
    error, too.
    """
    hint = (
        f"Most of them in {dearest}; the layers show where."
        if dearest
        else "`mcu-build profile` shows where."
    )
    if max_instructions is not None and instructions > max_instructions:
        words = (
            f"{name}: an inference takes {instructions:,} instructions, the budget is {max_instructions:,}"
        )
        return McuError(words, hint, Exit.BUDGET)
    if max_cycles is not None and cycles is None:
        return McuError(
            f"{name}: no cycles are modelled for this core", "Leave out --max-cycles.", Exit.USAGE
        )
    if max_cycles is not None and cycles is not None and cycles > max_cycles:
        words = f"{name}: an inference takes {cycles:,} modelled cycles, the budget is {max_cycles:,}"
        return McuError(words, hint, Exit.BUDGET)
    return None
