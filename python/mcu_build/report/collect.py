"""A report from a build folder and what was found out about the image."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mcu_build.board import Board
from mcu_build.image.size import Size
from mcu_build.report.limits import limited
from mcu_build.report.report import Accuracy, Report, regions
from mcu_build.stages.pipeline import Built
from mcu_build.verify.prove import Proof

if TYPE_CHECKING:
    from mcu_build.profile.measure import Profile


def of_build(
    built: Built,
    board: Board,
    size: Size,
    profile: "Profile | None" = None,
    proof: Proof | None = None,
    budgets: Mapping[str, float | None] | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """The report on a build; `profile` and `proof` where the image was run.

    `budgets` are limits by the names of fronts/budgets.py.
    """
    manifest = built.manifest
    plan = json.loads(manifest.path(built.folder, "plan").read_text())
    title = f"{board.name}: {board.core}, {manifest.toolchain}, for {manifest.optimize}, io {manifest.io}"
    report = Report(
        name=manifest.name,
        board=board.id,
        title=title,
        memory=manifest.memory,
        steps=tuple(plan["steps"]),
        tensors=tuple(plan["tensors"]),
        arena=tuple(plan["arena"]),
        npu=manifest.npu,
        removed=manifest.removed,
        warnings=manifest.warnings,
        quality=tuple(built.lowered.quality),
        layers=tuple(built.lowered.layers),
        size=size,
        profile=profile,
        accuracy=_accuracy(proof) if proof else None,
        metric=proof.metric if proof else None,
        budgets=regions(size),
        clock=board.clock,
        notes=tuple(notes),
    )
    labelled = proof is not None and (proof.accuracy or proof.metric)
    return limited(report, budgets or {}, proof.drop if proof and labelled else None)


def _accuracy(proof: Proof) -> Accuracy:
    compared, shares = proof.comparison, proof.accuracy
    counts = Accuracy(compared.vectors, compared.elements, compared.mismatches)
    if shares is None:
        return counts
    return Accuracy(
        counts.vectors,
        counts.elements,
        counts.mismatches,
        shares.float_model,
        shares.int8_model,
        shares.device,
    )
