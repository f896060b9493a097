"""`mcu-build build`, and the part of run, test and size that builds first."""

from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import build_options, size_type
from mcu_build.cli.output import StageTimes, print_json, print_text
from mcu_build.errors import Exit, McuError


@click.command()
@build_options
@click.option(
    "--max-flash", type=size_type, help="Fail (status 6) above this many bytes of flash, such as 64K."
)
@click.option("--max-ram", type=size_type, help="Fail (status 6) above this many bytes of RAM.")
@click.option(
    "--emit",
    multiple=True,
    type=click.Choice(["tosa"]),
    help="Keep this too: tosa, what Vela was given for each delegate of an NPU.",
)
def command(as_json: bool, debug: bool, max_flash: int | None, max_ram: int | None, **options: Any) -> None:
    """Make firmware for a board from MODEL: a model.py, a saved .pt2 or a .pte program."""
    del debug
    times = StageTimes()
    built = build_first(times, **options)
    check_budgets(built, max_flash, max_ram)
    from mcu_build.pipeline import summary

    if as_json:
        print_json({**summary(built), "stages": times.stages})
    else:
        print_text(describe(built))


def build_first(times: StageTimes, **options: Any) -> Any:
    """The build that a verb stands on, from the options of `build_options`. A pipeline.Built."""
    from mcu_build.cache import Cache
    from mcu_build.pipeline import build

    return build(request(**options), Cache(), times)


def request(
    model: Path,
    board: str,
    npu: str | None,
    io: Any,
    toolchain: Any,
    build_dir: Path,
    emit: tuple[str, ...] = (),
) -> Any:
    """The pipeline.Request of the options of `build_options`."""
    from mcu_build.codegen.target import default_toolchain
    from mcu_build.pipeline import Request

    chosen = find(board, model)
    compiler = toolchain if toolchain and not chosen.is_host else default_toolchain(chosen)
    return Request(model, chosen, chosen.choose_npu(npu), io, compiler, build_dir, emit)


def find(board: str, model: Path) -> Any:
    """The board.Board that --board names; a project's own boards lie beside its model."""
    from mcu_build.board import find_board

    return find_board(board, model.resolve().parent)


def check_budgets(built: Any, max_flash: int | None, max_ram: int | None) -> None:
    """McuError (status 6) where an image is larger than it may be."""
    manifest = built.manifest
    over = [
        f"{manifest.name}: {kind}: {used['total']:,} bytes, the budget is {limit:,}"
        for kind, used, limit in (("flash", manifest.flash, max_flash), ("ram", manifest.ram, max_ram))
        if limit is not None and used["total"] > limit
    ]
    if over:
        raise McuError(
            "\n".join(over), f"`mcu-build size` tells where it goes. {manifest.memory['peak']}", Exit.BUDGET
        )


def describe(built: Any) -> str:
    """A build in a few lines."""
    manifest = built.manifest
    flash, ram, memory = manifest.flash, manifest.ram, manifest.memory
    kinds = [row["where"] for row in manifest.operators]
    counted = ", ".join(
        f"{kinds.count(kind)} {kind}" for kind in ("npu", "int8", "border", "float") if kind in kinds
    )
    ours = f"{memory['arena']:,}"
    lines = [
        f"{manifest.name} for {manifest.board['id']}: {built.folder / manifest.artefacts['elf']}",
        f"  flash      {flash['total']:>10,} bytes  "
        f"(code {flash['code']:,}, constants {flash['constants']:,})",
        f"  ram        {ram['total']:>10,} bytes  (arena {ram['arena']:,}, static {ram['static']:,}, "
        f"stack {ram['stack']:,})",
        f"  arena      {ours:>10} bytes  (ExecuTorch's plan: {memory['executorch']:,})",
        f"  operators  {len(kinds):>10}        ({counted})",
    ]
    if manifest.npu:
        from mcu_build.report.npu import table

        lines += [f"  npu        {manifest.npu['name']:>10}", table(manifest.npu)]
    return "\n".join(lines)
