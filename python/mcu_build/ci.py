"""What a CI job does: build, prove and measure models on boards, and compare them with another commit."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from mcu_build import process
from mcu_build.api import Firmware, build
from mcu_build.errors import Exit, McuError
from mcu_build.profile.budget import over_budget
from mcu_build.progress import Progress
from mcu_build.simulate import fvp
from mcu_build.simulate.run import Sim
from mcu_build.verify.prove import Proof

# Files of a build that are worth keeping.
_KEPT = ("elf", "map", "hex", "bin", "header", "plan")


@dataclass(frozen=True)
class Measures:
    """Bytes of an image; instructions of one inference and its modelled cycles, where QEMU can count."""

    flash: int
    ram: int
    instructions: int | None
    cycles: int | None = None


@dataclass(frozen=True)
class Result:
    """A model on a board. `simulators` have run it, `stack` in bytes; `error` says why it fails, if it does.

    `differing` outputs are not equal, `mismatches` of them by more than the rounding of float operators.
    `base` is what the other commit measured: None where it has none, or does not build.
    """

    model: str
    board: str
    measures: Measures | None = None
    base: Measures | None = None
    vectors: int = 0
    outputs: int = 0
    mismatches: int = 0
    differing: int = 0
    accuracy: float | None = None
    stack: int | None = None
    simulators: tuple[str, ...] = ()
    error: str | None = None
    exit_code: int = Exit.OK


@dataclass(frozen=True)
class Job:
    """A model on a board, with its build options, `board` among them, and limits by budgets' names."""

    model: Path
    options: Mapping[str, Any]
    limits: Mapping[str, Any]

    @property
    def board(self) -> str:
        """The board's name, or its file."""
        return str(self.options["board"])


def check(jobs: Sequence[Job], base: str | None, output: Path, progress: Progress) -> list[Result]:
    """Build, prove and measure models on boards. Images go to output/images/<model>/<board>.

    `base` names a commit of the repository around the models, which is measured too.
    """
    results = [_check(job, output, progress) for job in jobs]
    if base:
        with _worktree(base) as tree:
            results = [
                replace(result, base=_measure_base(tree, job, progress))
                for job, result in zip(jobs, results, strict=True)
            ]
    return results


def status(results: Sequence[Result]) -> Exit:
    """The exit status of a job: that of the first failure."""
    return Exit(next((result.exit_code for result in results if result.exit_code), Exit.OK))


def document(results: Sequence[Result]) -> dict[str, Any]:
    """The report as plain data, for JSON."""
    return {"results": [asdict(result) for result in results]}


def markdown(results: Sequence[Result]) -> str:
    """The report as a table, with differences against the base commit, and the failures below it."""
    lines = [
        "| model | board | outputs | accuracy | flash | RAM | stack | instructions | cycles, modelled |",
        "|---|---|---|---|---|---|---|---|---|",
        *map(_row, results),
    ]
    for result in results:
        if result.error:
            lines += ["", f"**{result.model} on {result.board}** (status {result.exit_code})", "", "```"]
            lines += [*result.error.splitlines(), "```"]
    return "\n".join(lines) + "\n"


def _check(job: Job, output: Path, progress: Progress) -> Result:
    result, limits = Result(str(job.model), job.board), job.limits
    try:
        firmware = _build(job, job.model, output / "build", progress)
        _keep(firmware, output / "images" / firmware.manifest.name / firmware.board.id)
        result = replace(result, measures=_measure(firmware))
        for sim in _simulators(firmware):
            proof = firmware.prove(sim=sim)
            result = _with_proof(result, proof, sim or "native")
            failure = proof.failure(*(limits.get(name) for name in ("min_accuracy", "min_sqnr", "max_drop")))
            if failure:
                raise failure
        _check_limits(firmware, result, limits)
    except McuError as error:
        hint = f"\nhint: {error.hint}" if error.hint else ""
        return replace(result, error=error.message + hint, exit_code=int(error.exit_code))
    return result


def _simulators(firmware: Firmware) -> Iterator[Sim | None]:
    """What can run it here: None is the computer itself."""
    board = firmware.board
    if board.is_host:
        yield None
        return
    if board.run.qemu is not None:
        yield "qemu"
    if fvp.is_installed(board, firmware.built.lowered.npu):
        yield "fvp"


def _with_proof(result: Result, proof: Proof, simulator: str) -> Result:
    return replace(
        result,
        vectors=proof.comparison.vectors,
        outputs=proof.comparison.elements,
        mismatches=result.mismatches + proof.comparison.mismatches,
        differing=result.differing + proof.comparison.differing,
        accuracy=proof.accuracy.device if proof.accuracy else None,
        stack=proof.outcome.stack_used or None,
        simulators=(*result.simulators, simulator),
    )


def _check_limits(firmware: Firmware, result: Result, limits: Mapping[str, Any]) -> None:
    firmware.check_budgets(*(limits.get(name) for name in ("max_flash", "max_ram", "min_sqnr")))
    measures, costs = result.measures, [limits.get(name) for name in ("max_instructions", "max_cycles")]
    if measures is None or costs == [None, None]:
        return
    if measures.instructions is None:
        raise McuError(
            f"{firmware.manifest.name}: max_instructions, max_cycles: QEMU has no machine for "
            f"{firmware.board.id}, and instructions are counted there",
            "Leave these budgets out for this board, or name a board that QEMU knows.",
            Exit.USAGE,
        )
    error = over_budget(firmware.manifest.name, measures.instructions, measures.cycles, *costs)
    if error:
        raise error


def _measure(firmware: Firmware) -> Measures:
    if firmware.board.run.qemu is None:
        return Measures(firmware.flash, firmware.ram, None)
    total = firmware.profile().total
    return Measures(firmware.flash, firmware.ram, total.instructions, total.cycles)


def _keep(firmware: Firmware, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind, name in firmware.manifest.artefacts.items():
        if kind in _KEPT or kind.startswith("bin_"):
            shutil.copy2(firmware.folder / name, folder)


def _build(job: Job, model: Path, folder: Path, progress: Progress) -> Firmware:
    return build(model, progress=progress, **cast(Any, {**job.options, "build_dir": folder}))


def _measure_base(tree: Path, job: Job, progress: Progress) -> Measures | None:
    """What the model was in the other commit, with the mcu-build and the options of today."""
    here, file = Path(_git("rev-parse", "--show-toplevel")), job.model.resolve()
    if not file.is_relative_to(here) or not (tree / file.relative_to(here)).is_file():
        return None
    model = tree / file.relative_to(here)
    try:
        return _measure(_build(job, model, tree / "mcu-build-base", progress))
    except McuError as error:
        progress.warn(f"{job.model} on {job.board}: the base commit does not build: {error.message}")
        return None


@contextmanager
def _worktree(commit: str) -> Iterator[Path]:
    """A checkout of another commit, gone at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="mcu-base-") as made:
        tree = Path(made).resolve() / "tree"
        if not _git("rev-list", "--max-count=1", "--ignore-missing", commit):
            _git("fetch", "--quiet", "--depth=1", "origin", commit)
        _git("worktree", "add", "--detach", "--force", str(tree), commit)
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*words: str) -> str:
    finished = process.run([process.find_tool("git", "apt-get install git"), *words])
    if finished.status != 0:
        raise McuError(
            f"git {words[0]}: {finished.stderr.strip()}",
            "A base needs the repository with that commit: fetch it first.",
        )
    return finished.stdout.strip()


def _row(result: Result) -> str:
    measures, base = result.measures, result.base
    if measures is None:
        return f"| {result.model} | {result.board} | failed: see below | | | | | | |"
    if not result.simulators:
        outputs = "not run: no simulator here"
    elif result.mismatches:
        outputs = f"{result.mismatches:,} of {result.outputs:,} wrong"
    elif result.differing:
        outputs = (
            f"{result.outputs:,}, {result.differing:,} rounded otherwise ({', '.join(result.simulators)})"
        )
    else:
        outputs = f"{result.outputs:,} equal ({', '.join(result.simulators)})"
    cells = [
        result.model,
        result.board,
        outputs,
        f"{result.accuracy:.2%}" if result.accuracy is not None else "",
        _cell(measures.flash, base.flash if base else None),
        _cell(measures.ram, base.ram if base else None),
        _cell(result.stack, None),
        _cell(measures.instructions, base.instructions if base else None),
        _cell(measures.cycles, base.cycles if base else None),
    ]
    return f"| {' | '.join(cells)} |"


def _cell(value: int | None, before: int | None) -> str:
    """A number, and its difference from what it was before where that is known."""
    if value is None:
        return ""
    if before is None:
        return f"{value:,}"
    return f"{value:,} ({value - before:+,})" if value != before else f"{value:,} (same)"
