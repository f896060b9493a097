"""The model of the NPU against Arm's TOSA reference model, for every operator that executorch delegates.

    python benchmarks/npu_operators.py [--bits 8|16] [--seeds N] [operator ...]

Prints a table: for each kind of NPU, cases tried and elements that differ. A case is one output for one draw
of inputs; outputs that do not vary are not counted. "In part": an operator that the module is made of stays
with the core. What was lowered is kept in build/npu-cases.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.npu_operators import OPERATORS
from tests.support.npu_proof import COLUMNS, Proof, prove


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bits", type=int, choices=[8, 16], default=8, help="width of activations")
    parser.add_argument("--seeds", type=int, default=2, help="modules of each operator")
    parser.add_argument("operators", nargs="*", default=list(OPERATORS))
    chosen = parser.parse_args()
    print(f"| operator, {chosen.bits} bits | " + " | ".join(COLUMNS) + " |")
    print("|---" * (1 + len(COLUMNS)) + "|", flush=True)
    totals = [Proof() for _ in COLUMNS]
    for name in chosen.operators:
        proofs = [prove(name, column, chosen.seeds, chosen.bits) for column in COLUMNS]
        totals = [total + proof for total, proof in zip(totals, proofs, strict=True)]
        print(f"| {name} | " + " | ".join(map(_cell, proofs)) + " |", flush=True)
    print("| all | " + " | ".join(f"{total.cases} / {total.mismatches}" for total in totals) + " |")
    print(f"\nElements compared: {sum(proof.elements for proof in totals):,}")


def _cell(proof: Proof) -> str:
    if proof.cases:
        return f"{proof.cases} / {proof.mismatches}{', in part' if proof.left else ''}"
    return "refused by Vela" if proof.problem.startswith("Vela") else "-"


if __name__ == "__main__":
    main()
