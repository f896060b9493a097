"""What fits: plans with less RAM, images that are built for what they take, and weights of fewer bits."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcu_build.cache import Cache
from mcu_build.failures import reported
from mcu_build.frontend.image_price import Board as TunedBoard
from mcu_build.fronts.options import BuildOptions, Keywords
from mcu_build.image.size import FLASH
from mcu_build.image.size import measure as size_of
from mcu_build.profile import measure
from mcu_build.progress import Progress
from mcu_build.report.fitting import Fitting, Limits, fittings
from mcu_build.stages import pipeline
from mcu_build.stages.planning import plan_front
from mcu_build.stages.request import Request, request_for
from mcu_build.verify import prove


def search(
    model: str | Path,
    limits: Limits,
    measured: bool,
    price: Callable[[Request], TunedBoard],
    timeout: float,
    progress: Progress,
    options: Keywords,
) -> tuple[Fitting, ...]:
    """Plans from the quickest to the smallest; built where they are to be `measured`, or limits are given.

    Where no image is small enough for the flash, there are plans for size, too; and where it may lose
    decibels, with weights of 4 bits in as few layers as `price` says that it takes.
    """

    def plans(request: Request) -> list[Fitting]:
        made = plans_of(request, progress)
        if not is_built:
            return made
        # For the bytes of one plan a build may take another with fewer, of the front as a rule.
        built = (_built(model, plan, timeout, progress, options) for plan in made)
        return list({(plan.arena, plan.flash): plan for plan in built}.values())

    def is_too_large() -> bool:
        return limits.flash is not None and min(plan.flash or 0 for plan in found) > limits.flash

    is_built = measured or limits.any
    request = request_for(model, BuildOptions.of(**options))
    found = plans(request)
    if is_too_large() and request.options.optimize != "size":
        request = replace(request, options=replace(request.options, optimize="size"))
        found += plans(request)
    if is_too_large() and limits.int4_sqnr is not None:
        precision = bits_for_flash(request, limits, price(request), progress)
        found += plans(replace(request, precision=precision)) if precision is not None else []
    return tuple(found)


def plans_of(request: Request, progress: Progress) -> list[Fitting]:
    """The plans of a program, none built."""
    with reported():
        front = plan_front(request, pipeline.lowered_for(request, Cache(), progress))
    made = fittings(front, request.board, request.options.optimize)
    return [replace(plan, precision=request.precision) for plan in made]


def bits_for_flash(
    request: Request, limits: Limits, images: TunedBoard, progress: Progress
) -> Mapping[str, str] | None:
    """The `precision` with weights of 4 bits in as few layers as an image within `limits` needs.

    None where there is no such image.
    """
    from mcu_build.frontend.tune import Aim
    from mcu_build.frontend.tune_flash import tune_flash

    assert limits.flash is not None
    with reported(), progress.stage("tune"):
        tuned = tune_flash(request.model, limits.flash, Aim(limits.int4_sqnr), images, progress.step, Cache())
    return tuned.precision if tuned.met else None


def _built(
    model: str | Path, plan: Fitting, timeout: float, progress: Progress, options: Keywords
) -> Fitting:
    """A plan with what its image takes."""
    words: Any = {**options, "ram": plan.arena, "optimize": plan.optimize}
    request = replace(request_for(model, BuildOptions.of(**words)), precision=plan.precision)
    with reported():
        built = pipeline.build(request, Cache(), progress)
    with progress.stage("profile"):
        profile = measure.profile(built, request.board, prove.own_inputs(built), timeout, Cache())
    elf, symbols = (built.manifest.path(built.folder, name) for name in ("elf", "map"))
    slowest = max(profile.layers, key=lambda layer: layer.cost.cycles or 0)
    largest = next(row for row in size_of(elf, symbols, request.board).symbols if row.kind in FLASH)
    arena = built.manifest.memory["arena"]
    return replace(
        plan,
        arena=arena,
        lower_bound=built.manifest.memory["lower_bound"],
        least=plan.least if arena == plan.arena else None,
        flash=built.manifest.flash["total"],
        measured_cycles=profile.total.cycles,
        slowest=f"{slowest.label} takes {slowest.cost.cycles or 0:,} of these cycles.",
        largest=f"The largest in flash is {largest.name}, {largest.size:,} bytes.",
    )
