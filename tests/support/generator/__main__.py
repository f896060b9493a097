"""Check random models by number, print what fails, and the smallest model that fails alike.

python -m tests.support.generator 0-199 --board host --npu ethos-u55-128
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from tests.support.generator.check import POOR_DB, Costs, Result, Target, check
from tests.support.generator.minimize import minimized
from tests.support.generator.models import Net, draw, source


def main() -> None:
    """Draw, check, minimize, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.generator", description=__doc__)
    parser.add_argument("models", help="a number, or the first and the last one: 0-199")
    parser.add_argument("--board", default="host")
    parser.add_argument("--npu")
    parser.add_argument("--minimize", action="store_true", help="print a small model for each failure")
    parser.add_argument("--keep", type=Path, help="a folder for the files of models that fail")
    options = parser.parse_args()
    first, _, last = options.models.partition("-")
    target, costs = Target(options.board, options.npu), Costs()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        nets = {folder / f"r{seed}.py": draw(seed) for seed in range(int(first), int(last or first) + 1)}
        for file, net in nets.items():
            file.write_text(source(net))
        results = check(list(nets), target, folder, costs)
        for file, result in results.items():
            if result.outcome != "exact":
                print(f"{file.stem}: {result.outcome}: {result.why}")
            if result.outcome in ("wrong", "internal"):
                net = smaller(nets[file], result, target, folder) if options.minimize else nets[file]
                if options.minimize:
                    print(source(net))
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / file.name).write_text(source(net))
        poor = [f for f, one in results.items() if one.sqnr_db is not None and one.sqnr_db < POOR_DB]
        for file in poor:
            print(f"{file.stem}: {results[file].sqnr_db:.1f} dB")
    print(
        target.name, dict(Counter(result.outcome for result in results.values())), f"{len(poor)} below 12 dB"
    )
    print({stage: round(seconds, 1) for stage, seconds in costs.seconds.items()})


def smaller(net: Net, result: Result, target: Target, folder: Path) -> Net:
    """The smallest model found that ends as `net` does."""
    file = folder / "small.py"

    def alike(found: Result) -> bool:
        exception, _, _ = result.why.partition(":")
        return found.outcome == result.outcome and (
            result.outcome == "wrong" or found.why.startswith(exception)
        )

    def fails(candidate: Net) -> bool:
        file.write_text(source(candidate))
        return alike(check([file], target, folder)[file])

    return minimized(net, fails)


if __name__ == "__main__":
    main()
