"""Modelled cycles of a core's loops, read from the text that was emitted for it."""

import re
from collections.abc import Mapping

from mcu_build.image.decode import Instruction
from mcu_build.ir.plan import Emitted
from mcu_build.profile import cycles
from mcu_build.profile.cores import CORES


def loop_cycles(core: str, emitted: Emitted, rounds: Mapping[str, int], times: int = 1000) -> float:
    """Cycles of what stands from "1:" to its branch, one of many; `rounds` says how often other labels come.

    A label holds until the branch to it.
    """
    text = re.findall(r'"([^"]*)\\n"', emitted.text)
    end = next(i for i, line in enumerate(text) if re.fullmatch(r"(bne(\.w)?|le lr,) 1b", line))
    code: dict[int, Instruction] = {}
    labels: dict[str, int] = {}
    counts: dict[int, int] = {}
    now = times
    for line in text[text.index("1:") : end + 1]:
        address = 4 * len(code)
        if line.endswith(":"):
            labels[line[:-1]] = address
            now = times * rounds.get(line[:-1], 1)
            continue
        word, _, rest = line.partition(" ")
        branches = word.startswith(("bne", "le"))
        if branches:
            rest = f"{labels[rest[-2]]:x} <core>"
        code[address], counts[address] = Instruction(address, 4, word, rest), now
        now = times if branches else now
    return sum(cycles.model(counts, code, CORES[core]).values()) / times
