"""Operators on NPUs: what is delegated, and how the model compares with the TOSA reference model."""

from dataclasses import dataclass
from functools import partial

from tests.support.npu_cases import compiled, partition
from tests.support.npu_check import constant_outputs, mismatches
from tests.support.npu_operators import build

# The NPUs that a column of the table stands for, one a seed in turn.
COLUMNS = {
    "U55": ("ethos-u55-128", "ethos-u55-32", "ethos-u55-256", "ethos-u55-64"),
    "U65": ("ethos-u65-256", "ethos-u65-512"),
    "U85": ("ethos-u85-256", "ethos-u85-2048", "ethos-u85-128", "ethos-u85-512", "ethos-u85-1024"),
}


@dataclass(frozen=True)
class Proof:
    """`cases` are outputs that vary, times draws of inputs; `left` are operators that no delegate took."""

    cases: int = 0
    elements: int = 0
    mismatches: int = 0
    left: tuple[str, ...] = ()
    problem: str = ""

    def __add__(self, other: "Proof") -> "Proof":
        return Proof(
            self.cases + other.cases,
            self.elements + other.elements,
            self.mismatches + other.mismatches,
            self.left + other.left,
            self.problem or other.problem,
        )


def prove(name: str, column: str, seeds: int, bits: int = 8) -> Proof:
    """The operator `name` on NPUs of the column, for each of the first `seeds` seeds."""
    targets = COLUMNS[column]
    found = Proof()
    for seed in range(seeds):
        found += _prove_one(name, targets[seed % len(targets)], seed, bits)
    return found


def _prove_one(name: str, target: str, seed: int, bits: int) -> Proof:
    try:
        parts = partition(partial(build, name, seed), target, bits=bits)
    except Exception as error:
        return Proof(problem=f"the Arm back end: {_words(error)}")
    found = Proof(left=parts.left)
    for graph in parts.graphs:
        try:
            case = compiled(graph, target)
        except (AssertionError, RuntimeError) as error:
            found += Proof(problem=f"Vela: {_words(error)}")
            continue
        constant = constant_outputs(case)
        for run in range(len(case.inputs)):
            for index, wrong in enumerate(mismatches(case, run)):
                if index not in constant:
                    found += Proof(1, case.outputs[run][index].size, wrong)
    return found


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
